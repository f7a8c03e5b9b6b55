//! Golden bytes: one asymmetric plan, what each kind of NAS is told, octet by octet.

use jiff::Timestamp;

use super::*;
use crate::base::secret::Secret;
use crate::domain::lock::LockReason;
use crate::domain::rate::{BitsPerSecond, Download, Rates, Upload};
use crate::radius::{Code, Packet, Reply, Request, SharedSecret};

fn entitlement() -> Entitlement {
    Entitlement {
        rates: Rates {
            down: Download(BitsPerSecond::new(20_000_000).unwrap()),
            up: Upload(BitsPerSecond::new(5_000_000).unwrap()),
        },
        remaining_octets: Some(10_000_000_000),
        remaining_secs: None,
        octets_to_slower: None,
        octets_count: true,
        changes_at: None,
        ends_at: Some("2026-12-01T00:00:00Z".parse::<Timestamp>().unwrap()),
        session_secs: Some(3_600),
        idle_secs: Some(600),
        device_limit: 1,
        access: Access::Full,
    }
}

/// The attributes of an accept, in hexadecimal, without header and Message-Authenticator.
fn told(kind: NasKind, entitlement: &Entitlement, addresses: &Addresses) -> (String, Untold) {
    let secret = SharedSecret::new(Secret::from_text("golden"));
    let mut request_buffer = [0; 4096];
    let request = Request::access(&mut request_buffer, 7, [9; 16]).unwrap().finish(&secret).to_vec();
    let packet = Packet::decode(&request).unwrap();
    let mut buffer = [0; 4096];
    let mut reply = Reply::start(&mut buffer, &packet, Code::AccessAccept).unwrap();
    let grant = Grant { entitlement, addresses, class: b"C", interim_secs: 300, framed_ppp: false };
    let untold = write_accept(kind, &grant, reply.attributes()).unwrap();
    let octets = reply.finish(&secret);
    (octets[38..].iter().map(|octet| format!("{octet:02x}")).collect(), untold)
}

/// Session-Timeout 3600, Idle-Timeout 600, Acct-Interim-Interval 300, Class "C".
const COMMON: &str = "1b0600000e10\
                      1c0600000258\
                      55060000012c\
                      190343";

#[test]
fn mikrotik_is_told_upload_first_and_the_quota_in_two_halves() {
    let (octets, untold) = told(NasKind::Mikrotik, &entitlement(), &Addresses::default());
    // Mikrotik-Rate-Limit "5M/20M"; Total-Limit 1,410,065,408; Total-Limit-Gigawords 2.
    let vendor = "1a0e00003a8c0808354d2f32304d\
                  1a0c00003a8c1106540be400\
                  1a0c00003a8c120600000002";
    assert_eq!(octets, format!("{COMMON}{vendor}"));
    assert_eq!(untold, Untold::default());
}

#[test]
fn wispr_is_told_bits_a_second_from_the_subscribers_view() {
    let (octets, untold) = told(NasKind::Wispr, &entitlement(), &Addresses::default());
    // Bandwidth-Max-Up 5,000,000; -Down 20,000,000; Session-Terminate-Time with +00:00.
    let vendor = "1a0c0000372a0706004c4b40\
                  1a0c0000372a080601312d00\
                  1a210000372a091b323032362d31322d30315430303a30303a30302b30303a3030";
    assert_eq!(octets, format!("{COMMON}{vendor}"));
    assert_eq!(untold, Untold { rates: false, quota: true });
}

fn text(value: &str) -> String {
    value.bytes().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn coova_is_told_kilobits_and_the_quota_in_two_halves() {
    let (octets, untold) = told(NasKind::Coova, &entitlement(), &Addresses::default());
    // Bandwidth-Max-Up 5,000, -Down 20,000; Max-Total-Octets 1,410,065,408, -Gigawords 2; the end of access.
    let vendor = "1a0c000038df040600001388\
                  1a0c000038df050600004e20\
                  1a0c000038df0306540be400\
                  1a0c000038df170600000002\
                  1a210000372a091b323032362d31322d30315430303a30303a30302b30303a3030";
    assert_eq!(octets, format!("{COMMON}{vendor}"));
    assert_eq!(untold, Untold::default());
}

#[test]
fn cisco_is_told_output_for_download_with_the_bursts_that_cisco_advises() {
    let (octets, untold) = told(NasKind::Cisco, &entitlement(), &Addresses::default());
    let tail = "conform-action transmit exceed-action drop";
    let down = format!("lcp:interface-config#1=rate-limit output 20000000 3750000 7500000 {tail}");
    let up = format!("lcp:interface-config#2=rate-limit input 5000000 937500 1875000 {tail}");
    assert!(octets.starts_with(COMMON));
    assert!(octets.contains(&text(&down)) && octets.contains(&text(&up)), "{octets}");
    assert_eq!(untold, Untold { rates: false, quota: true });
}

#[test]
fn huawei_is_told_bits_a_second_with_input_from_the_subscriber() {
    let (octets, untold) = told(NasKind::Huawei, &entitlement(), &Addresses::default());
    let vendor = "1a0c000007db0206004c4b40\
                  1a0c000007db0306004c4b40\
                  1a0c000007db050601312d00\
                  1a0c000007db060601312d00";
    assert_eq!(octets, format!("{COMMON}{vendor}"));
    assert_eq!(untold, Untold { rates: false, quota: true });
}

#[test]
fn juniper_is_told_the_rate_toward_the_subscriber_and_the_other_is_reported() {
    let (octets, untold) = told(NasKind::Juniper, &entitlement(), &Addresses::default());
    assert_eq!(octets, format!("{COMMON}1a140000130a6c0e{}", text("T02 20000000")));
    assert_eq!(untold, Untold { rates: true, quota: true });
}

#[test]
fn accel_ppp_is_told_kilobits_with_download_first() {
    let (octets, untold) = told(NasKind::AccelPpp, &entitlement(), &Addresses::default());
    assert_eq!(octets, format!("{COMMON}0b0c{}", text("20000/5000")));
    assert_eq!(untold, Untold { rates: false, quota: true });
}

#[test]
fn ubiquiti_is_told_what_wispr_is() {
    let wispr = told(NasKind::Wispr, &entitlement(), &Addresses::default());
    assert_eq!(told(NasKind::Ubiquiti, &entitlement(), &Addresses::default()), wispr);
}

#[test]
fn generic_is_told_what_the_rfcs_can_say_and_reports_the_rest() {
    let (octets, untold) = told(NasKind::Generic, &entitlement(), &Addresses::default());
    assert_eq!(octets, COMMON);
    assert_eq!(untold, Untold { rates: true, quota: true });
}

#[test]
fn a_rate_beyond_32_bits_is_left_out_for_wispr_and_reported() {
    let mut fast = entitlement();
    fast.rates.down = Download(BitsPerSecond::new(10_000_000_000).unwrap());
    let (octets, untold) = told(NasKind::Wispr, &fast, &Addresses::default());
    assert!(untold.rates);
    assert!(octets.contains("372a0706004c4b40"), "the upload still fits");
    assert!(!octets.contains("372a0806"), "no wrapped download");
}

#[test]
fn addresses_are_exact_to_the_bit_and_a_fixed_one_beats_the_pool() {
    let addresses = Addresses {
        ipv4: Some("100.64.0.9".parse().unwrap()),
        ipv6_prefix: Some(crate::domain::service::Ipv6Prefix {
            address: "2001:db8:1::".parse().unwrap(),
            length: 60,
        }),
        delegated_prefix: None,
        routes: vec!["192.0.2.0/29 0.0.0.0 1".to_owned()],
        pool: Some(crate::domain::text::Code::parse("pool-a").unwrap()),
    };
    let (octets, _) = told(NasKind::Generic, &entitlement(), &addresses);
    assert!(octets.contains("080664400009"), "Framed-IP-Address");
    assert!(octets.contains("003c20010db8"), "Framed-IPv6-Prefix with its length of 60");
    assert!(!octets.contains("706f6f6c2d61"), "no Framed-Pool beside an address");
}

#[test]
fn a_captive_subscriber_is_put_into_the_routers_list() {
    let mut captive = entitlement();
    captive.access = Access::Captive { reason: LockReason::Overdue };
    let (octets, _) = told(NasKind::Mikrotik, &captive, &Addresses::default());
    let list: String = b"dotmac-captive".iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(octets.contains(&list));
    assert!(can_be_captive(NasKind::Mikrotik) && !can_be_captive(NasKind::Generic));
}
