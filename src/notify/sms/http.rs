//! Any carrier with an HTTP interface, by templates of the operator: URL, headers, body, and what counts as taken.
//!
//! `{to}` is the number with `+`, `{digits}` without, `{text}` the text, `{from}` the sender, `{id}` the message's
//! own id for carriers that know doubles by one, `{secret}` the key, which is not taken in a URL. The one rule: a
//! value is escaped for where it stands, so that no text adds a field.

use super::{FORM, JSON, Outgoing, by_status, call, encoded, short};
use crate::base::secret::Secret;
use crate::notify::carrier::{Taken, Untaken};
use crate::notify::outbound::{Outbound, Request};

/// A carrier by templates.
#[derive(Debug, Clone)]
pub struct Http {
    /// `GET`, or `POST` of `body`.
    pub method: Method,
    /// The URL.
    pub url: String,
    /// `Name: value`.
    pub headers: Vec<(String, String)>,
    /// The body, and what it is.
    pub body: String,
    /// What the body is.
    pub content: Content,
    /// What the answer must hold beside a status of 2xx; nothing where it is empty.
    pub accepted: String,
    /// Who it is from.
    pub sender: String,
    /// The key.
    pub secret: Option<Secret>,
}

/// How a carrier is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Everything in the URL.
    Get,
    /// With a body.
    Post,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Fields as of a web form.
    Form,
    /// JSON.
    Json,
    /// Text as it is.
    Text,
}

impl Http {
    /// What of the URL says where the call goes.
    pub(super) fn origin(&self) -> String {
        let after = self.url.find("://").map_or(0, |at| at + 3);
        let end = self
            .url
            .get(after..)
            .and_then(|rest| rest.find(['/', '?']))
            .map_or(self.url.len(), |at| after + at);
        self.url.get(..end).unwrap_or(&self.url).to_owned()
    }

    pub(super) fn told(&self) -> String {
        let Self { method, url, headers, body, content, accepted, sender, secret } = self;
        let secret = secret.as_ref().and_then(Secret::expose_text).unwrap_or_default();
        format!("http\n{method:?}\n{url}\n{headers:?}\n{body}\n{content:?}\n{accepted}\n{sender}\n{secret}")
    }

    pub(super) async fn send(&self, outbound: &Outbound, sms: Outgoing<'_>) -> Result<Taken, Untaken> {
        let url = self.filled(&self.url, sms, encoded);
        let mut request = match self.method {
            Method::Get => Request::get(url),
            Method::Post => {
                let (kind, escape): (_, fn(&str) -> String) = match self.content {
                    Content::Form => (FORM, encoded),
                    Content::Json => (JSON, in_json),
                    Content::Text => ("text/plain; charset=utf-8", str::to_owned),
                };
                Request::post(url, kind, self.filled(&self.body, sms, escape))
            }
        };
        for (name, value) in &self.headers {
            let value = self.filled(value, sms, super::super::news::clean);
            request = request.header(name.clone(), &Secret::from_text(&value));
        }
        let reply = call(outbound, &request).await?;
        let said = String::from_utf8_lossy(&reply.body);
        if !reply.is_good() {
            return Err(by_status(&reply, &said));
        }
        if !said.contains(&self.accepted) {
            return Err(Untaken::Refused(format!("the answer has no {:?}: {}", self.accepted, short(&said))));
        }
        Ok(Taken::default())
    }

    /// A template with its values, each escaped for where it stands. What a value holds is never read again.
    fn filled(&self, template: &str, sms: Outgoing<'_>, escape: fn(&str) -> String) -> String {
        let mut text = String::with_capacity(template.len().saturating_add(sms.text.len()));
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            match after.split_once('}').and_then(|(name, after)| Some((self.value(name, sms)?, after))) {
                Some((value, after)) => {
                    text.push_str(&escape(&value));
                    rest = after;
                }
                None => {
                    text.push('{');
                    rest = after;
                }
            }
        }
        text + rest
    }

    fn value(&self, name: &str, sms: Outgoing<'_>) -> Option<String> {
        Some(match name {
            "to" => format!("+{}", sms.to),
            "digits" => sms.to.to_owned(),
            "text" => sms.text.to_owned(),
            "from" => self.sender.clone(),
            "id" => sms.message.id.to_string(),
            "secret" => self.secret.as_ref()?.expose_text()?.to_owned(),
            _ => return None,
        })
    }
}

/// A text as it stands between the quotes of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_within_its_quotes() {
        assert_eq!(in_json("a\"b\\c\n"), "a\\\"b\\\\c\\n");
        assert_eq!(encoded("a b&c=+é"), "a%20b%26c%3D%2B%C3%A9");
    }
}
