//! A reception as the daemon wires it, for the APIs that tests start: no network of this box, so no device.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use dotmac_edge::access::{Access, ClassKey, Parts as AccessParts};
use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::billing::provider::Providers;
use dotmac_edge::billing::{Billing, Settings};
use dotmac_edge::catalogue::Catalogue;
use dotmac_edge::domain::language::Language;
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::subscription::OwnPause;
use dotmac_edge::notify::{
    Carrier, Phrases, Post, PostParts, Rules, Security, SiteWords, Smtp, SmtpSettings, Writer,
};
use dotmac_edge::people::People;
use dotmac_edge::people::subscribers::Subscribers;
use dotmac_edge::reception::{Parts, Reception, SignupSettings};
use dotmac_edge::store::Store;
use dotmac_edge::store::snapshot::Snapshot;
use dotmac_edge::store::vault::Vault;
use jiff::tz::TimeZone;

pub struct Rooms<'a> {
    pub store: &'a Store,
    pub vault: &'a Vault,
    pub clock: &'a Clock,
    pub people: &'a People,
    pub subscribers: &'a Subscribers,
    pub catalogue: &'a Catalogue,
    pub post: &'a Post,
}

/// A queue that sends to the server on this port, or nowhere.
pub fn post(store: &Store, vault: &Vault, port: Option<u16>) -> Post {
    post_by(store, vault, port.map(mail).into_iter().collect(), Rules::default())
}

/// Mail by the server on this port.
pub fn mail(port: u16) -> Carrier {
    let (from, host) = ("Lekki WiFi <wifi@example.net>".to_owned(), "127.0.0.1".to_owned());
    Carrier::Mail(
        Smtp::new(SmtpSettings { host, port, security: Security::Plain, login: None, from }).unwrap(),
    )
}

/// A queue that sends by these.
pub fn post_by(store: &Store, vault: &Vault, carriers: Vec<Carrier>, rules: Rules) -> Post {
    let site = SiteWords {
        name: "Lekki POP 1".to_owned(),
        language: Language::english(),
        zone: TimeZone::get("Africa/Lagos").unwrap(),
        origin: "https://portal.example.net".to_owned(),
    };
    Post::new(PostParts {
        store: store.clone(),
        vault: vault.clone(),
        entropy: Entropy::System,
        writer: Writer::new(Phrases::built_in(), site),
        rules,
        carriers,
    })
}

/// The business of a site in Lagos without tax.
pub fn billing(rooms: &Rooms<'_>) -> Billing {
    let zone = TimeZone::get("Africa/Lagos").unwrap();
    let own_pause = OwnPause { most_days: 30, a_year: 2 };
    let settings = Settings { own_pause, ..Settings::plain(Currency::parse("NGN").unwrap(), zone) };
    let provisioning = rooms.catalogue.provisioning.clone();
    Billing::new(rooms.store, &Entropy::System, &settings, Arc::new(move || provisioning.wake()))
}

pub async fn reception(rooms: Rooms<'_>) -> Reception {
    reception_with(rooms, Providers::none()).await
}

/// The same with these gateways.
pub async fn reception_with(rooms: Rooms<'_>, gateways: Providers) -> Reception {
    let unseal = rooms.vault.clone();
    let unseal = Box::new(move |context: &str, sealed: &str| {
        let sealed = dotmac_edge::store::SealedSecret::parse(sealed).ok()?;
        unseal.unseal(context, &sealed).ok()
    });
    let access = Access::open(AccessParts {
        store: rooms.store.clone(),
        snapshot: Arc::new(Snapshot::new(unseal)),
        class_key: ClassKey::new(&rooms.vault.derive("class")).unwrap(),
        zone: TimeZone::get("Africa/Lagos").unwrap(),
        entropy: Entropy::System,
        now: rooms.clock.now(),
    });
    Reception::new(Parts {
        store: rooms.store.clone(),
        vault: rooms.vault.clone(),
        entropy: Entropy::System,
        access: access.await.unwrap(),
        enforcer: None,
        teller: None,
        people: rooms.people.clone(),
        subscribers: rooms.subscribers.clone(),
        catalogue: rooms.catalogue.clone(),
        post: rooms.post.clone(),
        billing: billing(&rooms).with_gateways(gateways, "https://portal.example.net".to_owned()),
        clock: rooms.clock.clone(),
        signup: SignupSettings {
            open: true,
            origin: "https://portal.example.net".to_owned(),
            site: "Lekki POP 1".to_owned(),
        },
    })
}
