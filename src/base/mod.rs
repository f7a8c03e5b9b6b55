//! Small things that every room may use. No room's knowledge lives here, and nothing here
//! imports a room. The one rule: whatever reads the outside (time, randomness) is asked for by
//! name at the rim and handed in, so that the rooms above stay plain functions.

pub mod backoff;
pub mod clock;
pub mod entropy;
pub mod health;
pub mod jobs;
pub mod secret;
pub mod telemetry;
