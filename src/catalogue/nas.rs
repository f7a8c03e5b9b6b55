//! The NAS table: who may speak RADIUS to this box, with a secret that is strong, sealed and
//! shown once.
//!
//! Not here: finding the NAS of a datagram (`access`) and how it likes its replies (the room
//! `nas`). The one rule: a secret that everybody knows is never accepted, and none is ever shown
//! a second time.

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::audit::{self, Deed};
use super::fault::{Fault, must_be_at};
use super::plans::Kept;
use crate::base::entropy::Entropy;
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::ids::NasId;
use crate::domain::nas::{MessageAuthenticatorPolicy, Nas, NasKind};
use crate::domain::text::Code;
use crate::store::Store;
use crate::store::contract::{Expected, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::snapshot::secret_context;
use crate::store::tables;
use crate::store::vault::Vault;

/// The use cases of the NAS table.
#[derive(Debug, Clone)]
pub struct NasDevices {
    store: Store,
    entropy: Entropy,
    vault: Vault,
}

/// A NAS as somebody wants it; its secret is apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NasWish {
    /// Name for people, unique.
    pub name: Code,
    /// Where its requests come from.
    pub address: IpNet,
    /// How replies are phrased.
    pub kind: NasKind,
    /// Whether requests must carry a Message-Authenticator.
    pub message_authenticator: MessageAuthenticatorPolicy,
    /// Where it listens for Disconnect- and CoA-Requests; nothing where it cannot be told.
    pub coa_port: Option<u16>,
    /// Whether it may be used.
    pub is_active: bool,
    /// What staff wrote down.
    pub note: Option<String>,
}

/// A NAS with a secret that is shown this once.
#[derive(Debug, Clone)]
pub struct WithSecret {
    /// The record.
    pub nas: Kept<Nas>,
    /// The shared secret.
    pub secret: Secret,
    /// What staff should know about it.
    pub warnings: Vec<String>,
}

/// Which NAS a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NasFilter {
    /// Only those whose name or address contains this.
    pub search: Option<String>,
    /// Only those of this kind.
    pub kind: Option<NasKind>,
    /// Only those that are, or are not, in use.
    pub is_active: Option<bool>,
}

impl NasDevices {
    /// The use cases over a store.
    #[must_use]
    pub const fn new(store: Store, entropy: Entropy, vault: Vault) -> Self {
        Self { store, entropy, vault }
    }

    /// Enters a NAS; its secret is generated unless given.
    ///
    /// # Errors
    /// A field error for a weak secret, `Taken` for name and address; faults of ours.
    pub async fn create(
        &self,
        actor: &Actor,
        wish: NasWish,
        secret: Option<Secret>,
        now: Timestamp,
    ) -> Result<Draft<WithSecret>, Fault> {
        self.must_be_free(&wish, None).await?;
        let id = NasId(self.entropy.uuid_v7(now)?);
        let (secret, warnings) = self.secret(secret, &wish.name)?;
        let nas = Nas {
            id,
            name: wish.name,
            address: wish.address.trunc(),
            kind: wish.kind,
            sealed_secret: self.seal(id, &secret)?,
            sealed_previous: None,
            previous_until: None,
            message_authenticator: wish.message_authenticator,
            coa_port: wish.coa_port,
            is_active: wish.is_active,
            note: wish.note,
            created_at: now,
            updated_at: now,
        };
        let unit = Unit::once(self.entropy.uuid_v7(now)?).create::<tables::NasTable>(&id, &nas)?.event(
            "nas.created",
            id,
            json!({ "name": nas.name }),
        );
        let deed = Deed::made("nas.create", id, without_secrets(&nas));
        let unit = audit::record(unit, &self.entropy, actor, deed, now)?;
        let warnings = warnings.into_iter().chain(standing_warnings(&nas)).collect();
        Ok(Draft::new(unit, WithSecret { nas: Kept { body: nas, version: 1 }, secret, warnings }))
    }

    /// The NAS of that id or name.
    ///
    /// # Errors
    /// `NotFound`; a read that failed.
    pub async fn get(&self, reference: &str) -> Result<Kept<Nas>, Fault> {
        self.find(reference).await.map(Kept::of)
    }

    /// The NAS that fit, oldest first.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn list(&self, filter: &NasFilter, window: Window) -> Result<Listed<Kept<Nas>>, Fault> {
        let fits = |record: &Record<tables::NasTable>| filter.fits(&record.body);
        let listed = listing::list::<tables::NasTable>(&self.store, Walk::all(), window, fits).await?;
        Ok(listed.map(Kept::of))
    }

    /// Changes a NAS: `wish` makes of it as it is what it shall be.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, `Taken`; what `wish` refuses; faults of ours.
    pub async fn change(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        wish: impl FnOnce(&Nas) -> Result<NasWish, Fault> + Send,
        now: Timestamp,
    ) -> Result<Draft<Kept<Nas>>, Fault> {
        let record = self.find(reference).await?;
        must_be_at(record.version, expected)?;
        let wish = wish(&record.body)?;
        self.must_be_free(&wish, Some(record.body.id)).await?;
        let mut after = record.body.clone();
        after.name = wish.name;
        after.address = wish.address.trunc();
        after.kind = wish.kind;
        after.message_authenticator = wish.message_authenticator;
        after.coa_port = wish.coa_port;
        after.is_active = wish.is_active;
        after.note = wish.note;
        if after == record.body {
            return Ok(Draft::new(Unit::natural(), Kept::of(record)));
        }
        after.updated_at = now;
        let unit = self.replaced(actor, "nas.update", "nas.updated", &record, &after, now)?;
        Ok(Draft::new(unit, Kept { body: after, version: record.version.saturating_add(1) }))
    }

    /// Gives a NAS a new secret; the old one is accepted for `grace` more, so that the NAS can be
    /// changed without an outage.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, field errors for a weak secret or a grace above [`MOST_GRACE`].
    pub async fn rotate_secret(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        secret: Option<Secret>,
        grace: SignedDuration,
        now: Timestamp,
    ) -> Result<Draft<WithSecret>, Fault> {
        let record = self.find(reference).await?;
        must_be_at(record.version, expected)?;
        if grace > MOST_GRACE || grace.is_negative() {
            return Err(Fault::field("grace_hours", "must be from 0 to 24 hours"));
        }
        let (secret, warnings) = self.secret(secret, &record.body.name)?;
        let mut after = record.body.clone();
        let sealed = self.seal(after.id, &secret)?;
        let old = std::mem::replace(&mut after.sealed_secret, sealed);
        let until = now.checked_add(grace).unwrap_or(now);
        let kept = !grace.is_zero();
        after.sealed_previous = kept.then_some(old);
        after.previous_until = kept.then_some(until);
        after.updated_at = now;
        let unit = self.replaced(actor, "nas.rotate_secret", "nas.updated", &record, &after, now)?;
        let warnings = warnings.into_iter().chain(standing_warnings(&after)).collect();
        let version = record.version.saturating_add(1);
        Ok(Draft::new(unit, WithSecret { nas: Kept { body: after, version }, secret, warnings }))
    }

    /// Removes a NAS; what it reported stays.
    ///
    /// # Errors
    /// `NotFound`, `Stale`; faults of ours.
    pub async fn remove(
        &self,
        actor: &Actor,
        reference: &str,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Draft<Nas>, Fault> {
        let record = self.find(reference).await?;
        must_be_at(record.version, expected)?;
        let nas = record.body;
        let unit = Unit::once(self.entropy.uuid_v7(now)?)
            .expect::<tables::NasTable>(&nas.id, Expected::Version(record.version))
            .delete::<tables::NasTable>(&nas.id)
            .event("nas.deleted", nas.id, json!({ "name": nas.name }));
        let deed = Deed::removed("nas.delete", nas.id, without_secrets(&nas));
        Ok(Draft::new(audit::record(unit, &self.entropy, actor, deed, now)?, nas))
    }

    fn replaced(
        &self,
        actor: &Actor,
        action: &'static str,
        event: &str,
        before: &Record<tables::NasTable>,
        after: &Nas,
        now: Timestamp,
    ) -> Result<Unit, Fault> {
        let id = after.id;
        let unit = Unit::once(self.entropy.uuid_v7(now)?)
            .replace::<tables::NasTable>(&id, before.version, after)?
            .event(event, id, json!({ "name": after.name }));
        let deed = Deed::changed(action, id, without_secrets(&before.body), without_secrets(after));
        audit::record(unit, &self.entropy, actor, deed, now)
    }

    async fn find(&self, reference: &str) -> Result<Record<tables::NasTable>, Fault> {
        if let Ok(id) = reference.parse::<NasId>()
            && let Some(record) = self.store.get::<tables::NasTable>(&id).await?
        {
            return Ok(record);
        }
        let name = reference.trim().to_lowercase();
        let found = listing::one_by::<tables::NasTable>(&self.store, "name", name).await?;
        found.ok_or_else(|| Fault::not_found("NAS", reference))
    }

    async fn must_be_free(&self, wish: &NasWish, owner: Option<NasId>) -> Result<(), Fault> {
        let name = wish.name.as_str().to_lowercase();
        let address = wish.address.trunc().to_string();
        for (field, index, value) in [("name", "name", name), ("address", "address", address)] {
            let holder = listing::one_by::<tables::NasTable>(&self.store, index, value.clone()).await?;
            if holder.is_some_and(|record| Some(record.body.id) != owner) {
                return Err(Fault::Taken { field, value });
            }
        }
        Ok(())
    }

    fn seal(&self, id: NasId, secret: &Secret) -> Result<String, Fault> {
        Ok(self.vault.seal(&self.entropy, &secret_context(id), secret)?.as_str().to_owned())
    }

    /// The secret to use, with what there is to say about it.
    fn secret(&self, given: Option<Secret>, name: &Code) -> Result<(Secret, Vec<String>), Fault> {
        let Some(given) = given else {
            return Ok((Secret::from_text(&self.entropy.readable(SECRET_SYMBOLS)?), Vec::new()));
        };
        fault_of(&given, name).map_or(Ok(()), |fault| Err(Fault::field("secret", fault)))?;
        let warning = format!(
            "The secret has fewer than {WEAK_BELOW} characters; leave it out to have a strong one made."
        );
        let warnings = if given.len() < WEAK_BELOW { vec![warning] } else { Vec::new() };
        Ok((given, warnings))
    }
}

impl NasFilter {
    fn fits(&self, nas: &Nas) -> bool {
        let kind = self.kind.is_none_or(|kind| nas.kind == kind);
        let active = self.is_active.is_none_or(|wanted| nas.is_active == wanted);
        let named = self.search.as_ref().is_none_or(|search| {
            let search = search.to_lowercase();
            nas.name.as_str().to_lowercase().contains(&search) || nas.address.to_string().contains(&search)
        });
        kind && active && named
    }
}

/// An address or a network of them. A network so wide that anybody is in it is refused.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn nas_address(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let parsed = text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address)));
    let net: IpNet = parsed
        .map_err(|_| "must be an address such as 192.0.2.1 or a network such as 192.0.2.0/24".to_owned())?;
    let least = match net {
        IpNet::V4(_) => WIDEST_V4,
        IpNet::V6(_) => WIDEST_V6,
    };
    if net.prefix_len() < least {
        return Err(format!("must not be wider than /{least}; enter the networks that NAS are really in"));
    }
    if net.addr().is_unspecified() || net.addr().is_multicast() {
        return Err("must be an address that a NAS can send from".to_owned());
    }
    Ok(net)
}

/// What is wrong with a secret that somebody chose.
fn fault_of(secret: &Secret, name: &Code) -> Option<String> {
    let Some(text) = secret.expose_text() else { return Some("must be text".to_owned()) };
    if !(LEAST_SECRET..=MOST_SECRET).contains(&text.len()) {
        return Some(format!(
            "must have {LEAST_SECRET} to {MOST_SECRET} characters; leave it out to have one made"
        ));
    }
    if text.chars().any(char::is_control) {
        return Some("must not contain control characters".to_owned());
    }
    let lower = text.to_lowercase();
    let name = name.as_str().to_lowercase();
    let own =
        KNOWN_PARTS.iter().chain([&name.as_str()]).fold(lower.clone(), |left, part| left.replace(part, ""));
    let mut symbols: Vec<char> = lower.chars().collect();
    symbols.sort_unstable();
    symbols.dedup();
    if own.len() < LEAST_SECRET / 2 || symbols.len() < LEAST_SYMBOLS {
        return Some("is one that anybody would try; leave it out to have one made".to_owned());
    }
    None
}

/// What stands against a NAS's settings for as long as they are so.
#[must_use]
pub fn standing_warnings(nas: &Nas) -> Vec<String> {
    match nas.message_authenticator {
        MessageAuthenticatorPolicy::Require => Vec::new(),
        MessageAuthenticatorPolicy::Allow => vec![
            "Requests without a Message-Authenticator are heard, so replies to this NAS can be forged \
             (CVE-2024-3596); update the NAS and set message_authenticator to require."
                .to_owned(),
        ],
    }
}

/// A NAS as the API and the audit log show it.
#[must_use]
pub fn without_secrets(nas: &Nas) -> Value {
    json!({
        "id": nas.id,
        "name": nas.name,
        "address": nas.address.to_string(),
        "kind": nas.kind,
        "message_authenticator": nas.message_authenticator,
        "is_active": nas.is_active,
        "note": nas.note,
        "previous_secret_until": nas.previous_until,
        "created_at": nas.created_at,
        "updated_at": nas.updated_at,
    })
}

/// Longest time that an old secret is still heard after a rotation: a working day and a night.
pub const MOST_GRACE: SignedDuration = SignedDuration::from_hours(24);
/// 32 symbols of 5 bits: 160 bits.
const SECRET_SYMBOLS: usize = 32;
/// RFC 2865 section 3 asks for at least 16 octets.
const LEAST_SECRET: usize = 16;
/// What every NAS in the field can hold.
const MOST_SECRET: usize = 128;
/// Below this a chosen secret is worth a warning.
const WEAK_BELOW: usize = 24;
/// A secret of fewer different symbols is a pattern.
const LEAST_SYMBOLS: usize = 6;
/// Texts of handbooks and examples: a secret that is little more than one of them is known.
const KNOWN_PARTS: [&str; 12] = [
    "testing123",
    "secret",
    "radius",
    "password",
    "mikrotik",
    "cisco",
    "changeme",
    "admin",
    "sharedsecret",
    "1234567890",
    "qwertyuiop",
    "abcdefgh",
];
/// A /8 is the largest private network.
const WIDEST_V4: u8 = 8;
/// An ISP's whole IPv6 allocation.
const WIDEST_V6: u8 = 29;
