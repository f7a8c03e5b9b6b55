//! What several tests need.

#![allow(missing_docs, unreachable_pub)]

pub mod edge;
pub mod http;
