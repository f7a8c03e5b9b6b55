//! SMS: what a text costs, and the carriers that take it.
//!
//! | file | what |
//! |---|---|
//! | [`segments`] | the parts of 140 octets that a text needs |
//! | [`number`] | numbers as carriers want them |
//! | [`http`] | any carrier with an HTTP interface, by templates |
//! | [`termii`], [`africastalking`], [`twilio`] | carriers by name |
//!
//! A closed list: another carrier is another file and another line here. The one rule: a message counts as taken
//! only when the carrier says so, and a call without an answer counts as unsure, never as not made.

pub mod africastalking;
pub mod http;
pub mod number;
pub mod segments;
pub mod termii;
pub mod twilio;

use super::carrier::{Taken, Untaken};
use super::outbound::{Outbound, OutboundError, Reply, Request};
use crate::base::secret::Secret;
use crate::domain::message::{Delivery, Message, Recipient};

/// A carrier of SMS; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sms {
    outbound: Outbound,
    provider: Provider,
    country: Option<String>,
    settings: Secret,
}

/// Which carrier, with what it wants to know.
#[derive(Debug, Clone)]
pub enum Provider {
    /// Any with an HTTP interface.
    Http(http::Http),
    /// Termii.
    Termii(termii::Termii),
    /// Africa's Talking.
    AfricasTalking(africastalking::AfricasTalking),
    /// Twilio.
    Twilio(twilio::Twilio),
}

/// One SMS as carriers get it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    /// The number, digits only, with the country's code first.
    pub(super) to: &'a str,
    pub(super) text: &'a str,
    pub(super) message: &'a Message,
}

impl Sms {
    /// A carrier, and the country whose numbers are written without its code.
    ///
    /// # Errors
    /// A URL that may not be called, in a sentence.
    pub fn new(provider: Provider, country: Option<String>) -> Result<Self, OutboundError> {
        let url = match &provider {
            Provider::Http(http) => http.origin(),
            Provider::Termii(termii) => termii.base.clone(),
            Provider::AfricasTalking(talking) => talking.base.clone(),
            Provider::Twilio(twilio) => twilio.base.clone(),
        };
        let outbound = Outbound::trusted([url.as_str()])?;
        let told = match &provider {
            Provider::Http(http) => http.told(),
            Provider::Termii(termii) => termii.told(),
            Provider::AfricasTalking(talking) => talking.told(),
            Provider::Twilio(twilio) => twilio.told(),
        };
        let settings = Secret::from_text(&format!("{told}\n{}", country.as_deref().unwrap_or_default()));
        Ok(Self { outbound, provider, country, settings })
    }

    /// Everything that it sends by, the key too.
    pub(super) const fn settings(&self) -> &Secret {
        &self.settings
    }

    /// Hands one message over.
    ///
    /// # Errors
    /// [`Untaken`].
    pub async fn send(&self, message: &Message, text: &str) -> Result<Taken, Untaken> {
        let Recipient::Sms(phone) = &message.to else {
            return Err(Untaken::Message("it is not to a telephone number".to_owned()));
        };
        let Some(to) = number::international(phone, self.country.as_deref()) else {
            let problem = "the number lacks its country's code; write it with + or set sms.country";
            return Err(Untaken::Message(problem.to_owned()));
        };
        let sms = Outgoing { to: &to, text, message };
        match &self.provider {
            Provider::Http(http) => http.send(&self.outbound, sms).await,
            Provider::Termii(termii) => termii.send(&self.outbound, sms).await,
            Provider::AfricasTalking(talking) => talking.send(&self.outbound, sms).await,
            Provider::Twilio(twilio) => twilio.send(&self.outbound, sms).await,
        }
    }

    /// Asks what became of a message that was taken; `None` of carriers that cannot be asked.
    ///
    /// # Errors
    /// [`Untaken`].
    pub async fn ask(&self, carrier_id: &str) -> Result<Option<Delivery>, Untaken> {
        match &self.provider {
            Provider::Twilio(twilio) => twilio.ask(&self.outbound, carrier_id).await.map(Some),
            Provider::Http(_) | Provider::Termii(_) | Provider::AfricasTalking(_) => Ok(None),
        }
    }
}

/// Makes a call; what it answered, whatever its status.
async fn call(outbound: &Outbound, request: &Request) -> Result<Reply, Untaken> {
    outbound.send(request).await.map_err(|error| match error {
        OutboundError::Forbidden(_) | OutboundError::Unreachable(_) | OutboundError::Ours(_) => {
            Untaken::Away(error.to_string())
        }
        OutboundError::NoAnswer(_) | OutboundError::TooLarge => Untaken::Unsure(error.to_string()),
    })
}

/// What a status says where the body says nothing better.
fn by_status(reply: &Reply, said: &str) -> Untaken {
    let told = format!("HTTP {}: {}", reply.status, short(said));
    match reply.status {
        400 | 404 | 413 | 422 => Untaken::Refused(told),
        // A redirect, a key that is not taken, no money, too many, ill: it would be so for every message.
        _ => Untaken::Away(told),
    }
}

/// What a carrier said, as one short line: it is of no known length and kept in a record.
fn short(said: &str) -> String {
    super::news::clean(said)
}

/// A text as part of a URL or a form (RFC 3986 section 2.3).
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut kept = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            kept.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(kept, "%{octet:02X}");
        }
    }
    kept
}

/// Fields as a form.
fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
