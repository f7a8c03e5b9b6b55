//! Messages to people: written down in the unit of the change that they are about, and sent on by a job.
//!
//! | file | what |
//! |---|---|
//! | [`letter`] | what our messages say |
//! | [`smtp`] | the way to the mail server |
//! | [`queue`] | rows that wait, tries, and when to give up |
//! | [`courier`] | tells the ISP's programs of events: written down from the feed, signed, sent in order |
//! | [`outbound`] | calls to other people's servers |
//!
//! Not here: what a message is about. The one rule: a message is a row before it is a mail, so that no crash
//! and no ill mail server loses one.

pub mod courier;
pub mod letter;
pub mod outbound;
pub mod queue;
pub mod smtp;

pub use letter::Letter;
pub use outbound::{Outbound, OutboundError, Reply, Request};
pub use queue::{NotifyError, Post, Sent};
pub use smtp::{Security, Smtp, SmtpError, SmtpSettings};
