//! A lost or misprinted voucher is replaced: another code gets what it was worth, and the old one is dead.
//!
//! The new one is a voucher of the same batch with the next number. It has the sale of the old one, and where that was
//! a stranger's login, the new code is that login from then on. Nothing is posted: what was paid was paid for both.
//! The one rule: one commit ends the old code and makes the new one, which is shown once.

use jiff::Timestamp;
use serde_json::json;

use super::Vouchers;
use super::envelope::Card;
use super::usage::Found;
use crate::base::secret::Secret;
use crate::billing::fault::BillingError;
use crate::domain::audit::Actor;
use crate::domain::ids::VoucherId;
use crate::domain::service::{Credential, Service};
use crate::domain::text::Username;
use crate::domain::voucher::{Voucher, VoucherBatch, VoucherState, source};
use crate::domain::voucher_code::VoucherCode;
use crate::store::contract::{CommitError, Unit};
use crate::store::draft::Draft;
use crate::store::snapshot::credential_context;
use crate::store::tables::Services;
use crate::store::tables::vouchers::{VoucherBatches, Vouchers as Table};

/// A voucher in the place of another.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The old one, as it was.
    pub old: Found,
    /// The new one.
    pub voucher: Voucher,
    /// The batch of both, with the new one in it.
    pub batch: VoucherBatch,
    /// The new code; it cannot be read again.
    pub card: Card,
}

impl Vouchers {
    /// Replaces a voucher that was not used, or that is the login of a stranger who lost it.
    ///
    /// # Errors
    /// `NotFound`; `Rule` for one that was taken back, replaced, is over, or was used by a customer, whose time goes on
    /// without it; faults of ours.
    pub async fn replace(
        &self,
        actor: &Actor,
        reference: &str,
        note: Option<&str>,
        now: Timestamp,
    ) -> Result<Draft<Replaced>, BillingError> {
        let old = self.voucher(reference).await?;
        must_be_replaceable(&old, now)?;
        let code = VoucherCode::draw(self.entropy().bytes::<128>()?)
            .ok_or_else(|| BillingError::rule("no code could be drawn; try again"))?;
        let number = old.batch.next_number();
        let made_at_sale = old.batch.made_at_sale.saturating_add(1);
        let batch = VoucherBatch { made_at_sale, ..old.batch.clone() };
        let voucher = Voucher {
            id: VoucherId(self.entropy().uuid_v7(now)?),
            number,
            code_hash: self.0.key.hash(&code),
            replaced_by: None,
            ..old.voucher.clone()
        };
        let dead = Voucher {
            revoked_at: Some(now),
            replaced_by: Some(voucher.id),
            used: None,
            ..old.voucher.clone()
        };
        let unit = self
            .once(now)?
            .replace::<VoucherBatches>(&batch.id, old.batch_version, &batch)?
            .replace::<Table>(&dead.id, old.version, &dead)?
            .create::<Table>(&voucher.id, &voucher)?;
        let unit = self.log_in_by(unit, &old.voucher, (&voucher, &code), now).await?;
        let card = Card { number, serial: batch.serial(number), code: code.shown(batch.prefix.as_ref()) };
        let facts = json!({ "number": old.serial(), "by": card.serial, "note": note });
        let unit = unit.event("voucher.replaced", dead.id, facts.clone());
        let unit = self.audited(unit, actor, ("voucher.replace", &dead.id), (None, Some(facts)), now)?;
        Ok(Draft::new(unit, Replaced { old, voucher, batch, card }))
    }

    /// Where a code is a stranger's login, the new one is it: what it gave is of the new voucher, and so is the name.
    async fn log_in_by(
        &self,
        unit: Unit,
        old: &Voucher,
        (new, code): (&Voucher, &VoucherCode),
        now: Timestamp,
    ) -> Result<Unit, BillingError> {
        let Some(used) = &old.used else { return Ok(unit) };
        let gone = || BillingError::rule("the service of the voucher is not there any more; sell another");
        let record = self.store().get::<Services>(&used.service_id).await?.ok_or_else(gone)?;
        let mut service: Service = record.body;
        let (before, after) = (source(old.id), source(new.id));
        // Of several vouchers of one service, the first is its login.
        let made_it = service.intervals.first().is_some_and(|first| first.source == before);
        for interval in service.intervals.iter_mut().filter(|one| one.source == before) {
            interval.source.clone_from(&after);
        }
        if made_it {
            service.username = Username::parse(&self.handle(code))
                .map_err(|error| BillingError::rule(format!("the new code makes no login: {error}")))?;
            let (context, secret) = (credential_context(service.id), Secret::from_text(code.canonical()));
            let sealed = self.0.vault.seal(self.entropy(), &context, &secret);
            let sealed = sealed.map_err(|error| CommitError::Unavailable(error.to_string()))?;
            service.credential = Credential::Sealed { sealed: sealed.into() };
        }
        service.updated_at = now;
        let payload = json!({ "customer_id": service.subscriber_id, "action": "voucher.replace" });
        let unit = unit.replace::<Services>(&service.id, record.version, &service)?;
        Ok(unit.event("service.changed", service.id, payload))
    }
}

fn must_be_replaceable(found: &Found, now: Timestamp) -> Result<(), BillingError> {
    let rule = |text: &str| Err(BillingError::rule(text));
    if found.voucher.replaced_by.is_some() {
        return rule("the voucher was replaced before; replace the one that came in its place");
    }
    match found.voucher.state(&found.batch, false, now) {
        VoucherState::Revoked => {
            rule("the voucher was taken back, so nothing is left to replace; sell another")
        }
        VoucherState::Expired => {
            rule("the voucher's time is over, so nothing is left to replace; sell another")
        }
        VoucherState::Unused | VoucherState::Active | VoucherState::Exhausted => match &found.voucher.used {
            Some(used) if !used.is_own => rule(
                "the voucher was used by a customer, whose time goes on without its code; it needs no other",
            ),
            Some(_) | None => Ok(()),
        },
    }
}
