//! Wallets: transfers to a friend, corrections by staff, statements.

use jiff::Timestamp;
use serde_json::json;

use super::apply::Open;
use super::book::{MOST_TRIES, may_try_again};
use super::counter::from_wallet;
use super::fault::BillingError;
use super::settle::Till;
use crate::domain::audit::Actor;
use crate::domain::ids::SubscriberId;
use crate::domain::ledger::{Account, Entry, Posting, PostingKind};
use crate::domain::money::Money;
use crate::store::contract::{CommitError, Cursor, Page, Range, Unit};
use crate::store::tables::money::{LedgerLines, Postings, posting_key};

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLine {
    /// The posting.
    pub posting: Posting,
    /// What it changed, from the subscriber's view: positive is in their favour.
    pub change: Money,
    /// What they have with us, less what they owe, afterwards.
    pub balance: Money,
}

/// Adds to the commit of a movement: a kept answer, an audit entry.
pub type UnitExtra<'a> = &'a (dyn Fn(Unit) -> Result<Unit, CommitError> + Send + Sync);

impl Till {
    /// Refuses where there is no such subscriber.
    ///
    /// # Errors
    /// `NotFound`, or when the store cannot read.
    pub async fn must_know(&self, subscriber: SubscriberId) -> Result<(), BillingError> {
        self.shop.subscriber(subscriber).await.map(|_| ())
    }

    /// What a subscriber has with us.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn wallet(&self, subscriber: SubscriberId) -> Result<Money, BillingError> {
        let minor = self.book.balance(&Account::Wallet(subscriber)).await?.saturating_neg();
        Ok(Money { minor, currency: self.settings.currency })
    }

    /// What a subscriber owes by invoices.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn owed(&self, subscriber: SubscriberId) -> Result<Money, BillingError> {
        let minor = Open::of(&self.store, subscriber).await?.owed();
        Ok(Money { minor, currency: self.settings.currency })
    }

    /// Moves money to a friend's wallet, once for each `key`.
    ///
    /// # Errors
    /// `Short`; a field; `Repeated` for a key that was used; faults of ours.
    pub async fn transfer(
        &self,
        (from, to): (SubscriberId, SubscriberId),
        amount: Money,
        key: &str,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        if from == to {
            return Err(BillingError::field("to", "is the same account"));
        }
        self.must_be_positive(amount)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            self.shop.subscriber(to).await?;
            // A friend's money is not lent: credit is for one's own service.
            let holds = leaf.balance(&Account::Wallet(from)).await?.saturating_neg();
            if holds < amount.minor {
                return Err(BillingError::Short { has: Money { minor: holds, ..amount }, needs: amount });
            }
            leaf.post(
                Entry::new(
                    PostingKind::Transfer,
                    format!("transfer:{from}/{key}"),
                    "Transfer to another wallet",
                )
                .debit(Account::Wallet(from), amount)
                .credit(Account::Wallet(to), amount),
            );
            self.wake_renewals(&mut leaf, to, now).await?;
            let payload = json!({ "from": from, "to": to, "amount": amount.decimal(), "currency": amount.currency.code() });
            leaf.change(|unit| Ok(unit.event("wallet.transferred", from, payload)))?;
            if let Some(extra) = extra {
                leaf.change(extra)?;
            }
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => return answer,
            }
        }
    }

    /// A correction by staff: positive gives, negative takes.
    ///
    /// # Errors
    /// A field; `Repeated` for a key that was used; faults of ours.
    pub async fn adjust(
        &self,
        subscriber: SubscriberId,
        amount: Money,
        (key, reason): (&str, &str),
        actor: &Actor,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        if amount.currency != self.settings.currency || amount.minor == 0 {
            return Err(BillingError::field("amount", "must not be zero, in the currency of this site"));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            self.shop.subscriber(subscriber).await?;
            let source = format!("adjustment:{subscriber}/{key}");
            let entry =
                Entry::new(PostingKind::Adjustment, source.clone(), format!("{reason} ({})", actor.name))
                    .debit(Account::Adjustments, amount)
                    .credit(Account::Wallet(subscriber), amount);
            leaf.post(entry);
            self.apply_wallet(&mut leaf, subscriber, &source, now).await?;
            self.wake_renewals(&mut leaf, subscriber, now).await?;
            let payload = json!({ "amount": amount.decimal(), "currency": amount.currency.code() });
            leaf.change(|unit| Ok(unit.event("wallet.adjusted", subscriber, payload)))?;
            if let Some(extra) = extra {
                leaf.change(extra)?;
            }
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    /// Puts what a wallet holds onto open invoices, within a leaf that has put money there.
    pub(super) async fn apply_wallet(
        &self,
        leaf: &mut super::book::Leaf,
        subscriber: SubscriberId,
        source: &str,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let holds = leaf.balance(&Account::Wallet(subscriber)).await?.saturating_neg();
        if holds <= 0 {
            return Ok(());
        }
        let mut open = Open::of(&self.store, subscriber).await?;
        let spent = open.pay(Money { minor: holds, currency: self.settings.currency }, &[], now)?;
        leaf.post(from_wallet(subscriber, spent, format!("{source}/applied"), "Onto open invoices"));
        open.write(leaf, now).await?;
        self.tell_restored(leaf, now).await
    }

    fn must_be_positive(&self, amount: Money) -> Result<(), BillingError> {
        if amount.currency != self.settings.currency {
            return Err(BillingError::field("currency", format!("must be {}", self.settings.currency)));
        }
        if amount.minor <= 0 {
            return Err(BillingError::field("amount", "must be above zero"));
        }
        Ok(())
    }

    /// What happened on a subscriber's account, newest first: wallet and receivable together.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn statement(
        &self,
        subscriber: SubscriberId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StatementLine>, BillingError> {
        let mut places = Vec::new();
        for account in [Account::Wallet(subscriber), Account::Receivable(subscriber)] {
            let prefix = format!("{account}/");
            let after = before.map(|seq| Cursor {
                index: crate::store::contract::IndexValue::Null,
                key: format!("{prefix}{}", posting_key(seq)),
            });
            let page = Page { after, limit: limit.saturating_add(1), reverse: true };
            let slice = self.store.scan::<LedgerLines>(Range::KeyPrefix(prefix), page).await?;
            places.extend(slice.records.into_iter().map(|record| record.body.seq));
        }
        places.sort_unstable_by(|a, b| b.cmp(a));
        places.dedup();
        places.truncate(limit);
        let mut lines = Vec::with_capacity(places.len());
        for seq in places {
            let Some(record) = self.store.get::<Postings>(&posting_key(seq)).await? else { continue };
            let posting = record.body;
            let of = |account: &Account| posting.amount_on(account);
            let minor = of(&Account::Wallet(subscriber)).saturating_add(of(&Account::Receivable(subscriber)));
            let change = Money { minor: minor.saturating_neg(), currency: posting.currency };
            let balance = self.balance_after(subscriber, seq, posting.currency).await?;
            lines.push(StatementLine { posting, change, balance });
        }
        Ok(lines)
    }

    /// What a subscriber had, less what they owed, after a place in the ledger.
    async fn balance_after(
        &self,
        subscriber: SubscriberId,
        seq: u64,
        currency: crate::domain::money::Currency,
    ) -> Result<Money, BillingError> {
        let mut sum = 0_i64;
        for account in [Account::Wallet(subscriber), Account::Receivable(subscriber)] {
            let prefix = format!("{account}/");
            let after = Some(Cursor {
                index: crate::store::contract::IndexValue::Null,
                key: format!("{prefix}{}", posting_key(seq.saturating_add(1))),
            });
            let page = Page { after, limit: 1, reverse: true };
            let slice = self.store.scan::<LedgerLines>(Range::KeyPrefix(prefix), page).await?;
            sum = sum.saturating_add(slice.records.first().map_or(0, |record| record.body.balance));
        }
        Ok(Money { minor: sum.saturating_neg(), currency })
    }
}
