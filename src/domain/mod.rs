//! The words of the trade and the rules that need no I/O.
//!
//! Everything here is plain data and plain functions: facts and the time go in, decisions come
//! out. The heart is [`entitlement::entitle`]. The one rule: a type that exists is valid; texts
//! and numbers from outside become these types once, at the border.

pub mod agent;
pub mod api_key;
pub mod audit;
pub mod auth_event;
pub mod coupon;
pub mod device;
pub mod dunning;
pub mod entitlement;
pub mod ids;
pub mod invoice;
pub mod invoice_draft;
pub mod language;
pub mod ledger;
pub mod lock;
pub mod message;
pub mod money;
pub mod nas;
pub mod order;
pub mod owed;
pub mod payment;
pub mod payment_event;
pub mod period;
pub mod plan;
pub mod presence;
pub mod proration;
pub mod provisioning;
pub mod rate;
pub mod refusal;
pub mod role;
pub mod service;
pub mod session;
pub mod signup;
pub mod staff;
pub mod subscriber;
pub mod subscription;
pub mod tax;
pub mod text;
pub mod told;
pub mod usage_terms;
pub mod voucher;
pub mod voucher_code;
pub mod webhook;
