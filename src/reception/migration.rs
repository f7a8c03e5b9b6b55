//! An ISP moves in from another system: plans, NAS, customers with their services, and what they had.
//!
//! In this order, since each needs the one before: plans and NAS with the first part of a file, customers part by
//! part, balances with the last. The one rule: the same file again changes nothing: plans are known by their
//! code, NAS by their name, customers by their number, and a balance is booked once for each customer there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Reception;
use crate::billing::BillingError;
use crate::catalogue::fault::Fault;
use crate::catalogue::foreign::{self, Foreign, ForeignBalance, ForeignNas, ForeignPlan, System};
use crate::catalogue::form::Form;
use crate::catalogue::import::{Part, Register, Report};
use crate::catalogue::nas::NasWish;
use crate::catalogue::plan_form;
use crate::catalogue::roster::BadLine;
use crate::domain::audit::Actor;
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::nas::{COA_PORT, MessageAuthenticatorPolicy};
use crate::domain::voucher_code::VoucherCode;
use crate::store::listing;
use crate::store::tables::Subscribers;

/// What a part of a move came to; of a dry run, what it would come to.
#[derive(Debug, Default)]
pub struct Migrated {
    /// Customers and services.
    pub customers: Report,
    /// Plans made, and those that were there.
    pub plans: Count,
    /// NAS entered, and those that were there.
    pub nas: Count,
    /// Balances booked, and those that were before.
    pub balances: Count,
    /// Vouchers that go on working, and those that did before.
    pub vouchers: Count,
    /// What was left out of lines that are taken.
    pub notes: Vec<BadLine>,
}

/// How many are new, and how many were there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// New.
    pub created: u64,
    /// As they were.
    pub unchanged: u64,
}

/// Why a move stopped; what was taken until then stands, and the same file goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// Of catalogue or customers.
    #[error(transparent)]
    Catalogue(#[from] Fault),
    /// Of the ledger.
    #[error(transparent)]
    Billing(#[from] BillingError),
}

/// On whose behalf, when, and whether only to say what would happen.
#[derive(Clone, Copy)]
struct Under<'a> {
    actor: &'a Actor,
    now: Timestamp,
    dry_run: bool,
}

impl Reception {
    /// Takes in the part of an export that `part` names.
    ///
    /// # Errors
    /// [`MigrationError`]; what is wrong with single lines is in the answer.
    pub async fn migrate(
        &self,
        from: System,
        file: &[u8],
        part: Part,
        register: &Register<'_>,
        (actor, now): (&Actor, Timestamp),
    ) -> Result<Migrated, MigrationError> {
        let catalogue = &self.0.catalogue;
        let mut export = foreign::read(from, file, catalogue.plans.currency(), self.vouchers().zone())?;
        let under = Under { actor, now, dry_run: part.dry_run };
        let mut migrated = Migrated::default();
        let is_first = part.from_line == 0;
        if is_first {
            let made = self.take_plans(&mut export, under, &mut migrated).await?;
            if part.dry_run {
                without_plans_to_come(&mut export, &made);
            }
            self.take_nas(&mut export, under, &mut migrated).await?;
        }
        let rows = std::mem::take(&mut export.rows).into_iter().map(Ok);
        migrated.customers = catalogue.import.take_in(register, actor, rows, part, now).await?;
        if migrated.customers.next_line.is_none() {
            let balances = std::mem::take(&mut export.balances);
            for balance in &balances {
                self.take_balance(from, balance, under, &mut migrated, &mut export.failed).await?;
            }
            self.take_vouchers(from, &mut export, under, &mut migrated).await?;
        }
        if is_first {
            migrated.notes = export.notes;
            migrated.customers.failed.extend(export.failed);
            migrated.customers.failed.sort_by_key(|bad| bad.line);
        }
        Ok(migrated)
    }

    async fn take_plans(
        &self,
        export: &mut Foreign,
        under: Under<'_>,
        migrated: &mut Migrated,
    ) -> Result<BTreeSet<String>, MigrationError> {
        let mut made = BTreeSet::new();
        for plan in std::mem::take(&mut export.plans) {
            match self.take_plan(&plan, under).await {
                Ok(true) => {
                    migrated.plans.created = migrated.plans.created.saturating_add(1);
                    made.insert(plan.code.to_lowercase());
                }
                Ok(false) => migrated.plans.unchanged = migrated.plans.unchanged.saturating_add(1),
                Err(fault) => export.failed.push(bad(plan.line, "plan", fault)?),
            }
        }
        Ok(made)
    }

    async fn take_plan(&self, plan: &ForeignPlan, under: Under<'_>) -> Result<bool, Fault> {
        let plans = &self.0.catalogue.plans;
        match plans.get(&plan.code).await {
            Ok(_) => return Ok(false),
            Err(Fault::NotFound { .. }) => {}
            Err(fault) => return Err(fault),
        }
        let form = Form::read(plan.body.to_string().as_bytes())?;
        let wish = plan_form::read(form, None, plans.currency())?;
        if !under.dry_run {
            let draft = plans.create(under.actor, wish, under.now).await?;
            self.commit(draft.unit).await?;
        }
        Ok(true)
    }

    async fn take_nas(
        &self,
        export: &mut Foreign,
        under: Under<'_>,
        migrated: &mut Migrated,
    ) -> Result<(), MigrationError> {
        for one in std::mem::take(&mut export.nas) {
            match self.take_one_nas(&one, under).await {
                Ok(true) => migrated.nas.created = migrated.nas.created.saturating_add(1),
                Ok(false) => migrated.nas.unchanged = migrated.nas.unchanged.saturating_add(1),
                Err(fault) => export.failed.push(bad(one.line, "nas", fault)?),
            }
        }
        Ok(())
    }

    async fn take_one_nas(&self, one: &ForeignNas, under: Under<'_>) -> Result<bool, Fault> {
        let devices = &self.0.catalogue.nas;
        match devices.get(one.name.as_str()).await {
            Ok(_) => return Ok(false),
            Err(Fault::NotFound { .. }) => {}
            Err(fault) => return Err(fault),
        }
        let wish = NasWish {
            name: one.name.clone(),
            address: one.address,
            kind: one.kind,
            message_authenticator: MessageAuthenticatorPolicy::Require,
            coa_port: Some(COA_PORT),
            is_active: true,
            note: None,
        };
        // Drafting checks the secret, also of a dry run.
        let draft = devices.create(under.actor, wish, one.secret.clone(), under.now).await?;
        if !under.dry_run {
            self.commit(draft.unit).await?;
        }
        Ok(true)
    }

    /// Vouchers that nobody used, of plans that are here by now.
    async fn take_vouchers(
        &self,
        from: System,
        export: &mut Foreign,
        under: Under<'_>,
        migrated: &mut Migrated,
    ) -> Result<(), MigrationError> {
        let mut by_plan = BTreeMap::<String, (u64, Vec<VoucherCode>)>::new();
        for one in std::mem::take(&mut export.vouchers) {
            by_plan.entry(one.plan).or_insert((one.line, Vec::new())).1.push(one.code);
        }
        for (plan, (line, codes)) in by_plan {
            if under.dry_run && self.0.catalogue.plans.get(&plan).await.is_err() {
                // A dry run makes no plan; with it, all of them would be taken.
                migrated.vouchers.created = migrated.vouchers.created.saturating_add(length(&codes));
                continue;
            }
            let taken =
                self.vouchers().take_in(under.actor, (from.name(), &plan), &codes, under.dry_run, under.now);
            match taken.await {
                Ok(taken) => {
                    migrated.vouchers.created = migrated.vouchers.created.saturating_add(taken.created);
                    migrated.vouchers.unchanged = migrated.vouchers.unchanged.saturating_add(taken.unchanged);
                }
                Err(
                    fault @ (BillingError::Rule(_)
                    | BillingError::Field { .. }
                    | BillingError::NotFound { .. }),
                ) => {
                    let message = format!("{} vouchers of {plan} were not taken: {fault}", codes.len());
                    export.failed.push(BadLine { line, field: "voucher".to_owned(), message });
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(())
    }

    /// Books what a customer had, or owed, once.
    async fn take_balance(
        &self,
        from: System,
        one: &ForeignBalance,
        under: Under<'_>,
        migrated: &mut Migrated,
        failed: &mut Vec<BadLine>,
    ) -> Result<(), MigrationError> {
        let book = &self.0.billing.book;
        let source = format!("opening:{}:{}", from.name(), one.their_id);
        if book.booked(&source).await?.is_some() {
            migrated.balances.unchanged = migrated.balances.unchanged.saturating_add(1);
            return Ok(());
        }
        let number = one.customer_number.as_str().to_lowercase();
        let found = listing::one_by::<Subscribers>(&self.0.store, "customer_number", number).await;
        let owner = found.map_err(Fault::from)?;
        match owner {
            None if under.dry_run => {}
            None => {
                let message = "was not booked, since its customer was not taken".to_owned();
                failed.push(BadLine { line: one.line, field: "balance".to_owned(), message });
                return Ok(());
            }
            Some(owner) if !under.dry_run => {
                let mut leaf = book.open().await;
                let memo = format!("Balance brought from {}", from.name());
                let entry = Entry::new(PostingKind::Opening, source, memo)
                    .debit(Account::Opening, one.amount)
                    .credit(Account::Wallet(owner.body.id), one.amount);
                leaf.post(entry);
                leaf.commit(under.now).await?;
            }
            Some(_) => {}
        }
        migrated.balances.created = migrated.balances.created.saturating_add(1);
        Ok(())
    }
}

fn length<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

/// A dry run makes no plan, so that services on plans to come cannot be looked at any further.
fn without_plans_to_come(export: &mut Foreign, made: &BTreeSet<String>) {
    for row in &mut export.rows {
        if row.service.as_ref().is_some_and(|service| made.contains(&service.plan.to_lowercase())) {
            row.service = None;
        }
    }
}

/// What a fault says about one line; a fault of ours ends the move.
fn bad(line: u64, what: &str, fault: Fault) -> Result<BadLine, MigrationError> {
    let told = |field: &str, message: String| BadLine { line, field: field.to_owned(), message };
    match fault {
        Fault::Fields(errors) => {
            let texts: Vec<_> = errors.iter().map(|one| format!("{} {}", one.field, one.message)).collect();
            Ok(told(what, texts.join("; ")))
        }
        Fault::NotFound { .. } | Fault::Rule(_) | Fault::Stale { .. } | Fault::Taken { .. } => {
            Ok(told(what, fault.to_string()))
        }
        Fault::Read(_) | Fault::Commit(_) | Fault::Vault(_) | Fault::Entropy(_) => Err(fault.into()),
    }
}
