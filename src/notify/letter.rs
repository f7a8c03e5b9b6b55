//! What our messages say: subject and plain text, from templates in code.
//!
//! Nothing that a stranger typed is repeated in a message: whoever signs up with somebody else's address would
//! otherwise write that person a letter in our name. The one rule: subjects have no control characters.

use crate::domain::text::Email;
use jiff::Timestamp;

/// A message before it is written down.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: Email,
    /// Subject line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// After this it is of no use any more.
    pub useful_until: Timestamp,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Letter(…)")
    }
}

/// What a mail about a signup is made from.
#[derive(Debug, Clone, Copy)]
pub struct Signup<'a> {
    /// The address.
    pub to: &'a Email,
    /// The place, for people.
    pub site: &'a str,
    /// The plan's name.
    pub plan: &'a str,
    /// The code.
    pub code: &'a str,
    /// How long the code counts, minutes.
    pub minutes: i64,
    /// After this the message is of no use any more.
    pub useful_until: Timestamp,
}

/// The mail to an address that is nobody's yet: with a code, and a link for another device.
#[must_use]
pub fn confirm_address(signup: Signup<'_>, link: &str) -> Letter {
    let Signup { site, plan, code, minutes, .. } = signup;
    letter(
        signup,
        format!(
            "Somebody, probably you, asked for \"{plan}\" at {site} with this e-mail address.\n\n\
             Your code:\n\n    {code}\n\n\
             Type it where you signed up. It counts for {minutes} minutes.\n\n\
             Or open this link on any device and press the button there. On another device than the one you \
             signed up with it shows you a new password, which counts instead of the one you chose:\n\n    {link}\n\n\
             If it was not you, do nothing: without the code or the link nothing is set up.\n"
        ),
    )
}

/// The mail to an address that has an account already: with a code for the device that asked, and without a
/// link, which would prove nothing about who asked.
#[must_use]
pub fn known_address(signup: Signup<'_>) -> Letter {
    let Signup { site, code, minutes, .. } = signup;
    letter(
        signup,
        format!(
            "Somebody, probably you, signed up at {site} with this e-mail address. You have an account there \
             already, so no second one is made.\n\n\
             To log in with this code, type it where you signed up:\n\n    {code}\n\n\
             It counts for {minutes} minutes. Give it to nobody: it opens your account.\n\n\
             If it was not you, do nothing.\n"
        ),
    )
}

/// Both have the same subject: a phone that shows it on its locked screen tells nobody which it is.
fn letter(signup: Signup<'_>, text: String) -> Letter {
    Letter {
        to: signup.to.clone(),
        subject: one_line(&format!("Your code for {}", signup.site)),
        text,
        useful_until: signup.useful_until,
    }
}

/// A text as a header can hold it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SUBJECT).collect()
}

/// Longer subjects are cut off by every mail program.
const MAX_SUBJECT: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    fn signup(site: &str) -> Letter {
        let to = Email::parse("ada@example.net").unwrap();
        let useful_until = Timestamp::UNIX_EPOCH;
        let signup = Signup { to: &to, site, plan: "Free", code: "01234567", minutes: 30, useful_until };
        let known = known_address(signup);
        assert!(!known.text.contains("http") && known.text.contains("01234567"));
        let new = confirm_address(signup, "https://portal.example.net/confirm/x");
        assert!(new.text.contains("\n    01234567\n") && new.text.contains("/confirm/x"));
        assert_eq!(new.subject, known.subject);
        new
    }

    #[test]
    fn a_subject_is_one_line_whatever_the_site_is_called() {
        assert_eq!(
            signup("Lekki\r\nBcc: eve@example.net").subject,
            "Your code for Lekki  Bcc: eve@example.net"
        );
        assert!(signup(&"x".repeat(999)).subject.chars().count() <= MAX_SUBJECT);
    }
}
