//! The collections of coupons. A use is there while the order that took it waits for money or was paid.

use serde::{Deserialize, Serialize};

use crate::domain::coupon::Coupon;
use crate::domain::ids::{CouponId, OrderId, SubscriberId};
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, RecordKey, SealKind};

id_key!(CouponId);

collection! {
    /// Coupons.
    Coupons: "coupons", CouponId => Coupon, schema 1, Keyed, counters &[],
    [
        +unique code = |coupon| coupon.code.as_str().to_uppercase().into(),
        created_at = |coupon| coupon.created_at.as_millisecond().into(),
    ]
}

collection! {
    /// How often each coupon is taken now; key the coupon's id. Changed within a leaf only, so it is exact.
    CouponTallies: "coupon_tallies", CouponId => u32, schema 1, Keyed, counters &[], []
}

/// A coupon that an order took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponUse {
    /// Which coupon.
    pub coupon_id: CouponId,
    /// By whom.
    pub subscriber_id: SubscriberId,
    /// For which order.
    pub order_id: OrderId,
    /// When.
    pub at: jiff::Timestamp,
}

impl CouponUse {
    /// The record's key.
    #[must_use]
    pub fn key(coupon: CouponId, order: OrderId) -> String {
        format!("{coupon}/{order}")
    }

    /// The index value of one customer's uses of one coupon.
    #[must_use]
    pub fn holder(coupon: CouponId, subscriber: SubscriberId) -> String {
        format!("{coupon}/{subscriber}")
    }
}

collection! {
    /// Coupons that orders took; key `<coupon>/<order>`.
    CouponUses: "coupon_uses", String => CouponUse, schema 1, Keyed, counters &[],
    [holder = |one| IndexValue::Text(CouponUse::holder(one.coupon_id, one.subscriber_id))]
}

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![Registration::of::<Coupons>(), Registration::of::<CouponTallies>(), Registration::of::<CouponUses>()]
}
