//! Messages to people: written down in the unit of the change that they are about, and sent on by a job.
//!
//! | file | what |
//! |---|---|
//! | [`bulletin`] | what billing calls: one notice to one subscriber, in the unit of the change |
//! | [`news`] | what there is to tell, by kind, and how facts are written |
//! | [`phrases`] | the words in the languages of the site: ours and the operator's |
//! | [`letter`] | news as a letter to somebody |
//! | [`queue`] | rows that wait |
//! | [`send`] | sending them: tries, limits, and when to give up |
//! | [`quiet`] | hours in which nobody is written to |
//! | [`proof`] | whether a channel is known to work |
//! | [`log`] | what was sent, and sending it again |
//! | [`carrier`] | what sends by a channel |
//! | [`smtp`] | the way to the mail server |
//! | [`courier`] | tells the ISP's programs of events: written down from the feed, signed, sent in order |
//! | [`sms`] | what an SMS costs, and the carriers |
//! | [`outbound`] | calls to other people's servers |
//!
//! Not here: what a message is about. The one rule: a message is a row before it is a mail, so that no crash
//! and no ill mail server loses one.

pub mod bulletin;
pub mod carrier;
pub mod courier;
pub mod letter;
pub mod log;
pub mod news;
pub mod outbound;
pub mod phrases;
pub mod proof;
pub mod queue;
pub mod quiet;
pub mod send;
pub mod sms;
pub mod smtp;

pub use bulletin::{Bulletin, Notice};
pub use carrier::Carrier;
pub use letter::{Addressee, Letter, SiteWords, Writer};
pub use news::News;
pub use outbound::{Outbound, OutboundError, Reply, Request};
pub use phrases::{PhraseFault, PhraseFile, Phrases};
pub use proof::{ChannelState, Confirmation, ProofError};
pub use queue::{NotifyError, Post, PostParts, Rules};
pub use quiet::QuietHours;
pub use send::Sent;
pub use smtp::{Security, Smtp, SmtpError, SmtpSettings};
