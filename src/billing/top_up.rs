//! More data or time for a running period, with a validity of its own.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::contract::Contract;
use super::fault::BillingError;
use super::shop::Shop;
use crate::domain::ids::OrderId;
use crate::domain::invoice::LineSubject;
use crate::domain::order::Purchase;
use crate::domain::service::Service;
use crate::domain::tax::Quote;

/// What one of the plan's offers costs.
pub(super) fn priced(
    _shop: &Shop,
    _service: &Service,
    code: &str,
) -> Result<(Purchase, Quote), BillingError> {
    Err(BillingError::field("offer", format!("the plan offers no {code}")))
}

/// Adds an offer to the service.
pub(super) fn give(
    _contract: &mut Contract,
    offer: &str,
    _order: OrderId,
    _now: Timestamp,
    _zone: &TimeZone,
) -> Result<LineSubject, BillingError> {
    Err(BillingError::field("offer", format!("the plan offers no {offer}")))
}
