//! The phone's browser, as a person uses it: addresses that lead on, forms that are sent, buttons that are pressed.

use super::form::{Form, absolute};
use super::phone::{Page, Phone};
use crate::cli::error::CliError;

/// A page at the end of redirects, and its address.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) url: String,
    pub(super) page: Page,
}

/// Goes to an address, and on where it leads.
pub(super) async fn visit(phone: &Phone, url: &str) -> Result<Shown, CliError> {
    go(phone, vec![url.to_owned()], url.to_owned()).await
}

/// Sends a form of the page that was shown.
pub(super) async fn send(phone: &Phone, form: &Form, from: &Shown) -> Result<Shown, CliError> {
    go(phone, form.arguments(&from.url), absolute(&from.url, &form.action)).await
}

/// Presses a button that says something.
pub(super) async fn press(phone: &Phone, from: &Shown, name: &str, value: &str) -> Result<Shown, CliError> {
    let form = Form::pressed(&from.page.body, name, value);
    let form = form.ok_or_else(|| from.lacks(&format!("a button {name}={value}")))?;
    send(phone, &form, from).await
}

async fn go(phone: &Phone, arguments: Vec<String>, url: String) -> Result<Shown, CliError> {
    let (mut asked, mut url) = (arguments, url);
    for _ in 0..MOST_REDIRECTS {
        let words: Vec<&str> = asked.iter().map(String::as_str).collect();
        let page = phone.curl(&words).await?;
        if !(300..400).contains(&page.status) {
            return Ok(Shown { url, page });
        }
        url = absolute(&url, page.header("location"));
        asked = vec![url.clone()];
    }
    Err(CliError::NotSo(format!("redirects without an end, at {url}")))
}

impl Shown {
    /// The form with a field of this name.
    pub(super) fn form(&self, field: &str) -> Result<Form, CliError> {
        Form::with(&self.page.body, field).ok_or_else(|| self.lacks(&format!("a form with {field}")))
    }

    /// The first link that begins so.
    pub(super) fn link(&self, begin: &str) -> Result<String, CliError> {
        let found = self.page.body.split("href=\"").skip(1).find(|rest| rest.starts_with(begin));
        let link = found.and_then(|rest| rest.split('"').next());
        link.map(|link| absolute(&self.url, link)).ok_or_else(|| self.lacks(&format!("a link to {begin}")))
    }

    /// Holds the page against what it must show.
    pub(super) fn must_show(&self, words: &str) -> Result<(), CliError> {
        let shows = self.page.status == 200 && self.page.body.contains(words);
        if shows { Ok(()) } else { Err(self.lacks(&format!("{words:?}"))) }
    }

    pub(super) fn title(&self) -> &str {
        let title = self.page.body.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        title.map_or("", |(title, _)| title)
    }

    fn lacks(&self, what: &str) -> CliError {
        let Self { url, page } = self;
        CliError::NotSo(format!(
            "{url} ({}) does not show {what}: {} {}",
            page.status, page.complaint, page.body
        ))
    }
}

/// A captive device is led once or twice.
const MOST_REDIRECTS: u32 = 6;
