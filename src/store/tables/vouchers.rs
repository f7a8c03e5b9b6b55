//! The collections of vouchers and of those who sell them.

use crate::domain::agent::{Agent, Deposit, Shift, VoucherSale};
use crate::domain::ids::{BatchId, DepositId, SaleId, ShiftId, StaffId, VoucherId};
use crate::domain::voucher::{Voucher, VoucherBatch};
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, RecordKey, SealKind};

id_key!(BatchId, VoucherId, SaleId, DepositId, ShiftId);

collection! {
    /// Batches of vouchers. `waits` finds those with something still to do: vouchers to make, codes to forget,
    /// a revocation to carry through.
    VoucherBatches: "voucher_batches", BatchId => VoucherBatch, schema 1, Keyed, counters &[],
    [
        +unique code = |batch| batch.code.as_str().to_uppercase().into(),
        plan_id = |batch| batch.plan_id.to_key().into(),
        imported = |batch| batch.imported.then_some("yes").into(),
        waits = |batch| match waits(batch) {
            true => batch.created_at.as_millisecond().into(),
            false => IndexValue::Null,
        },
        created_at = |batch| batch.created_at.as_millisecond().into(),
    ]
}

const fn waits(batch: &VoucherBatch) -> bool {
    let revoking = batch.revoked_at.is_some() && !batch.revocation_done;
    let making = batch.revoked_at.is_none() && !batch.is_complete();
    revoking || making || batch.envelope.is_some()
}

collection! {
    /// Vouchers, found by the keyed hash of their code and by their place in the batch.
    Vouchers: "vouchers", VoucherId => Voucher, schema 1, Keyed, counters &[],
    [
        +unique code_hash = |one| one.code_hash.clone().into(),
        +unique place = |one| place(one.batch_id, one.number).into(),
        used_of_batch = |one| one.used.as_ref().map(|_| one.batch_id.to_key()).into(),
        service_id = |one| one.used.as_ref().map(|used| used.service_id.to_key()).into(),
    ]
}

/// The index under which a voucher's place is found; order of places is order of numbers.
#[must_use]
pub fn place(batch: BatchId, number: u32) -> String {
    format!("{batch}/{number:06}")
}

collection! {
    /// Agents; key the member of staff.
    Agents: "agents", StaffId => Agent, schema 1, Keyed, counters &[], []
}

collection! {
    /// Sales of vouchers.
    VoucherSales: "voucher_sales", SaleId => VoucherSale, schema 1, Keyed, counters &[],
    [
        seller = |sale| sale.seller.to_key().into(),
        batch_id = |sale| sale.batch_id.to_key().into(),
        shift_id = |sale| sale.shift_id.map(|id| id.to_key()).into(),
        at = |sale| sale.at.as_millisecond().into(),
    ]
}

collection! {
    /// What agents paid in.
    Deposits: "agent_deposits", DepositId => Deposit, schema 1, Keyed, counters &[],
    [
        agent = |deposit| deposit.agent.to_key().into(),
        shift_id = |deposit| deposit.shift_id.map(|id| id.to_key()).into(),
    ]
}

collection! {
    /// Shifts; a person has at most one that is open.
    Shifts: "shifts", ShiftId => Shift, schema 1, Keyed, counters &[],
    [
        staff_id = |shift| shift.staff_id.to_key().into(),
        +unique open_of = |shift| match shift.closed {
            None => shift.staff_id.to_key().into(),
            Some(_) => IndexValue::Null,
        },
        opened_at = |shift| shift.opened_at.as_millisecond().into(),
    ]
}

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![
        Registration::of::<VoucherBatches>(),
        Registration::of::<Vouchers>(),
        Registration::of::<Agents>(),
        Registration::of::<VoucherSales>(),
        Registration::of::<Deposits>(),
        Registration::of::<Shifts>(),
    ]
}
