//! Dunning: what happens when an invoice is not paid, step by step.
//!
//! Steps are days and hours of the site's calendar from the due day. The one rule: a step is taken
//! once, and after days of being down only the latest state is taken and at most one message sent.

use serde::{Deserialize, Serialize};

/// The steps, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Told before it is due.
    Reminder,
    /// Told that it is due.
    Due,
    /// Slowed down.
    Throttle,
    /// Only the portal and the way to pay.
    Garden,
    /// Nothing.
    Suspend,
    /// The contract ends.
    Terminate,
}
