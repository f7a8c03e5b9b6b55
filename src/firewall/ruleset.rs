//! From policy to the text of one `nft` transaction: the constant rules of `skeleton.nft` with the
//! numbers of the policy, and the elements of the configuration's sets. Subscribers never come through
//! here. The one rule: nothing enters the text but numbers, addresses and names parsed to types, so no
//! value can be read as syntax.
//!
//! The text is `nft`'s own language and not the JSON of the crate `nftables`: `nft` 1.0.6 refuses the
//! set flag `dynamic` in JSON, the crate has no statements in sets nor nested in set updates, and it
//! drops the latter without a word. Every meter here needs them, and one transaction is in one language.

use std::fmt::{Display, Write};
use std::net::IpAddr;

use ipnet::IpNet;

use super::policy::Policy;

/// The table that is ours; nothing outside it is ever touched.
pub const TABLE: &str = "dotmac_edge";

/// The rules, with `{{name}}` where a number of the policy belongs.
const SKELETON: &str = include_str!("skeleton.nft");

/// The sets and maps whose elements the program writes one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Interface, hardware address, IPv4 address: mark.
    Client4,
    /// Interface, hardware address, IPv6 address: mark.
    Client6,
    /// Interface, hardware address: mark, for any IPv6 address.
    Client6Any,
    /// Mark: limit and counter from the subscriber.
    Up,
    /// Mark: limit and counter to the subscriber.
    Down,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Client4, Self::Client6, Self::Client6Any, Self::Up, Self::Down];

    /// Its name in the kernel.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client4 => "client4",
            Self::Client6 => "client6",
            Self::Client6Any => "client6m",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The transaction that puts the policy in force beside the subscribers that are there.
#[must_use]
pub fn render(policy: &Policy) -> String {
    let mut text = numbers(policy).into_iter().fold(SKELETON.to_owned(), |text, (name, number)| {
        text.replace(&["{{", name, "}}"].concat(), &number.to_string())
    });
    let networks = policy.networks();
    elements(&mut text, "access_if", policy.access().iter().map(|pattern| format!("\"{pattern}\"")));
    elements(&mut text, "uplink_if", policy.uplink().iter().map(|pattern| format!("\"{pattern}\"")));
    elements(&mut text, "nat_src4", &networks.masquerade);
    let portal: Vec<IpNet> = policy.portal().addresses.iter().copied().map(IpNet::from).collect();
    for (stem, list) in [
        ("portal", IpNet::aggregate(&portal)),
        ("protected", networks.protected.clone()),
        ("garden", networks.garden.clone()),
    ] {
        elements(&mut text, &format!("{stem}4"), list.iter().filter(|net| net.addr().is_ipv4()));
        elements(&mut text, &format!("{stem}6"), list.iter().filter(|net| net.addr().is_ipv6()));
    }
    text
}

/// The same from nothing: for when the kernel's table is of another make. Subscribers are lost with it
/// and come back by the next reconciliation; until then everybody is captive.
#[must_use]
pub fn render_anew(policy: &Policy) -> String {
    format!("{}{}", removal(), render(policy))
}

/// The transaction that opens the walled garden to these addresses for an hour from now; those that it is
/// open to already begin their hour anew.
#[must_use]
pub fn garden(addresses: &[IpAddr]) -> String {
    let mut text = String::new();
    for address in addresses {
        let set = if address.is_ipv4() { "garden_dns4" } else { "garden_dns6" };
        // Adding what is there does not renew its time.
        for word in ["add", "delete", "add"] {
            let _infallible = writeln!(text, "{word} element inet {TABLE} {set} {{ {address} }}");
        }
    }
    text
}

/// The transaction that removes the table, also where there is none.
#[must_use]
pub fn removal() -> String {
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

fn numbers(policy: &Policy) -> [(&'static str, u32); 11] {
    let (portal, limits) = (policy.portal(), policy.limits());
    [
        ("http", portal.http.into()),
        ("https", portal.https.into()),
        ("dns", portal.dns.into()),
        ("dns_rate", limits.dns_per_second),
        ("dns_burst", limits.dns_per_second.saturating_mul(2)),
        ("dhcp_rate", limits.dhcp_per_second),
        ("dhcp_burst", limits.dhcp_per_second.saturating_mul(2)),
        ("portal_connections", limits.portal_connections),
        ("refuse_rate", limits.refusals_per_second),
        ("refuse_burst", limits.refusals_per_second.saturating_mul(2)),
        ("garden_rate", limits.garden_octets_per_second),
    ]
}

/// One statement for all elements; an empty list would be a syntax error.
fn elements<T: Display>(text: &mut String, set: &str, list: impl IntoIterator<Item = T>) {
    let words: Vec<String> = list.into_iter().map(|element| element.to_string()).collect();
    if !words.is_empty() {
        let _infallible = writeln!(text, "add element inet {TABLE} {set} {{ {} }}", words.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::{Limits, Networks, Portal};
    use super::*;

    fn policy() -> Policy {
        Policy::new(
            vec!["lan0".parse().unwrap(), "vlan*".parse().unwrap()],
            vec!["wan0".parse().unwrap()],
            Portal { http: 8080, https: 8443, dns: 5353, addresses: vec!["10.0.0.1".parse().unwrap()] },
            Networks {
                masquerade: vec!["10.0.0.0/16".parse().unwrap()],
                protected: vec!["fd99::/64".parse().unwrap()],
                garden: vec!["203.0.113.0/24".parse().unwrap(), "2001:db8::1/128".parse().unwrap()],
            },
            Limits::default(),
        )
        .unwrap()
    }

    #[test]
    fn every_number_of_the_rules_is_filled_in_and_every_one_of_ours_is_used() {
        let text = render(&policy());
        assert!(!text.contains("{{") && !text.contains("}}"), "a number was left out");
        for (name, _) in numbers(&policy()) {
            assert!(SKELETON.contains(&format!("{{{{{name}}}}}")), "{name} is in no rule");
        }
        for table in Table::ALL {
            assert!(
                SKELETON.contains(&format!(" {} ", table.name())),
                "{} is not in the rules",
                table.name()
            );
        }
    }

    #[test]
    fn the_configuration_is_elements_only() {
        let text = render(&policy());
        let said: Vec<&str> = text.lines().filter(|line| line.starts_with("add element")).collect();
        let expected = [
            "add element inet dotmac_edge access_if { \"lan0\", \"vlan*\" }",
            "add element inet dotmac_edge uplink_if { \"wan0\" }",
            "add element inet dotmac_edge nat_src4 { 10.0.0.0/16 }",
            "add element inet dotmac_edge portal4 { 10.0.0.1/32 }",
            "add element inet dotmac_edge protected6 { fd99::/64 }",
            "add element inet dotmac_edge garden4 { 203.0.113.0/24 }",
            "add element inet dotmac_edge garden6 { 2001:db8::1/128 }",
        ];
        assert_eq!(said, expected);
    }
}
