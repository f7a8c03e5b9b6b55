//! Termii (Nigeria): `POST /api/sms/send`, JSON, the key in the body.
//!
//! What became of a message is not asked: their interface wants the key in the URL for that, where it would get
//! into the logs of whatever is on the way.

use serde_json::{Value, json};

use super::{JSON, Outgoing, by_status, call};
use crate::base::secret::Secret;
use crate::notify::carrier::{Taken, Untaken};
use crate::notify::outbound::{Outbound, Request};

/// An account with Termii.
#[derive(Debug, Clone)]
pub struct Termii {
    /// Its base URL, as `https://v3.api.termii.com`: each account has one.
    pub base: String,
    /// The sender's registered name, 3 to 11 characters.
    pub sender: String,
    /// `generic`, or `dnd`, which reaches numbers that are on the do-not-disturb list.
    pub route: String,
    /// The key.
    pub key: Secret,
}

impl Termii {
    pub(super) fn told(&self) -> String {
        let Self { base, sender, route, key } = self;
        format!("termii\n{base}\n{sender}\n{route}\n{}", key.expose_text().unwrap_or_default())
    }

    pub(super) async fn send(&self, outbound: &Outbound, sms: Outgoing<'_>) -> Result<Taken, Untaken> {
        let body = json!({
            "to": sms.to, "from": self.sender, "sms": sms.text, "type": "plain", "channel": self.route,
            "api_key": self.key.expose_text().unwrap_or_default(),
        });
        let url = format!("{}/api/sms/send", self.base.trim_end_matches('/'));
        let reply = call(outbound, &Request::post(url, JSON, body.to_string())).await?;
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        if reply.is_good() && text("code") == "ok" {
            let id = answer.get("message_id_str").or_else(|| answer.get("message_id"));
            let carrier_id = id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
            return Ok(Taken { carrier_id, can_be_asked: false });
        }
        if reply.is_good() {
            return Err(Untaken::Refused(super::short(text("message"))));
        }
        Err(by_status(&reply, text("message")))
    }
}
