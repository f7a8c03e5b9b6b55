//! Africa's Talking: `POST /version1/messaging`, a form, the key in a header.
//!
//! What became of a message is told to a URL of ours only, which a box behind CGNAT has not; it is not asked.

use serde_json::Value;

use super::{FORM, Outgoing, by_status, call, form, short};
use crate::base::secret::Secret;
use crate::notify::carrier::{Taken, Untaken};
use crate::notify::outbound::{Outbound, Request};

/// An application with Africa's Talking.
#[derive(Debug, Clone)]
pub struct AfricasTalking {
    /// `https://api.africastalking.com`, or the sandbox.
    pub base: String,
    /// The application's user name; `sandbox` in the sandbox.
    pub username: String,
    /// Registered short code or name; theirs where there is none.
    pub sender: Option<String>,
    /// The key.
    pub key: Secret,
}

impl AfricasTalking {
    pub(super) fn told(&self) -> String {
        let Self { base, username, sender, key } = self;
        let key = key.expose_text().unwrap_or_default();
        format!("africastalking\n{base}\n{username}\n{}\n{key}", sender.as_deref().unwrap_or_default())
    }

    pub(super) async fn send(&self, outbound: &Outbound, sms: Outgoing<'_>) -> Result<Taken, Untaken> {
        let to = format!("+{}", sms.to);
        let mut fields = vec![("username", self.username.as_str()), ("to", &to), ("message", sms.text)];
        fields.extend(self.sender.as_deref().map(|sender| ("from", sender)));
        let url = format!("{}/version1/messaging", self.base.trim_end_matches('/'));
        let request = Request::post(url, FORM, form(&fields))
            .header("apiKey", &self.key)
            .header("accept", &Secret::from_text("application/json"));
        let reply = call(outbound, &request).await?;
        if !reply.is_good() {
            return Err(by_status(&reply, &String::from_utf8_lossy(&reply.body)));
        }
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let Some(first) = answer.pointer("/SMSMessageData/Recipients/0") else {
            // As for a sender that is not registered: it is so for every message.
            let why = answer.pointer("/SMSMessageData/Message").and_then(Value::as_str);
            return Err(Untaken::Away(short(why.unwrap_or("the answer names no recipient"))));
        };
        let status = first.get("status").and_then(Value::as_str).unwrap_or_default();
        let code = first.get("statusCode").and_then(Value::as_u64).unwrap_or_default();
        let told = format!("{code} {}", short(status));
        match code {
            // Processed, sent, queued.
            100..=102 => {
                let carrier_id = first.get("messageId").and_then(Value::as_str).map(str::to_owned);
                Ok(Taken { carrier_id, can_be_asked: false })
            }
            // The number is none, of a kind they do not serve, or does not want to be written to.
            403 | 404 | 406 | 409 => Err(Untaken::Message(told)),
            // The sender is not registered, or the account is empty.
            402 | 405 => Err(Untaken::Away(told)),
            // Held for risk, no route, ill.
            _ => Err(Untaken::Later(told)),
        }
    }
}
