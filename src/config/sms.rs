//! `[sms]`: the carrier of text messages.

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, choose, chosen, quoted, text};
use super::reader::{Applies, Section, within};
use super::reference::SecretRef;

/// The carrier's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sms {
    /// Who carries; `None` sends no SMS.
    pub provider: Option<SmsProvider>,
    /// Its URL; of `http` a template.
    pub url: Option<Template>,
    /// Whom messages are from.
    pub sender: Option<String>,
    /// The account there, where it has a name.
    pub username: Option<String>,
    /// The key.
    pub secret: Option<SecretRef>,
    /// The country's code of numbers that are written without one.
    pub country: Option<Country>,
    /// Parts a day at most.
    pub per_day: u32,
    /// Of Termii: by which route.
    pub route: TermiiRoute,
    /// Of `http`: how it is called.
    pub method: SmsMethod,
    /// Of `http`: what the body is.
    pub content: SmsContent,
    /// Of `http`: the body's template.
    pub body: Option<Template>,
    /// Of `http`: headers, as `Name: value`.
    pub headers: Vec<HeaderLine>,
    /// Of `http`: what the answer must hold.
    pub accepted: Option<String>,
}

impl Sms {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        Self {
            provider: section.optional("provider", Restart, None),
            url: section.optional("url", Restart, None),
            sender: section.optional("sender", Restart, None),
            username: section.optional("username", Restart, None),
            secret: section.optional("secret", Restart, None),
            country: section.optional("country", Restart, None),
            per_day: section.checked("per_day", Restart, 2_000, |most| within(most, &1, &1_000_000)),
            route: section.optional("route", Restart, TermiiRoute::Dnd),
            method: section.optional("method", Restart, SmsMethod::Post),
            content: section.optional("content", Restart, SmsContent::Form),
            body: section.optional("body", Restart, None),
            headers: section.optional("headers", Restart, Vec::new()),
            accepted: section.optional("accepted", Restart, None),
        }
    }

    /// What contradicts itself: key, problem and remedy.
    pub(super) fn contradictions(&self) -> Vec<(&'static str, String, &'static str)> {
        let Some(provider) = self.provider else { return self.without_provider() };
        let mut found = Vec::new();
        let mut need = |is_there: bool, key: &'static str, remedy: &'static str| {
            if !is_there {
                found.push((key, format!("{} needs it", provider.show().trim_matches('"')), remedy));
            }
        };
        match provider {
            SmsProvider::Http => {
                need(
                    self.url.is_some(),
                    "url",
                    "write the carrier's URL, with {to} and {text} here or in body",
                );
            }
            SmsProvider::Termii => {
                need(
                    self.url.is_some(),
                    "url",
                    "write the base URL of your account, as \"https://v3.api.termii.com\"",
                );
                need(self.sender.is_some(), "sender", "write the sender's name that Termii registered");
            }
            SmsProvider::AfricasTalking => {
                need(self.username.is_some(), "username", "write the application's user name");
            }
            SmsProvider::Twilio => {
                need(self.username.is_some(), "username", "write the account's SID, as \"AC…\"");
                need(
                    self.sender.is_some(),
                    "sender",
                    "write a number, or a messaging service's SID as \"MG…\"",
                );
            }
        }
        if provider != SmsProvider::Http {
            need(
                self.secret.is_some(),
                "secret",
                "put the key into a file of mode 0600 and write \"file:/path\"",
            );
            found.extend(self.only_of_http());
        } else {
            found.extend(self.templates());
        }
        found
    }

    fn without_provider(&self) -> Vec<(&'static str, String, &'static str)> {
        let given = [
            ("url", self.url.is_some()),
            ("sender", self.sender.is_some()),
            ("secret", self.secret.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        let remedy =
            "write provider = \"http\", \"termii\", \"africastalking\" or \"twilio\", or remove this";
        given.map(|(key, _)| (key, "no provider is named".to_owned(), remedy)).collect()
    }

    fn only_of_http(&self) -> Vec<(&'static str, String, &'static str)> {
        let given = [
            ("body", self.body.is_some()),
            ("headers", !self.headers.is_empty()),
            ("accepted", self.accepted.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        given
            .map(|(key, _)| (key, "only provider = \"http\" has templates".to_owned(), "remove it"))
            .collect()
    }

    fn templates(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut found = Vec::new();
        let (url, body) = (Template::text(self.url.as_ref()), Template::text(self.body.as_ref()));
        if url.contains("{secret}") {
            let remedy = "a URL is written into the logs of every server on the way; use headers or body";
            found.push(("url", "the key must not be in the URL".to_owned(), remedy));
        }
        if self.method == SmsMethod::Get && self.body.is_some() {
            found.push(("body", "a GET has none".to_owned(), "remove it, or write method = \"post\""));
        }
        let anywhere = format!("{url}{body}");
        if !anywhere.contains("{text}") || !(anywhere.contains("{to}") || anywhere.contains("{digits}")) {
            let problem = "neither url nor body holds both the number and the text".to_owned();
            found.push(("url", problem, "write {to} or {digits}, and {text}, where the carrier wants them"));
        }
        let uses_key =
            body.contains("{secret}") || self.headers.iter().any(|line| line.value.contains("{secret}"));
        if uses_key && self.secret.is_none() {
            let remedy = "put the key into a file of mode 0600 and write \"file:/path\"";
            found.push(("secret", "{secret} is used and none is given".to_owned(), remedy));
        }
        found
    }
}

/// Who carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsProvider {
    /// Any carrier, by templates.
    Http,
    /// Termii.
    Termii,
    /// Africa's Talking.
    AfricasTalking,
    /// Twilio.
    Twilio,
}

const PROVIDERS: &[(&str, SmsProvider)] = &[
    ("http", SmsProvider::Http),
    ("termii", SmsProvider::Termii),
    ("africastalking", SmsProvider::AfricasTalking),
    ("twilio", SmsProvider::Twilio),
];

/// How a carrier is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsMethod {
    /// Everything in the URL.
    Get,
    /// With a body.
    Post,
}

const METHODS: &[(&str, SmsMethod)] = &[("get", SmsMethod::Get), ("post", SmsMethod::Post)];

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsContent {
    /// Fields as of a web form.
    Form,
    /// JSON.
    Json,
    /// Text as it is.
    Text,
}

const CONTENTS: &[(&str, SmsContent)] =
    &[("form", SmsContent::Form), ("json", SmsContent::Json), ("text", SmsContent::Text)];

/// Termii's routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermiiRoute {
    /// Reaches numbers on the do-not-disturb list too.
    Dnd,
    /// Cheaper, and not to those.
    Generic,
}

impl TermiiRoute {
    /// As Termii calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dnd => "dnd",
            Self::Generic => "generic",
        }
    }
}

const ROUTES: &[(&str, TermiiRoute)] = &[("dnd", TermiiRoute::Dnd), ("generic", TermiiRoute::Generic)];

macro_rules! choice {
    ($($kind:ty => $choices:ident),+ $(,)?) => {$(
        impl Kind for $kind {
            fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
                choose(value, $choices)
            }

            fn show(&self) -> String {
                chosen(*self, $choices)
            }
        }
    )+};
}

choice! {
    SmsProvider => PROVIDERS,
    SmsMethod => METHODS,
    SmsContent => CONTENTS,
    TermiiRoute => ROUTES,
}

/// A text with names in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn text(this: Option<&Self>) -> &str {
        this.map_or("", Self::as_str)
    }

    fn parse(written: &str) -> Result<Self, Wrong> {
        if written.len() > MAX_TEMPLATE || written.chars().any(char::is_control) {
            let problem =
                format!("the template is longer than {MAX_TEMPLATE} octets or has control characters");
            return Err(Wrong::new(problem, "write one line"));
        }
        match unknown_name(written) {
            None => Ok(Self(written.to_owned())),
            Some(name) => Err(Wrong::new(
                format!("{{{name}}} is not known"),
                format!("write of {{{}}}", NAMES.join("}, {")),
            )),
        }
    }
}

impl Kind for Template {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        Self::parse(text(value, "a template", "\"to={to}&text={text}\"")?)
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// A header of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderLine {
    /// Its name.
    pub name: String,
    /// Its value, a template.
    pub value: String,
}

impl Kind for HeaderLine {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "a header", "\"X-Api-Key: {secret}\"")?;
        let template = Template::parse(written)?;
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
        template
            .0
            .split_once(':')
            .filter(|(name, _)| !name.is_empty() && name.bytes().all(plain))
            .map(|(name, value)| Self { name: name.to_ascii_lowercase(), value: value.trim().to_owned() })
            .ok_or_else(|| {
                Wrong::new("this is no header", "write name and value, as \"X-Api-Key: {secret}\"")
            })
    }

    fn show(&self) -> String {
        quoted(&format!("{}: {}", self.name, self.value))
    }
}

/// A country's code, digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Country(String);

impl Country {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Kind for Country {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "a country's code", "\"234\"")?;
        let digits = written.strip_prefix('+').unwrap_or(written);
        let fits = (1..=3).contains(&digits.len())
            && digits.bytes().all(|octet| octet.is_ascii_digit())
            && !digits.starts_with('0');
        fits.then(|| Self(digits.to_owned())).ok_or_else(|| {
            Wrong::new(
                format!("{} is not a country's code", quoted(written)),
                "write one to three digits, as \"234\" for Nigeria or \"254\" for Kenya",
            )
        })
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// A name in braces that nothing stands for; JSON's own braces hold no bare small letters.
fn unknown_name(template: &str) -> Option<&str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).find(|name| {
        !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_lowercase()) && !NAMES.contains(name)
    })
}

/// What may stand in braces.
const NAMES: [&str; 6] = ["to", "digits", "text", "from", "id", "secret"];
/// Bodies of carriers have some three hundred.
const MAX_TEMPLATE: usize = 2_000;
