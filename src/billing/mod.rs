//! The ISP's business: what is sold, what is owed, what was paid.
//!
//! Every way in which money comes (webhook, redirect, poll, cashier, voucher) ends in the same posting of
//! one ledger. Not here: whether somebody may be online. Billing changes facts (paid intervals, locks), and
//! `domain::entitlement` follows from them. The one rule: money and what it buys are one commit.

mod apply;
pub mod attempts;
pub mod book;
mod change;
mod contract;
pub mod counter;
pub mod documents;
pub mod fault;
pub mod grant;
pub mod inbox;
pub mod looking;
pub mod proof;
pub mod provider;
pub mod refund;
pub mod settings;
pub mod settle;
pub mod shop;
mod top_up;
pub mod wallet;
