//! A stranger signs up on the portal's pages, and confirms with the code from their mail.

use super::browser::{self, Shown};
use super::helpers::PORTAL_NAME;
use super::journey::{must, soon};
use super::lab::Lab;
use super::phone::Phone;
use super::script::Done;

/// Who signs up, and for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) email: &'static str,
    pub(super) password: &'static str,
    pub(super) plan: &'static str,
    pub(super) plan_name: &'static str,
}

pub(super) async fn fill_in(phone: &Phone, person: &Person) -> Done<Shown> {
    let front = browser::visit(phone, PROBE).await?;
    front.must_show(person.plan_name)?;
    let url = format!("https://{PORTAL_NAME}/signup?plan={}", person.plan);
    let shown = browser::visit(phone, &url).await?;
    let mut form = shown.form("email")?;
    for (field, text) in [
        ("email", person.email),
        ("first_name", "Ada"),
        ("last_name", "Obi"),
        ("phone", "+2348012345678"),
        ("street", "1 Marina"),
        ("city", "Lagos"),
        ("state", "Lagos"),
        ("zip", "101231"),
        ("plan", person.plan),
        ("password", person.password),
    ] {
        form.write(field, text);
    }
    let sent = browser::send(phone, &form, &shown).await?;
    sent.form("code")?;
    let said = format!("from {} to {}", front.url, sent.url);
    Ok((sent, said))
}

pub(super) async fn mailed(lab: &Lab, person: &Person) -> Done<String> {
    let email = person.email;
    let until = || {
        let code = code(&lab.letter(email));
        async move { Ok(code.map(|code| (code.clone(), format!("{code}, to {email}")))) }
    };
    soon("no letter with a code came", until).await
}

/// Eight digits that stand alone in a letter's text.
fn code(letter: &str) -> Option<String> {
    let body = letter.split_once("\n\n").map_or(letter, |(_, body)| body);
    let words = body.split(|symbol: char| !symbol.is_ascii_alphanumeric());
    let is_code = |word: &&str| word.len() == 8 && word.bytes().all(|octet| octet.is_ascii_digit());
    words.into_iter().find(is_code).map(ToOwned::to_owned)
}

/// The page that it led to.
pub(super) async fn confirm(phone: &Phone, page: Shown, code: &str) -> Done<Shown> {
    let mut form = page.form("code")?;
    form.write("code", code);
    let shown = browser::send(phone, &form, &page).await?;
    must(shown.page.status == 200 && shown.form("code").is_err(), || {
        format!("the code led to {}: {}", shown.url, shown.page.body)
    })?;
    let said = format!("{}: {}", shown.url, shown.title());
    Ok((shown, said))
}

/// Where every captive device is led from.
pub(super) const PROBE: &str = "http://connectivitycheck.gstatic.com/generate_204";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_in_a_letter_and_its_headers_are_not() {
        let letter =
            "Message-ID: <123456@x>\nTo: ada\n\nYour code is\n\n    04213755\n\nIt counts for 30 minutes.";
        assert_eq!(code(letter).as_deref(), Some("04213755"));
        assert_eq!(code("Subject: 123456\n\nNothing 1234567 a123456."), None);
    }
}
