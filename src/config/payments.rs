//! `[payments]`: the gateways that take money for this site, a table each.
//!
//! A gateway without its keys is off. One rule over all: without TLS only this machine or a private address is
//! called, since keys travel with each call.

use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use super::fault::Wrong;
use super::gateway::Garden;
use super::kind::{Kind, choose, chosen, quoted, text};
use super::portal::{HostName, Portal};
use super::reader::{Applies, Reader, Section};
use super::reference::SecretRef;

/// The gateways' settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payments {
    /// Paystack.
    pub paystack: Paystack,
    /// Flutterwave, in one of its two versions.
    pub flutterwave: Flutterwave,
    /// Stripe Checkout.
    pub stripe: Stripe,
    /// M-Pesa STK push.
    pub mpesa: Mpesa,
}

/// `[payments.paystack]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paystack {
    /// The secret key; without it the gateway is off.
    pub secret_key: Option<SecretRef>,
    /// Where it is called.
    pub base_url: ServiceUrl,
    /// More hosts that its pages may be on.
    pub checkout_hosts: Vec<HostName>,
}

/// `[payments.flutterwave]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flutterwave {
    /// Which API.
    pub version: FlutterwaveVersion,
    /// v3: the secret key.
    pub secret_key: Option<SecretRef>,
    /// What its webhooks are proven by.
    pub secret_hash: Option<SecretRef>,
    /// v4: the program's name.
    pub client_id: Option<String>,
    /// v4: its secret.
    pub client_secret: Option<SecretRef>,
    /// v4: how webhooks are proven.
    pub signature: FlutterwaveSignature,
    /// v4: what payers pay by.
    pub method: FlutterwaveMethod,
    /// Where it is called; by the version where nothing is said.
    pub base_url: Option<ServiceUrl>,
    /// v4: where tokens are had.
    pub token_url: ServiceUrl,
    /// More hosts that its pages may be on.
    pub checkout_hosts: Vec<HostName>,
}

/// `[payments.stripe]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripe {
    /// The secret key; without it the gateway is off.
    pub secret_key: Option<SecretRef>,
    /// The signing secret of the webhook's endpoint.
    pub webhook_secret: Option<SecretRef>,
    /// Where it is called.
    pub base_url: ServiceUrl,
    /// More hosts that its pages may be on.
    pub checkout_hosts: Vec<HostName>,
}

/// `[payments.mpesa]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mpesa {
    /// The business's number; without it the gateway is off.
    pub shortcode: Option<String>,
    /// Goes into the password of each call.
    pub passkey: Option<SecretRef>,
    /// The program's name.
    pub consumer_key: Option<SecretRef>,
    /// Its secret.
    pub consumer_secret: Option<SecretRef>,
    /// The part of the callback's path that nobody can guess.
    pub callback_token: Option<SecretRef>,
    /// Where callbacks come from; empty: from anywhere.
    pub sources: Vec<IpNet>,
    /// Where it is called.
    pub base_url: ServiceUrl,
}

impl Payments {
    pub(super) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Self {
        reader.section(root, SECTION, |section| {
            section.tables(&["paystack", "flutterwave", "stripe", "mpesa"])
        });
        Self {
            paystack: reader.inner(root, (SECTION, "paystack", "payments.paystack"), Paystack::read),
            flutterwave: reader.inner(
                root,
                (SECTION, "flutterwave", "payments.flutterwave"),
                Flutterwave::read,
            ),
            stripe: reader.inner(root, (SECTION, "stripe", "payments.stripe"), Stripe::read),
            mpesa: reader.inner(root, (SECTION, "mpesa", "payments.mpesa"), Mpesa::read),
        }
    }

    /// Which keys are missing, by table: what is half there would fail only when somebody pays.
    pub(super) fn missing(&self) -> Vec<(&'static str, &'static str)> {
        let mut missing = Vec::new();
        let mut all = |table: &'static str, keys: &[(&'static str, bool)]| {
            let any = keys.iter().any(|(_, is_there)| *is_there);
            missing
                .extend(keys.iter().filter(|(_, is_there)| any && !is_there).map(|(key, _)| (table, *key)));
        };
        let Self { flutterwave, stripe, mpesa, .. } = self;
        match flutterwave.version {
            FlutterwaveVersion::V3 => all(
                "flutterwave",
                &[
                    ("secret_key", flutterwave.secret_key.is_some()),
                    ("secret_hash", flutterwave.secret_hash.is_some()),
                ],
            ),
            FlutterwaveVersion::V4 => all(
                "flutterwave",
                &[
                    ("client_id", flutterwave.client_id.is_some()),
                    ("client_secret", flutterwave.client_secret.is_some()),
                    ("secret_hash", flutterwave.secret_hash.is_some()),
                ],
            ),
        }
        all(
            "stripe",
            &[
                ("secret_key", stripe.secret_key.is_some()),
                ("webhook_secret", stripe.webhook_secret.is_some()),
            ],
        );
        all(
            "mpesa",
            &[
                ("shortcode", mpesa.shortcode.is_some()),
                ("passkey", mpesa.passkey.is_some()),
                ("consumer_key", mpesa.consumer_key.is_some()),
                ("consumer_secret", mpesa.consumer_secret.is_some()),
                ("callback_token", mpesa.callback_token.is_some()),
            ],
        );
        missing
    }

    /// The gateways that are on, by the names of the API.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let flutterwave = match self.flutterwave.version {
            FlutterwaveVersion::V3 => self.flutterwave.secret_key.is_some().then_some("flutterwave"),
            FlutterwaveVersion::V4 => self.flutterwave.client_id.is_some().then_some("flutterwave_v4"),
        };
        [
            self.paystack.secret_key.is_some().then_some("paystack"),
            flutterwave,
            self.stripe.secret_key.is_some().then_some("stripe"),
            self.mpesa.shortcode.is_some().then_some("mpesa"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Where the keys of the gateways are kept, by setting.
    #[must_use]
    pub fn keys(&self) -> Vec<(&'static str, &SecretRef)> {
        let Self { paystack, flutterwave, stripe, mpesa } = self;
        [
            ("payments.paystack.secret_key", &paystack.secret_key),
            ("payments.flutterwave.secret_key", &flutterwave.secret_key),
            ("payments.flutterwave.secret_hash", &flutterwave.secret_hash),
            ("payments.flutterwave.client_secret", &flutterwave.client_secret),
            ("payments.stripe.secret_key", &stripe.secret_key),
            ("payments.stripe.webhook_secret", &stripe.webhook_secret),
            ("payments.mpesa.passkey", &mpesa.passkey),
            ("payments.mpesa.consumer_key", &mpesa.consumer_key),
            ("payments.mpesa.consumer_secret", &mpesa.consumer_secret),
            ("payments.mpesa.callback_token", &mpesa.callback_token),
        ]
        .into_iter()
        .filter_map(|(name, key)| key.as_ref().map(|key| (name, key)))
        .collect()
    }

    /// What payers have to reach before they may reach anything else: the pages of the gateways that are on.
    pub(super) fn garden(&self) -> Vec<Garden> {
        let mut garden = Vec::new();
        for name in self.names() {
            let (url, pages, more): (&str, &[&str], &[HostName]) = match name {
                "paystack" => (self.paystack.base_url.as_str(), PAYSTACK, &self.paystack.checkout_hosts),
                "stripe" => (self.stripe.base_url.as_str(), STRIPE, &self.stripe.checkout_hosts),
                "mpesa" => continue,
                _ => (self.flutterwave.url(), FLUTTERWAVE, &self.flutterwave.checkout_hosts),
            };
            garden.extend(pages.iter().filter_map(|name| HostName::parse(name)).map(Garden::Name));
            garden.extend(more.iter().cloned().map(Garden::Name));
            // A stand-in serves its pages where it is called.
            let host =
                url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
            if let Ok(address) = host.parse::<std::net::Ipv4Addr>()
                && !address.is_loopback()
            {
                garden.push(Garden::Network(std::net::IpAddr::V4(address).into()));
            }
        }
        garden
    }

    /// What contradicts itself or others; a table, what is wrong, what to do.
    pub(super) fn contradictions(&self, portal: &Portal) -> Vec<(&'static str, String, &'static str)> {
        let mut found: Vec<_> = self
            .missing()
            .into_iter()
            .map(|(table, key)| {
                (table, format!("{key} is missing"), "give all keys of this gateway, or none")
            })
            .collect();
        if !self.names().is_empty() && portal.name.is_none() {
            let problem = "payers come back to the portal, and it has no name".to_owned();
            found.push(("paystack", problem, "write name = \"portal.example.net\" under [portal]"));
        }
        found
    }
}

impl Paystack {
    fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        Self {
            secret_key: section.optional("secret_key", Restart, None),
            base_url: section.optional("base_url", Restart, ServiceUrl("https://api.paystack.co".to_owned())),
            checkout_hosts: section.optional("checkout_hosts", Restart, Vec::new()),
        }
    }
}

impl Flutterwave {
    fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        let token_url = "https://idp.flutterwave.com/realms/flutterwave/protocol/openid-connect/token";
        Self {
            version: section.optional("version", Restart, FlutterwaveVersion::V3),
            secret_key: section.optional("secret_key", Restart, None),
            secret_hash: section.optional("secret_hash", Restart, None),
            client_id: section.optional("client_id", Restart, None),
            client_secret: section.optional("client_secret", Restart, None),
            signature: section.optional("signature", Restart, FlutterwaveSignature::Hmac),
            method: section.optional("method", Restart, FlutterwaveMethod::Opay),
            base_url: section.optional("base_url", Restart, None),
            token_url: section.optional("token_url", Restart, ServiceUrl(token_url.to_owned())),
            checkout_hosts: section.optional("checkout_hosts", Restart, Vec::new()),
        }
    }

    /// Where it is called.
    #[must_use]
    pub fn url(&self) -> &str {
        match (&self.base_url, self.version) {
            (Some(url), _) => url.as_str(),
            (None, FlutterwaveVersion::V3) => "https://api.flutterwave.com",
            (None, FlutterwaveVersion::V4) => "https://f4bexperience.flutterwave.com",
        }
    }
}

impl Stripe {
    fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        Self {
            secret_key: section.optional("secret_key", Restart, None),
            webhook_secret: section.optional("webhook_secret", Restart, None),
            base_url: section.optional("base_url", Restart, ServiceUrl("https://api.stripe.com".to_owned())),
            checkout_hosts: section.optional("checkout_hosts", Restart, Vec::new()),
        }
    }
}

impl Mpesa {
    fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        // Safaricom names these as the source of its callbacks.
        let sources = ["196.201.212.0/24", "196.201.213.0/24", "196.201.214.0/24"];
        let sources = sources.iter().filter_map(|one| one.parse().ok()).collect();
        Self {
            shortcode: section.optional("shortcode", Restart, None),
            passkey: section.optional("passkey", Restart, None),
            consumer_key: section.optional("consumer_key", Restart, None),
            consumer_secret: section.optional("consumer_secret", Restart, None),
            callback_token: section.optional("callback_token", Restart, None),
            sources: section.optional("sources", Restart, sources),
            base_url: section.optional(
                "base_url",
                Restart,
                ServiceUrl("https://api.safaricom.co.ke".to_owned()),
            ),
        }
    }
}

/// Where a service is called: over TLS, or on this machine or a private address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(written: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_graphic() && !"\\\"<>@?#".contains(c);
        let (scheme, rest) = written.split_once("://")?;
        let authority = rest.split('/').next()?;
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                port.parse::<u16>().ok()?;
                host
            }
            Some(_) | None => authority,
        };
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok();
        let is_near = match address {
            Some(std::net::IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
            Some(std::net::IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
            None => host == "localhost",
        };
        let is_host = address.is_some() || host == "localhost" || HostName::parse(host).is_some();
        let fits = scheme == "https" || (scheme == "http" && is_near);
        (fits && is_host && written.len() <= LONGEST_URL && written.chars().all(plain))
            .then(|| Self(written.trim_end_matches('/').to_owned()))
    }
}

impl Kind for ServiceUrl {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "the address of a service", "\"https://api.example.net\"")?;
        Self::parse(written).ok_or_else(|| {
            Wrong::new(
                format!("{} is no address that is called with a key", quoted(written)),
                "write https://, or http:// with the address of this machine or of a private network",
            )
        })
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
        }

        impl Kind for $name {
            fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
                choose(value, &[$(($word, Self::$variant)),+])
            }

            fn show(&self) -> String {
                chosen(*self, &[$(($word, Self::$variant)),+])
            }
        }
    )+};
}

words! {
    /// Which API of Flutterwave's.
    FlutterwaveVersion {
        /// Version 3.
        V3 = "v3",
        /// Version 4.
        V4 = "v4",
    }
    /// How webhooks of Flutterwave v4 are proven.
    FlutterwaveSignature {
        /// By a signature over the body.
        Hmac = "hmac",
        /// By the secret itself, as version 3 does.
        Plain = "plain",
    }
    /// What payers pay by with Flutterwave v4.
    FlutterwaveMethod {
        /// An OPay wallet, on OPay's page.
        Opay = "opay",
        /// A transfer to an account made for the payment.
        BankTransfer = "bank_transfer",
    }
}

/// Names that Paystack's pages load from.
const PAYSTACK: &[&str] =
    &["checkout.paystack.com", "api.paystack.co", "js.paystack.co", "standard.paystack.co", "paystack.com"];
/// Names that Flutterwave's pages load from.
const FLUTTERWAVE: &[&str] = &[
    "checkout.flutterwave.com",
    "checkout-v2.flutterwave.com",
    "checkout-v2.dev-flutterwave.com",
    "api.flutterwave.com",
    "flutterwave.com",
    "cashier.opayweb.com",
    "cashierapi.opayweb.com",
];
/// Names that Stripe's pages load from, as its integration guide on content policies lists them.
const STRIPE: &[&str] = &[
    "checkout.stripe.com",
    "api.stripe.com",
    "js.stripe.com",
    "hooks.stripe.com",
    "m.stripe.com",
    "m.stripe.network",
    "q.stripe.com",
    "b.stripecdn.com",
    "files.stripe.com",
];
const SECTION: &str = "payments";
/// Longer ones are mistakes.
const LONGEST_URL: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_over_tls_or_not_at_all() {
        for fine in [
            "https://api.example.net",
            "https://api.example.net/v3/",
            "http://127.0.0.1:9000/x",
            "http://10.0.0.2",
        ] {
            assert!(ServiceUrl::parse(fine).is_some(), "{fine}");
        }
        for wrong in [
            "http://api.example.net",
            "http://8.8.8.8",
            "ftp://127.0.0.1",
            "https://a@b.example.net",
            "https://",
            "api.example.net",
            "https://api.example.net?x",
        ] {
            assert_eq!(ServiceUrl::parse(wrong), None, "{wrong}");
        }
    }
}
