//! (room under construction)

pub mod audit;
pub mod auth;
pub mod auth_events;
pub mod customers;
pub mod nas;
pub mod plans;
pub mod provisioning;
pub mod services;
pub mod sessions;
pub mod system;
pub mod users;
