//! The gateway's firewall: who may pass, how fast, and how much did. It knows interfaces, addresses and
//! numbers of subscribers, never plans, money or records; who is admitted is decided elsewhere.
//!
//! | file | what |
//! |---|---|
//! | [`name`], [`policy`], [`admission`] | the words: what is wanted of the gateway, and for a subscriber |
//! | [`ruleset`] | policy to the one transaction of constant rules |
//! | [`change`] | wanted against in force: the smallest list of changes |
//! | [`kernel`] | the only files that touch `nft`, netlink and processes |
//!
//! The one rule: rules are constant and subscribers are elements of sets, so an activation is one small
//! transaction however many subscribers there are, and a reinstall of the rules disturbs none.

pub mod admission;
pub mod change;
pub mod kernel;
pub mod name;
pub mod policy;
pub mod ruleset;
