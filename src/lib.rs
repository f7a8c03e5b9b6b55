//! DotMac Edge: the ISP side of DotMac as one daemon on the ISP's gateway.
//!
//! It answers RADIUS for subscribers, keeps plans, customers and sessions, and lets the ISP's
//! staff and programs manage them. Everything follows from one idea: **access is derived, never
//! set**. Whether a subscriber may be online, and how fast, is one pure function of stored facts
//! and the time: [`domain::entitlement::entitle`]. Read that first.
//!
//! The rooms, from the floor up (imports point down only; `tests/architecture.rs` holds it):
//!
//! | line | rooms | in a sentence |
//! |---|---|---|
//! | floor | [`base`] | clock, randomness, secrets, logging |
//! | words | [`domain`] | the trade's nouns and rules, without I/O |
//! | engines | [`radius`], [`eap`], [`firewall`] | the RADIUS protocol; EAP and its methods; who may pass the gateway, and the kernel that lets them |
//! | ports | [`store`], [`nas`], [`notify`] | what outlives the process; what differs by maker of NAS; how messages leave |
//! | use cases | [`access`], [`people`], [`catalogue`], [`enforce`] | who gets on; who works here; what is sold; that the network does it |
//! | use cases | [`billing`] | money: orders, invoices, payments, the ledger that they all end in |
//! | use cases | [`paper`] | what is printed: invoices, receipts, statements, voucher sheets |
//! | journeys | [`reception`] | what takes several of them: a subscriber who signs up, logs in, goes online |
//! | doors | [`serve`] | RADIUS, HTTP API, portal, control socket |
//! | wiring | [`config`], [`daemon`], [`cli`] | one file in, one process out |

pub mod access;
pub mod base;
pub mod billing;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod eap;
pub mod enforce;
pub mod firewall;
pub mod nas;
pub mod notify;
pub mod paper;
pub mod people;
pub mod radius;
pub mod reception;
pub mod serve;
pub mod store;
