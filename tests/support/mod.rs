//! What several tests need.

#![allow(missing_docs, unreachable_pub)]

pub mod desk;
pub mod edge;
pub mod http;
pub mod mail;
pub mod sms;
