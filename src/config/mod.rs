//! The one configuration file: read, checked whole, explained.
//!
//! [`parse`] turns text into a [`Config`] or into every fault at once; it opens no file and asks no
//! clock. [`load`] is the rim around it: it reads the file, looks at permissions and at the files
//! that secrets are kept in. What a setting does is not decided here but in the room that uses it.
//!
//! The one rule: strict, and kind about it. Nothing that was written is ignored, and each fault
//! names file, line, column, key, what is wrong and what to write instead.

mod billing;
mod control;
mod dunning;
mod eap;
mod fault;
mod gateway;
mod http;
mod kind;
mod load;
mod log;
mod mail;
mod moment;
mod notify;
mod payments;
mod portal;
mod radius;
mod reader;
mod reference;
mod secrets;
mod site;
mod size;
mod sms;
mod store;

use std::path::Path;

pub use billing::{Billing, Decimal, Series};
pub use control::Control;
pub use dunning::Dunning;
pub use eap::{Eap, EapMethod, EapTls};
pub use fault::Fault;
pub use gateway::{Garden, Gateway};
pub use http::Http;
pub use load::{Environment, MAX_FILE_OCTETS, load};
pub use log::Log;
pub use mail::{Mail, MailSecurity, MailServer};
pub use notify::{Notify, Quiet};
pub use payments::{
    Flutterwave, FlutterwaveMethod, FlutterwaveSignature, FlutterwaveVersion, Mpesa, Payments, Paystack,
    ServiceUrl, Stripe,
};
pub use portal::{HostName, Portal};
pub use radius::{DevicesFull, Radius};
pub use reader::{Applies, Origin, Setting};
pub use reference::{SecretError, SecretRef};
pub use secrets::{BOX_KEY_OCTETS, Secrets, box_key};
pub use site::{Site, TaxRate};
pub use size::ByteSize;
pub use sms::{Country, HeaderLine, Sms, SmsContent, SmsMethod, SmsProvider, Template, TermiiRoute};
pub use store::{Engine, Store};

use fault::Wrong;
use mail::is_mailbox;
use reader::Reader;

/// Where the daemon looks when `--config` is not given.
pub const DEFAULT_PATH: &str = "/etc/dotmac-edge/edge.toml";

/// Everything that the operator decided, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// True where shortcuts are allowed that would lose or expose a customer's data.
    pub development: bool,
    /// The place: its name, time zone, currency and tax.
    pub site: Site,
    /// What outlives the process.
    pub store: Store,
    /// The API's and the metrics' listeners.
    pub http: Http,
    /// Where subscribers' browsers come to.
    pub portal: Portal,
    /// Who passes this box.
    pub gateway: Gateway,
    /// How messages to subscribers leave.
    pub mail: Mail,
    /// The carrier of text messages.
    pub sms: Sms,
    /// When and in which order people are written to.
    pub notify: Notify,
    /// How this site does business.
    pub billing: Billing,
    /// The gateways that take money.
    pub payments: Payments,
    /// What happens when an invoice is not paid.
    pub dunning: Dunning,
    /// RADIUS over UDP.
    pub radius: Radius,
    /// The command line's way in.
    pub control: Control,
    /// What is written to the log, and where.
    pub log: Log,
    /// Where the keys are.
    pub secrets: Secrets,
    settings: Vec<Setting>,
}

/// Reads a configuration text; `path` only names it in faults.
///
/// # Errors
/// Every fault of the text, in the order of its lines.
pub fn parse(text: &str, path: &Path) -> Result<Config, Vec<Fault>> {
    let (document, syntax) = toml::de::DeTable::parse_recoverable(text);
    let mut reader = Reader::new(text, path);
    reader.syntax(&syntax);
    let root = document.get_ref();
    let development = reader.root(root, |section| section.optional("development", Applies::Restart, false));
    let parts = (
        reader.section(root, "site", Site::read),
        reader.section(root, "store", Store::read),
        reader.section(root, "http", Http::read),
        reader.section(root, "portal", Portal::read),
        reader.section(root, "gateway", Gateway::read),
        reader.section(root, "mail", Mail::read),
        reader.section(root, "sms", Sms::read),
        reader.section(root, "notify", Notify::read),
        reader.section(root, "billing", Billing::read),
        Payments::read(&mut reader, root),
        reader.section(root, "dunning", Dunning::read),
        Radius::read(&mut reader, root),
        reader.section(root, "control", Control::read),
        reader.section(root, "log", Log::read),
        reader.section(root, "secrets", Secrets::read),
    );
    reader.unknown_sections(root);
    let (
        site,
        store,
        http,
        portal,
        mut gateway,
        mail,
        sms,
        notify,
        billing,
        payments,
        dunning,
        radius,
        control,
        log,
        secrets,
    ) = parts;
    if reader.is_well() {
        agree_on_eap(&mut reader, root, &radius);
        agree(&mut reader, root, (&portal, &gateway, &mail, &sms));
        agree_on_money(&mut reader, root, site.as_ref(), &billing);
        for (table, problem, remedy) in payments.contradictions(&portal) {
            reader.contradiction(root, ("payments", table), Wrong::new(problem, remedy));
        }
    }
    // Payers reach the pages of the gateways before they may reach anything else.
    gateway.garden.extend(payments.garden());
    let (settings, site) = reader.finish(site)?;
    Ok(Config {
        development,
        site,
        store,
        http,
        portal,
        gateway,
        mail,
        sms,
        notify,
        billing,
        payments,
        dunning,
        radius,
        control,
        log,
        secrets,
        settings,
    })
}

/// Each method has what it needs.
fn agree_on_eap(reader: &mut Reader<'_>, root: &toml::de::DeTable<'_>, radius: &Radius) {
    for (key, problem, remedy) in radius.eap.contradictions() {
        reader.contradiction_inside(root, ("radius", "eap", key), Wrong::new(problem, remedy));
    }
}

/// Amounts are in the site's currency.
fn agree_on_money(
    reader: &mut Reader<'_>,
    root: &toml::de::DeTable<'_>,
    site: Option<&Site>,
    billing: &Billing,
) {
    if let Some(Err(error)) = site.map(|site| billing.large_refund_in(site.currency)) {
        let remedy = "write an amount in the site's currency, with its decimals at most";
        reader.contradiction(root, ("billing", "large_refund"), Wrong::new(error.to_string(), remedy));
    }
}

/// What sections must agree on; looked at once each of them is well by itself.
fn agree(reader: &mut Reader<'_>, root: &toml::de::DeTable<'_>, parts: (&Portal, &Gateway, &Mail, &Sms)) {
    let (portal, gateway, mail, sms) = parts;
    let mut refuse = |section: &'static str, key: &'static str, problem: String, remedy: &'static str| {
        reader.contradiction(root, (section, key), Wrong::new(problem, remedy));
    };
    if portal.is_on() && portal.name.is_none() {
        let remedy = "write the name that your resolver answers with this box's address, as name = \"portal.example.net\"";
        refuse("portal", "name", "the portal has listeners and no name".into(), remedy);
    }
    if portal.certificate.is_some() != portal.private_key.is_some() {
        let (key, other) = if portal.certificate.is_some() {
            ("certificate", "private_key")
        } else {
            ("private_key", "certificate")
        };
        refuse("portal", key, format!("given without portal.{other}"), "give both, or neither");
    }
    if !portal.is_on() && !portal.https.is_empty() {
        let remedy = "write http = [\"0.0.0.0:80\", \"[::]:80\"] too, or remove https";
        refuse(
            "portal",
            "https",
            "captive devices ask without TLS first, and nothing listens for them".into(),
            remedy,
        );
    }
    for (key, listeners) in [("http", &portal.http), ("https", &portal.https)] {
        let port = listeners.first().map(std::net::SocketAddr::port);
        if listeners.iter().any(|listener| Some(listener.port()) != port) {
            let problem = "its listeners have different ports, and devices are sent to one".to_owned();
            refuse(
                "portal",
                key,
                problem,
                "use one port for all addresses, as [\"0.0.0.0:80\", \"[::]:80\"]",
            );
        }
    }
    if portal.is_on() && portal.https.is_empty() {
        let remedy = "write https = [\"0.0.0.0:443\", \"[::]:443\"]";
        refuse("portal", "https", "passwords need a listener with TLS".into(), remedy);
    }
    if gateway.enabled && !portal.is_on() {
        let remedy = "write http = [\"0.0.0.0:80\", \"[::]:80\"] under [portal]";
        refuse("gateway", "enabled", "captive devices need the portal's listeners".into(), remedy);
    } else if gateway.enabled
        && let Err(error) = gateway.policy(portal)
    {
        refuse("gateway", "access", error.to_string(), "see the annotated edge.toml");
    }
    agree_on_mail(&mut refuse, mail);
    for (key, problem, remedy) in sms.contradictions() {
        refuse("sms", key, problem, remedy);
    }
}

fn agree_on_mail(refuse: &mut impl FnMut(&'static str, &'static str, String, &'static str), mail: &Mail) {
    if mail.from.as_deref().is_some_and(|from| !is_mailbox(from)) {
        let problem = "this is no address that mail can be from".to_owned();
        refuse("mail", "from", problem, "write from = \"Name <mail@example.net>\"");
    }
    if mail.security == MailSecurity::Plain
        && mail.password.is_some()
        && mail.server.as_ref().is_some_and(|server| !server.is_near())
    {
        let problem = "the password would cross the Internet in clear".to_owned();
        refuse("mail", "security", problem, "write security = \"starttls\" or \"tls\"");
    }
    if mail.server.is_some() && mail.from.is_none() {
        refuse(
            "mail",
            "from",
            "a server is named and no sender".into(),
            "write from = \"Name <mail@example.net>\"",
        );
    }
    if mail.username.is_some() != mail.password.is_some() {
        refuse("mail", "username", "login and password belong together".into(), "give both, or neither");
    }
}

impl Config {
    /// Each setting in force and where it came from, in the order of the sections.
    #[must_use]
    pub fn effective(&self) -> &[Setting] {
        &self.settings
    }
}

/// One setting that differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Dotted path, as `radius.workers`.
    pub key: String,
    /// The value so far, as it would be written in the file.
    pub from: String,
    /// The value wanted.
    pub to: String,
    /// Whether a running daemon can take it over.
    pub applies: Applies,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, from, to, applies } = self;
        match applies {
            Applies::Live => write!(f, "{key} changed from {from} to {to}"),
            Applies::Restart => write!(f, "{key} would change from {from} to {to}; restart to apply it"),
        }
    }
}

/// What a reload from `old` to `new` would change; empty when nothing would.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let before = |key: &str| old.settings.iter().find(|setting| setting.key == key);
    new.settings
        .iter()
        .filter_map(|setting| {
            let from = before(&setting.key).map_or("", |was| was.value.as_str());
            (from != setting.value).then(|| Change {
                key: setting.key.clone(),
                from: from.to_owned(),
                to: setting.value.clone(),
                applies: setting.applies,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "[site]\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"\n";

    #[test]
    fn a_reload_tells_what_changes_and_what_has_to_wait_for_a_restart() {
        let old = parse(SMALLEST, Path::new("a")).unwrap();
        let text = format!("{SMALLEST}name = \"Lekki\"\n[radius]\nworkers = 3\n");
        let new = parse(&text, Path::new("a")).unwrap();
        let changes = diff(&old, &new);
        let short: Vec<_> = changes
            .iter()
            .map(|change| (change.key.as_str(), change.from.as_str(), change.to.as_str(), change.applies))
            .collect();
        assert_eq!(
            short,
            [
                ("site.name", "\"DotMac Edge\"", "\"Lekki\"", Applies::Restart),
                ("radius.workers", "2", "3", Applies::Restart),
            ]
        );
        assert_eq!(diff(&new, &new), []);
    }

    #[test]
    fn a_setting_says_whether_it_was_written_or_is_a_default() {
        let config = parse(SMALLEST, Path::new("a")).unwrap();
        let origin = |key: &str| config.effective().iter().find(|s| s.key == key).unwrap().origin;
        assert_eq!(origin("site.currency"), Origin::File { line: 3 });
        assert_eq!(origin("radius.workers"), Origin::Default);
    }
}
