//! The proof that the books are right: every posting sums to zero and chains to the one before, and every balance is
//! the sum of its lines.
//!
//! Reads everything, changes nothing, and takes the store page by page, so that it can run on a busy box.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::fault::BillingError;
use super::settle::Till;
use crate::domain::ledger::{Account, Posting};
use crate::domain::money::Currency;
use crate::store::contract::{Cursor, IndexValue, MAX_PAGE, Page, Range};
use crate::store::tables::money::{Balances, HEAD, InvoiceStandings, LedgerHeads, Postings};

/// What a look through the books came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Postings looked at.
    pub postings: u64,
    /// Sum of all lines by currency: each must be zero.
    pub sums: BTreeMap<Currency, i64>,
    /// Sums by account.
    pub accounts: BTreeMap<Account, i64>,
    /// Whatever is wrong, in sentences; empty when the books are right. At most [`MOST_FAULTS`].
    pub faults: Vec<String>,
    /// Hash of the last posting: write it down to prove later that nothing before it was changed.
    pub head: String,
}

/// One day's business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DailyClose {
    /// What was posted that day, by account and currency: debits and credits.
    pub turnover: BTreeMap<Account, (i64, i64)>,
    /// How many postings.
    pub postings: u64,
    /// The proof of the whole ledger at the time of the close.
    pub proof: Proof,
}

impl Proof {
    /// Whether the books are right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.faults.is_empty() && self.sums.values().all(|sum| *sum == 0)
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
    }
}

impl Till {
    /// Looks through all books.
    ///
    /// # Errors
    /// When the store cannot read. What is wrong with the books is in the proof.
    pub async fn prove(&self) -> Result<Proof, BillingError> {
        Ok(self.look(None).await?.proof)
    }

    /// Closes a day of the site's calendar: its turnover, and the proof of everything.
    ///
    /// # Errors
    /// As [`Till::prove`].
    pub async fn close_day(&self, day: Date) -> Result<DailyClose, BillingError> {
        let begins = |day: Date| {
            day.to_zoned(self.settings.zone.clone())
                .map(|zoned| zoned.timestamp())
                .map_err(|_| BillingError::field("date", "is not a day of the calendar"))
        };
        let next = day.tomorrow().map_err(|_| BillingError::field("date", "is not a day of the calendar"))?;
        self.look(Some((begins(day)?, begins(next)?))).await
    }

    async fn look(&self, day: Option<(Timestamp, Timestamp)>) -> Result<DailyClose, BillingError> {
        // Old postings never change, so they are counted while business goes on. For the last ones a leaf is held
        // open without writing, so that the books stand still while they are compared.
        let mut still = None;
        let mut close = DailyClose::default();
        let (mut previous, mut seq) = (String::new(), 0_u64);
        let mut page = Page::first(MAX_PAGE);
        loop {
            let slice = self.store.scan::<Postings>(Range::All, page.clone()).await?;
            for record in slice.records {
                page.after = Some(Cursor { index: IndexValue::Null, key: record.key });
                let posting = record.body;
                count(&mut close, &posting, day);
                seq = seq.saturating_add(1);
                let proof = &mut close.proof;
                if posting.seq != seq {
                    proof.fault(format!("posting {seq} is missing; {} follows", posting.seq));
                    seq = posting.seq;
                }
                if posting.previous != previous || posting.hash != posting.own_hash() {
                    proof.fault(format!("posting {seq} does not chain to the one before: it was changed"));
                }
                previous = posting.hash;
            }
            if slice.next.is_none() {
                if still.is_some() {
                    break;
                }
                still = Some(self.book.open().await);
            }
        }
        self.compare_balances(&mut close.proof).await?;
        self.compare_head(&mut close.proof, seq, &previous).await?;
        self.compare_receivables(&mut close.proof).await?;
        drop(still);
        close.proof.head = previous;
        Ok(close)
    }

    async fn compare_balances(&self, proof: &mut Proof) -> Result<(), BillingError> {
        let mut seen = 0_usize;
        let mut page = Page::first(MAX_PAGE);
        loop {
            let slice = self.store.scan::<Balances>(Range::All, page.clone()).await?;
            for record in slice.records {
                seen = seen.saturating_add(1);
                let account = Account::try_from(record.key.clone());
                let sum = account.ok().and_then(|account| proof.accounts.get(&account).copied());
                if sum != Some(record.body.balance) {
                    let (key, is, should) = (record.key, record.body.balance, sum.unwrap_or(0));
                    proof.fault(format!("the balance of {key} is {is}, and its lines sum to {should}"));
                }
            }
            let Some(next) = slice.next else { break };
            page.after = Some(next);
        }
        if seen != proof.accounts.len() {
            let accounts = proof.accounts.len();
            proof.fault(format!("{accounts} accounts have lines and {seen} have balances"));
        }
        Ok(())
    }

    async fn compare_head(&self, proof: &mut Proof, seq: u64, hash: &str) -> Result<(), BillingError> {
        let head = self.store.get::<LedgerHeads>(&HEAD.to_owned()).await?;
        let head = head.map(|record| record.body).unwrap_or_default();
        if head.seq != seq || head.hash != hash {
            proof.fault(format!(
                "the ledger ends at posting {seq}, and its end was written down as {}",
                head.seq
            ));
        }
        Ok(())
    }

    /// What invoices say is owed must be what the ledger says.
    async fn compare_receivables(&self, proof: &mut Proof) -> Result<(), BillingError> {
        let mut owed: BTreeMap<Account, i64> = BTreeMap::new();
        let mut page = Page::first(MAX_PAGE);
        loop {
            let slice = self.store.scan::<InvoiceStandings>(Range::All, page.clone()).await?;
            for record in slice.records {
                let of = owed.entry(Account::Receivable(record.body.subscriber_id)).or_default();
                *of = of.saturating_add(record.body.owed());
            }
            let Some(next) = slice.next else { break };
            page.after = Some(next);
        }
        for (account, owed) in owed {
            let is = proof.accounts.get(&account).copied().unwrap_or(0);
            if is != owed {
                proof.fault(format!("{account} stands at {is}, and its invoices have {owed} open"));
            }
        }
        Ok(())
    }
}

/// Adds one posting to the sums.
fn count(close: &mut DailyClose, posting: &Posting, day: Option<(Timestamp, Timestamp)>) {
    let (proof, seq) = (&mut close.proof, posting.seq);
    let mut sum = 0_i64;
    for line in &posting.lines {
        sum = sum.saturating_add(line.amount);
        let account = proof.accounts.entry(line.account.clone()).or_default();
        *account = account.saturating_add(line.amount);
        if *account != line.balance {
            let (should, is) = (*account, line.balance);
            proof.fault(format!("posting {seq}: {} stands at {is} and should at {should}", line.account));
        }
    }
    if sum != 0 {
        proof.fault(format!("posting {seq} sums to {sum}, not to zero"));
    }
    let of_currency = proof.sums.entry(posting.currency).or_default();
    *of_currency = of_currency.saturating_add(sum);
    proof.postings = proof.postings.saturating_add(1);
    if day.is_some_and(|(from, until)| from <= posting.at && posting.at < until) {
        close.postings = close.postings.saturating_add(1);
        for line in &posting.lines {
            let (debit, credit) = close.turnover.entry(line.account.clone()).or_default();
            *debit = debit.saturating_add(line.amount.max(0));
            *credit = credit.saturating_add(line.amount.min(0).saturating_neg());
        }
    }
}

/// Faults told in one proof: the first ones show where to look.
pub const MOST_FAULTS: usize = 100;
