//! The carrier of text messages, as the configuration names it.

use super::desk::MailError;
use crate::base::secret::Secret;
use crate::config::{Environment, Sms as Settings, SmsContent, SmsMethod, SmsProvider};
use crate::notify::sms::africastalking::AfricasTalking;
use crate::notify::sms::http::{Content, Http, Method};
use crate::notify::sms::termii::Termii;
use crate::notify::sms::twilio::Twilio;
use crate::notify::sms::{Provider, Sms};

/// The carrier; `None` where none is named.
pub(super) fn carrier(settings: &Settings) -> Result<Option<Sms>, MailError> {
    let Some(provider) = settings.provider else { return Ok(None) };
    let key = settings.secret.as_ref().map(|place| place.resolve(&Environment::Process));
    let key = key.transpose().map_err(MailError::SmsKey)?;
    let provider = match provider {
        SmsProvider::Http => Provider::Http(http(settings, key)),
        SmsProvider::Termii => Provider::Termii(Termii {
            base: url(settings, ""),
            sender: settings.sender.clone().unwrap_or_default(),
            route: settings.route.name().to_owned(),
            key: key.unwrap_or_else(none),
        }),
        SmsProvider::AfricasTalking => Provider::AfricasTalking(AfricasTalking {
            base: url(settings, "https://api.africastalking.com"),
            username: settings.username.clone().unwrap_or_default(),
            sender: settings.sender.clone(),
            key: key.unwrap_or_else(none),
        }),
        SmsProvider::Twilio => Provider::Twilio(Twilio {
            base: url(settings, "https://api.twilio.com"),
            account: settings.username.clone().unwrap_or_default(),
            sender: settings.sender.clone().unwrap_or_default(),
            token: key.unwrap_or_else(none),
        }),
    };
    let country = settings.country.as_ref().map(|country| country.as_str().to_owned());
    Ok(Some(Sms::new(provider, country)?))
}

fn http(settings: &Settings, secret: Option<Secret>) -> Http {
    let headers = settings.headers.iter().map(|line| (line.name.clone(), line.value.clone())).collect();
    Http {
        method: match settings.method {
            SmsMethod::Get => Method::Get,
            SmsMethod::Post => Method::Post,
        },
        url: url(settings, ""),
        headers,
        body: settings.body.as_ref().map(|body| body.as_str().to_owned()).unwrap_or_default(),
        content: match settings.content {
            SmsContent::Form => Content::Form,
            SmsContent::Json => Content::Json,
            SmsContent::Text => Content::Text,
        },
        accepted: settings.accepted.clone().unwrap_or_default(),
        sender: settings.sender.clone().unwrap_or_default(),
        secret,
    }
}

fn url(settings: &Settings, theirs: &str) -> String {
    settings.url.as_ref().map_or(theirs, |url| url.as_str()).to_owned()
}

/// The configuration is refused without a key where one is needed.
fn none() -> Secret {
    Secret::from_text("")
}
