//! The ledger: append-only double entry, each posting chained to the one before.
//!
//! A posting moves money between accounts and sums to zero. Nothing is ever changed: a mistake is a
//! posting that reverses. The sign is the bookkeeper's: debit positive, credit negative, so a
//! subscriber's wallet with 1,000 in it stands at −1,000 (we owe it), and what they owe us stands
//! positive in their receivable. The one rule: a posting that does not sum to zero, or mixes
//! currencies, cannot be made.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ids::{PostingId, StaffId, SubscriberId};
use super::money::{Currency, Money, MoneyError};

/// Where money is, or what it is owed for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Account {
    /// What a subscriber has with us; a liability.
    Wallet(SubscriberId),
    /// What a subscriber owes by invoices.
    Receivable(SubscriberId),
    /// Sales, without tax.
    Revenue,
    /// Tax that was charged and is owed to the state.
    Tax,
    /// What a payment provider holds for us, by its name.
    Clearing(String),
    /// What a payment provider kept, by its name.
    Fees(String),
    /// Cash in a person's till.
    Cash(StaffId),
    /// What an agent deposited and may still sell for; a liability.
    AgentFloat(StaffId),
    /// What agents earned by selling.
    Commission,
    /// Money received that nobody is known for, yet, by its currency.
    Unmatched(Currency),
    /// Invoices given up.
    WrittenOff,
    /// Cash that was counted above or below what a shift should hold.
    CashDifference,
    /// Money given away: goodwill, corrections by staff.
    Adjustments,
    /// Balances that came from another system.
    Opening,
}

/// One side of a posting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which account.
    pub account: Account,
    /// Minor units; debit positive, credit negative.
    pub amount: i64,
    /// The account's balance afterwards, same sign.
    pub balance: i64,
}

/// A posting as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Identity.
    pub id: PostingId,
    /// Place in the ledger, from 1, without gaps.
    pub seq: u64,
    /// When it was made.
    pub at: Timestamp,
    /// What kind of business it is.
    pub kind: PostingKind,
    /// What it came of, unique: `payment:<id>`, `invoice:<id>`, `refund:<id>/1` … Posting it again is
    /// refused, so money is moved once.
    pub source: String,
    /// A line for people.
    pub memo: String,
    /// The currency of all lines.
    pub currency: Currency,
    /// Debits and credits; they sum to zero.
    pub lines: Vec<Line>,
    /// The posting that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<PostingId>,
    /// Hash of the posting before, hex; empty for the first.
    pub previous: String,
    /// Hash over all of the above, hex.
    pub hash: String,
}

/// What kind of business a posting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostingKind {
    /// Money came in.
    Payment,
    /// A sale: an invoice was made final.
    Invoice,
    /// A receivable was settled from a wallet.
    Application,
    /// A credit note.
    CreditNote,
    /// Money went back.
    Refund,
    /// A payer's bank took money back.
    Chargeback,
    /// From one wallet to another.
    Transfer,
    /// An agent sold, deposited or was paid.
    Agent,
    /// A voucher was used.
    Voucher,
    /// Given up.
    WriteOff,
    /// By staff, with a reason.
    Adjustment,
    /// A balance from another system.
    Opening,
    /// A till was counted.
    CashCount,
}

/// A posting before it has its place: what was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// See [`Posting::kind`].
    pub kind: PostingKind,
    /// See [`Posting::source`].
    pub source: String,
    /// See [`Posting::memo`].
    pub memo: String,
    /// Account and amount, debit positive.
    pub lines: Vec<(Account, Money)>,
    /// See [`Posting::reverses`].
    pub reverses: Option<PostingId>,
}

/// Why a posting cannot be made: a fault of ours, never of a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Debits and credits differ.
    #[error("the posting {source_name} does not sum to zero but to {sum}")]
    Unbalanced {
        /// The posting's source.
        source_name: String,
        /// By how much.
        sum: i64,
    },
    /// Two currencies, or too large.
    #[error("the posting's amounts cannot be added")]
    Money(#[from] MoneyError),
    /// No line at all.
    #[error("a posting has at least two lines")]
    Empty,
}

impl Entry {
    /// A posting to be made.
    #[must_use]
    pub fn new(kind: PostingKind, source: impl Into<String>, memo: impl Into<String>) -> Self {
        Self { kind, source: source.into(), memo: memo.into(), lines: Vec::new(), reverses: None }
    }

    /// Debits an account; a zero is left out.
    #[must_use]
    pub fn debit(mut self, account: Account, amount: Money) -> Self {
        if amount.minor != 0 {
            self.lines.push((account, amount));
        }
        self
    }

    /// Credits an account; a zero is left out.
    #[must_use]
    pub fn credit(self, account: Account, amount: Money) -> Self {
        let minor = amount.minor.saturating_neg();
        self.debit(account, Money { minor, ..amount })
    }

    /// The currency, once it is sure that the lines share one and sum to zero.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn balanced(&self) -> Result<Currency, LedgerError> {
        let Some((_, first)) = self.lines.first() else { return Err(LedgerError::Empty) };
        let mut sum = Money::zero(first.currency);
        for (_, amount) in &self.lines {
            sum = sum.checked_add(*amount)?;
        }
        if sum.minor != 0 {
            return Err(LedgerError::Unbalanced { source_name: self.source.clone(), sum: sum.minor });
        }
        Ok(sum.currency)
    }
}

impl Posting {
    /// The hash that belongs to this posting: SHA-256 over everything but the hash itself.
    #[must_use]
    pub fn own_hash(&self) -> String {
        use fmt::Write;
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        };
        part(&self.previous);
        part(&self.id.to_string());
        part(&self.seq.to_string());
        part(&self.at.as_nanosecond().to_string());
        part(self.kind.name());
        part(&self.source);
        part(&self.memo);
        part(self.currency.code());
        for line in &self.lines {
            part(&line.account.to_string());
            part(&line.amount.to_string());
            part(&line.balance.to_string());
        }
        part(&self.reverses.map(|id| id.to_string()).unwrap_or_default());
        let mut text = String::with_capacity(64);
        for byte in hash.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The sum of this posting's lines on one account.
    #[must_use]
    pub fn amount_on(&self, account: &Account) -> i64 {
        self.lines
            .iter()
            .filter(|line| line.account == *account)
            .fold(0, |sum, line| i64::saturating_add(sum, line.amount))
    }
}

impl Account {
    /// Where a provider's money is: one account for each currency, since a balance has one.
    #[must_use]
    pub fn clearing(provider: &str, currency: Currency) -> Self {
        Self::Clearing(format!("{provider}:{currency}"))
    }

    /// What a provider kept, by currency.
    #[must_use]
    pub fn fees(provider: &str, currency: Currency) -> Self {
        Self::Fees(format!("{provider}:{currency}"))
    }
}

impl PostingKind {
    /// The name in API and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Invoice => "invoice",
            Self::Application => "application",
            Self::CreditNote => "credit_note",
            Self::Refund => "refund",
            Self::Chargeback => "chargeback",
            Self::Transfer => "transfer",
            Self::Agent => "agent",
            Self::Voucher => "voucher",
            Self::WriteOff => "write_off",
            Self::Adjustment => "adjustment",
            Self::Opening => "opening",
            Self::CashCount => "cash_count",
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wallet(id) => write!(f, "wallet:{id}"),
            Self::Receivable(id) => write!(f, "receivable:{id}"),
            Self::Revenue => f.write_str("revenue"),
            Self::Tax => f.write_str("tax"),
            Self::Clearing(name) => write!(f, "clearing:{name}"),
            Self::Fees(name) => write!(f, "fees:{name}"),
            Self::Cash(id) => write!(f, "cash:{id}"),
            Self::AgentFloat(id) => write!(f, "agent_float:{id}"),
            Self::Commission => f.write_str("commission"),
            Self::Unmatched(currency) => write!(f, "unmatched:{currency}"),
            Self::WrittenOff => f.write_str("written_off"),
            Self::CashDifference => f.write_str("cash_difference"),
            Self::Adjustments => f.write_str("adjustments"),
            Self::Opening => f.write_str("opening"),
        }
    }
}

impl From<Account> for String {
    fn from(account: Account) -> Self {
        account.to_string()
    }
}

impl TryFrom<String> for Account {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let unknown = || format!("{text:?} is not an account");
        let (kind, name) = text.split_once(':').unwrap_or((text.as_str(), ""));
        Ok(match (kind, name) {
            ("wallet", id) => Self::Wallet(id.parse().map_err(|_| unknown())?),
            ("receivable", id) => Self::Receivable(id.parse().map_err(|_| unknown())?),
            ("cash", id) => Self::Cash(id.parse().map_err(|_| unknown())?),
            ("agent_float", id) => Self::AgentFloat(id.parse().map_err(|_| unknown())?),
            ("clearing", name) if !name.is_empty() => Self::Clearing(name.to_owned()),
            ("fees", name) if !name.is_empty() => Self::Fees(name.to_owned()),
            ("revenue", "") => Self::Revenue,
            ("tax", "") => Self::Tax,
            ("commission", "") => Self::Commission,
            ("unmatched", code) => Self::Unmatched(Currency::parse(code).map_err(|_| unknown())?),
            ("written_off", "") => Self::WrittenOff,
            ("cash_difference", "") => Self::CashDifference,
            ("adjustments", "") => Self::Adjustments,
            ("opening", "") => Self::Opening,
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ngn(minor: i64) -> Money {
        Money { minor, currency: Currency::parse("NGN").unwrap() }
    }

    #[test]
    fn rule_17_a_posting_that_does_not_sum_to_zero_cannot_be_made() {
        let who = SubscriberId(uuid::Uuid::nil());
        let sale = Entry::new(PostingKind::Invoice, "invoice:1", "sale")
            .debit(Account::Receivable(who), ngn(10_750))
            .credit(Account::Revenue, ngn(10_000))
            .credit(Account::Tax, ngn(750));
        assert_eq!(sale.balanced(), Ok(ngn(0).currency));
        let paid = Entry::new(PostingKind::Payment, "payment:1", "paid")
            .debit(Account::Clearing("paystack".into()), ngn(10_589))
            .debit(Account::Fees("paystack".into()), ngn(161))
            .credit(Account::Receivable(who), ngn(10_750));
        assert!(paid.balanced().is_ok());
        let wrong = paid.clone().debit(Account::Revenue, ngn(1));
        assert!(matches!(wrong.balanced(), Err(LedgerError::Unbalanced { sum: 1, .. })));
        let mixed =
            paid.debit(Account::Revenue, Money { minor: 1, currency: Currency::parse("USD").unwrap() });
        assert!(matches!(mixed.balanced(), Err(LedgerError::Money(_))));
        assert_eq!(Entry::new(PostingKind::Payment, "x", "").balanced(), Err(LedgerError::Empty));
    }

    #[test]
    fn accounts_are_texts_and_back() {
        let id = uuid::Uuid::from_u128(7);
        for account in [
            Account::Wallet(SubscriberId(id)),
            Account::Cash(StaffId(id)),
            Account::Fees("mpesa".into()),
            Account::Revenue,
            Account::CashDifference,
        ] {
            assert_eq!(Account::try_from(account.to_string()), Ok(account));
        }
        for wrong in ["", "wallet", "wallet:x", "clearing:", "revenue:1", "nothing"] {
            assert!(Account::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
