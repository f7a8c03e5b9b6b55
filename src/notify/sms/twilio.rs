//! Twilio: `POST /2010-04-01/Accounts/{sid}/Messages.json`, a form, the account's token as a password.
//!
//! There is no key against doubles, but messages can be listed: before a message is tried again whose first try
//! had no answer, it is looked for.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{FORM, Outgoing, by_status, call, encoded, form, short};
use crate::base::secret::Secret;
use crate::domain::message::Delivery;
use crate::notify::carrier::{Taken, Untaken};
use crate::notify::outbound::{Outbound, Request};

/// An account with Twilio.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// `https://api.twilio.com`.
    pub base: String,
    /// The account's SID (`AC…`).
    pub account: String,
    /// A number or name, or a messaging service's SID (`MG…`).
    pub sender: String,
    /// The account's token.
    pub token: Secret,
}

impl Twilio {
    pub(super) fn told(&self) -> String {
        let Self { base, account, sender, token } = self;
        format!("twilio\n{base}\n{account}\n{sender}\n{}", token.expose_text().unwrap_or_default())
    }

    pub(super) async fn send(&self, outbound: &Outbound, sms: Outgoing<'_>) -> Result<Taken, Untaken> {
        let to = format!("+{}", sms.to);
        if sms.message.unsure > 0
            && let Some(sid) = self.find(outbound, &to, sms).await?
        {
            return Ok(Taken { carrier_id: Some(sid), can_be_asked: true });
        }
        let from = if self.sender.starts_with("MG") { "MessagingServiceSid" } else { "From" };
        let fields = [("To", to.as_str()), (from, &self.sender), ("Body", sms.text)];
        let request = self.signed(Request::post(self.url(".json"), FORM, form(&fields)));
        let reply = call(outbound, &request).await?;
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let sid = answer.get("sid").and_then(Value::as_str);
        if let (true, Some(sid)) = (reply.is_good(), sid) {
            return Ok(Taken { carrier_id: Some(sid.to_owned()), can_be_asked: true });
        }
        let why = answer.get("message").and_then(Value::as_str).unwrap_or_default();
        match answer.get("code").and_then(Value::as_u64) {
            // No such number, not a mobile one, no SMS there, or they asked for none.
            Some(code @ (21211 | 21214 | 21217 | 21610 | 21612 | 21614)) => {
                Err(Untaken::Message(format!("{code} {}", short(why))))
            }
            Some(_) | None => Err(by_status(&reply, why)),
        }
    }

    /// A message of ours that they took though their answer was lost.
    async fn find(
        &self,
        outbound: &Outbound,
        to: &str,
        sms: Outgoing<'_>,
    ) -> Result<Option<String>, Untaken> {
        let url = self.url(&format!(".json?To={}&PageSize={LOOKED_AT}", encoded(to)));
        let reply = call(outbound, &self.signed(Request::get(url))).await?;
        if !reply.is_good() {
            return Err(by_status(&reply, &String::from_utf8_lossy(&reply.body)));
        }
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let listed = answer.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |one: &Value, name: &str| one.get(name).and_then(Value::as_str).map(str::to_owned);
        let since = sms.message.created_at.saturating_sub(CLOCKS).unwrap_or(Timestamp::MIN);
        let is_ours = |one: &&Value| {
            let at = text(one, "date_created").and_then(|at| jiff::fmt::rfc2822::parse(&at).ok());
            text(one, "body").as_deref() == Some(sms.text) && at.is_some_and(|at| at.timestamp() >= since)
        };
        Ok(listed.iter().find(is_ours).and_then(|one| text(one, "sid")))
    }

    pub(super) async fn ask(&self, outbound: &Outbound, sid: &str) -> Result<Delivery, Untaken> {
        let url = self.url(&format!("/{}.json", encoded(sid)));
        let reply = call(outbound, &self.signed(Request::get(url))).await?;
        if !reply.is_good() {
            return Err(by_status(&reply, &String::from_utf8_lossy(&reply.body)));
        }
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        Ok(match answer.get("status").and_then(Value::as_str) {
            Some("delivered" | "read") => Delivery::Delivered,
            Some("undelivered" | "failed" | "canceled") => Delivery::Failed,
            Some(_) | None => Delivery::Pending,
        })
    }

    fn url(&self, rest: &str) -> String {
        let base = self.base.trim_end_matches('/');
        format!("{base}/2010-04-01/Accounts/{}/Messages{rest}", encoded(&self.account))
    }

    fn signed(&self, request: Request) -> Request {
        request.basic(&self.account, &self.token)
    }
}

/// Messages to one number that are looked at: a limit of ours lets fewer go in an hour.
const LOOKED_AT: u32 = 20;
/// Their clock and ours may differ by so much.
const CLOCKS: SignedDuration = SignedDuration::from_mins(2);
