//! Voucher codes as network logins: a NAS sends the code as user name, and the code again (or nothing) as password.
//!
//! A voucher that was used before is a service whose login is made of its code, found in memory like any other. One
//! that was not is first used then, which must be durable before the answer; so the door is told to ask, and asks
//! this login again afterwards. The one rule: no record and no log line holds a code: what stands there is the
//! login that is made of it.

use std::borrow::Cow;

use jiff::Timestamp;

use super::Access;
use super::authenticate::{Answer, Attempt, Evidence};
use crate::domain::refusal::Refusal;
use crate::domain::voucher::VoucherRefusal;
use crate::domain::voucher_code::VoucherCode;
use crate::store::voucher_key::VoucherKey;

/// Uses a code for the first time, for whom `source` names, and calls back once that is durable.
pub type FirstUse = Box<dyn Fn(VoucherCode, String, FirstUsed) + Send + Sync>;
/// Is told what a first use came to.
pub type FirstUsed = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// What logins by voucher need of others.
pub struct VoucherLogins {
    /// Makes a login of a code.
    pub key: VoucherKey,
    /// Uses one for the first time.
    pub first_use: FirstUse,
}

impl std::fmt::Debug for VoucherLogins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VoucherLogins")
    }
}

impl Access {
    /// From now on codes are logins. Without it, none is.
    pub fn take_vouchers(&self, vouchers: VoucherLogins) {
        // Whoever wires it a second time says the same.
        let _ = self.vouchers.set(vouchers);
    }

    /// Uses a code for the first time on behalf of a login that waits.
    pub fn use_first(&self, code: VoucherCode, source: String, told: FirstUsed) {
        match self.vouchers.get() {
            Some(vouchers) => (vouchers.first_use)(code, source, told),
            None => told(Err(Refusal::Voucher { why: VoucherRefusal::Unknown })),
        }
    }

    /// A user name as it may be written down: of a code, the login that is made of it.
    #[must_use]
    pub fn name_to_keep<'a>(&self, username: &'a str) -> Cow<'a, str> {
        let Some(code) = VoucherCode::parse(username) else { return Cow::Borrowed(username) };
        if self.snapshot.login(username).is_some() {
            return Cow::Borrowed(username);
        }
        match self.vouchers.get() {
            Some(vouchers) => Cow::Owned(vouchers.key.handle(&code)),
            None => Cow::Borrowed(username),
        }
    }

    /// Decides a login whose name no service has.
    pub(super) fn authenticate_voucher<E: Evidence>(
        &self,
        attempt: &Attempt<'_, E>,
        now: Timestamp,
    ) -> Answer<E::Extras> {
        let unknown = || Answer::Refuse { refusal: Refusal::UnknownUser, login: None };
        let Some(vouchers) = self.vouchers.get() else { return unknown() };
        let Some(code) = VoucherCode::parse(attempt.username) else { return unknown() };
        let Some(evidence) = attempt.evidence else {
            return Answer::Refuse { refusal: Refusal::NoCredential, login: None };
        };
        let Some(extras) = proven(evidence, &code, attempt.username) else { return unknown() };
        match self.snapshot.login(&vouchers.key.handle(&code)) {
            Some(login) => self.admit(login, attempt.station, attempt.can_be_captive, extras, now),
            None => Answer::AskVoucher { code },
        }
    }
}

/// Whether the proof is of the code, in any spelling, or of no password at all: hotspots log vouchers in both ways.
fn proven<E: Evidence>(evidence: &E, code: &VoucherCode, typed: &str) -> Option<E::Extras> {
    if let Some((password, extras)) = evidence.clear_text() {
        let text = std::str::from_utf8(password).ok()?;
        let fits = text.is_empty() || VoucherCode::parse(text).as_ref() == Some(code);
        return fits.then_some(extras);
    }
    let canonical = code.canonical();
    let spellings =
        [typed.to_owned(), canonical.to_owned(), canonical.to_lowercase(), code.shown(None), String::new()];
    spellings.iter().find_map(|spelling| evidence.check(spelling.as_bytes()))
}
