//! The ledger's only writer.
//!
//! A [`Leaf`] is one change of money with everything that it buys: postings, and whatever records and events belong
//! to them. Leaves are written one after the other, since each posting chains to the one before; what is slow
//! (asking a provider) is done before a leaf is opened. The one rule: postings, balances, chain and what was
//! bought are one commit, and a posting's source is booked once.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::contract::Contract;
use super::fault::BillingError;
use crate::base::entropy::Entropy;
use crate::domain::ids::{PostingId, ServiceId};
use crate::domain::ledger::{Account, Entry, Line, Posting};
use crate::domain::money::{Currency, MoneyError};
use crate::store::Store;
use crate::store::contract::{CommitError, Expected, Range, Unit};
use crate::store::tables::money::{
    Balance, Balances, HEAD, LedgerHead, LedgerHeads, LedgerLine, LedgerLines, Postings, posting_key,
};

/// The ledger; cheap to clone. There is one for a store.
#[derive(Clone)]
pub struct Book {
    store: Store,
    entropy: Entropy,
    desk: Arc<Mutex<Desk>>,
}

/// What was written last: kept so that a leaf needs no reads for it. Whoever holds the desk writes.
#[derive(Debug, Default)]
struct Desk {
    head: Option<Held<LedgerHead>>,
    balances: BTreeMap<Account, Held<Balance>>,
}

/// A record with the version to expect; `None` where there is none yet.
#[derive(Debug, Clone)]
struct Held<T> {
    version: Option<u64>,
    body: T,
}

/// One change of money under way. Dropping it changes nothing.
pub struct Leaf {
    store: Store,
    entropy: Entropy,
    desk: OwnedMutexGuard<Desk>,
    unit: Unit,
    entries: Vec<Entry>,
    contracts: BTreeMap<ServiceId, Contract>,
    restored: Vec<ServiceId>,
}

/// A place in a leaf.
#[derive(Debug)]
pub struct Mark {
    unit: Unit,
    entries: usize,
    contracts: BTreeMap<ServiceId, Contract>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Book")
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leaf({} entries)", self.entries.len())
    }
}

impl Book {
    /// The ledger of a store.
    #[must_use]
    pub fn new(store: Store, entropy: Entropy) -> Self {
        Self { store, entropy, desk: Arc::default() }
    }

    /// Waits for its turn and opens a leaf. Read what decides after this, so that no other leaf comes between.
    pub async fn open(&self) -> Leaf {
        let desk = Arc::clone(&self.desk).lock_owned().await;
        let (store, entropy) = (self.store.clone(), self.entropy.clone());
        let (unit, entries, restored) = (Unit::natural(), Vec::new(), Vec::new());
        Leaf { store, entropy, desk, unit, entries, contracts: BTreeMap::new(), restored }
    }

    /// What an account stands at, minor units, debit positive.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn balance(&self, account: &Account) -> Result<i64, BillingError> {
        Ok(self.store.get::<Balances>(&account.to_string()).await?.map_or(0, |record| record.body.balance))
    }

    /// Whether a source was booked, and as which posting.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn booked(&self, source: &str) -> Result<Option<Posting>, BillingError> {
        booked(&self.store, source).await
    }
}

async fn booked(store: &Store, source: &str) -> Result<Option<Posting>, BillingError> {
    let range = Range::Equals("source", source.into());
    let found = store.scan::<Postings>(range, crate::store::contract::Page::first(1)).await?;
    Ok(found.records.into_iter().next().map(|record| record.body))
}

impl Leaf {
    /// Adds a posting.
    pub fn post(&mut self, entry: Entry) {
        if !entry.lines.is_empty() {
            self.entries.push(entry);
        }
    }

    /// Adds records, expectations and events of the same commit.
    ///
    /// # Errors
    /// When a record does not serialise: ours.
    pub fn change(
        &mut self,
        add: impl FnOnce(Unit) -> Result<Unit, CommitError>,
    ) -> Result<(), BillingError> {
        self.unit = add(std::mem::take(&mut self.unit))?;
        Ok(())
    }

    /// What an account will stand at once this leaf is written, minor units, debit positive.
    ///
    /// # Errors
    /// When the store cannot read, or beyond 64 bits.
    pub async fn balance(&mut self, account: &Account) -> Result<i64, BillingError> {
        let mut balance = self.held(account, None).await?.body.balance;
        for (_, amount) in
            self.entries.iter().flat_map(|entry| &entry.lines).filter(|(one, _)| one == account)
        {
            balance = balance.checked_add(amount.minor).ok_or(MoneyError::TooLarge)?;
        }
        Ok(balance)
    }

    /// Where the leaf is now, to come back to when what follows turns out not to be possible.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { unit: self.unit.clone(), entries: self.entries.len(), contracts: self.contracts.clone() }
    }

    /// Takes back everything since a mark.
    pub fn back_to(&mut self, mark: Mark) {
        self.unit = mark.unit;
        self.entries.truncate(mark.entries);
        self.contracts = mark.contracts;
    }

    /// A service with its subscription, as this leaf has them: change them in place.
    ///
    /// # Errors
    /// `NotFound`, or when the store cannot read.
    pub(super) async fn contract(
        &mut self,
        id: ServiceId,
        now: Timestamp,
    ) -> Result<&mut Contract, BillingError> {
        use std::collections::btree_map::Entry as Place;
        match self.contracts.entry(id) {
            Place::Occupied(known) => Ok(known.into_mut()),
            Place::Vacant(place) => Ok(place.insert(Contract::read(&self.store, id, now).await?)),
        }
    }

    /// Adds what another room has made ready.
    pub(super) fn add(&mut self, more: Unit) {
        self.unit.expect.extend(more.expect);
        self.unit.ops.extend(more.ops);
        self.unit.events.extend(more.events);
    }

    /// Notes that a lock for debt fell.
    pub(super) fn note_restored(&mut self, id: ServiceId) {
        self.restored.push(id);
    }

    /// The services whose locks fell; asked once.
    pub(super) fn restored(&mut self) -> Vec<ServiceId> {
        std::mem::take(&mut self.restored)
    }

    /// How much this leaf holds, so that whoever gathers many decisions in one can stop in time.
    #[must_use]
    pub fn size(&self) -> usize {
        self.unit.ops.len().saturating_add(self.entries.len()).saturating_add(self.contracts.len())
    }

    /// Whether a source was booked before this leaf.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn booked(&self, source: &str) -> Result<Option<Posting>, BillingError> {
        booked(&self.store, source).await
    }

    /// Writes the leaf: all of it, or nothing.
    ///
    /// # Errors
    /// `Repeated` when a posting's source was booked before; `Commit(Conflict)` when a record that the leaf
    /// expected has moved (decide again from fresh reads, [`may_try_again`]); faults of ours.
    pub async fn commit(mut self, now: Timestamp) -> Result<(), BillingError> {
        let mut desk = Desk::default();
        let entries = std::mem::take(&mut self.entries);
        let sources: Vec<String> = entries.iter().map(|entry| entry.source.clone()).collect();
        for entry in entries {
            self.chain(entry, &mut desk, now).await?;
        }
        let mut unit = std::mem::take(&mut self.unit);
        for contract in self.contracts.values() {
            unit = contract.write(unit)?;
        }
        unit = with_desk(unit, &desk)?;
        if unit.ops.is_empty() && unit.events.is_empty() {
            return Ok(());
        }
        if unit.id.is_none() {
            unit.id = Some(self.entropy.uuid_v7(now)?);
        }
        match submit(&self.store, unit).await {
            Ok(()) => {
                self.desk.keep(desk);
                Ok(())
            }
            Err(error) => {
                // What the desk remembers may be what was wrong.
                *self.desk = Desk::default();
                let is_repeat =
                    matches!(error, CommitError::Taken { collection: "postings", index: "source" });
                Err(if is_repeat { BillingError::Repeated(sources.join(", ")) } else { error.into() })
            }
        }
    }

    /// Gives an entry its place: balances, chain, rows.
    async fn chain(&mut self, entry: Entry, desk: &mut Desk, now: Timestamp) -> Result<(), BillingError> {
        let currency = entry.balanced()?;
        let mut lines = Vec::with_capacity(entry.lines.len());
        let head = match &desk.head {
            Some(head) => head.clone(),
            None => self.head().await?,
        };
        let seq = head.body.seq.saturating_add(1);
        for (account, amount) in entry.lines {
            let held = match desk.balances.get(&account) {
                Some(held) => held.clone(),
                None => self.held(&account, Some(currency)).await?,
            };
            if held.body.currency != currency {
                return Err(MoneyError::TwoCurrencies { left: held.body.currency, right: currency }.into());
            }
            let balance = held.body.balance.checked_add(amount.minor).ok_or(MoneyError::TooLarge)?;
            let body = Balance { balance, currency, seq };
            desk.balances.insert(account.clone(), Held { body, ..held });
            lines.push(Line { account, amount: amount.minor, balance });
        }
        let mut posting = Posting {
            id: PostingId(self.entropy.uuid_v7(now)?),
            seq,
            at: now,
            kind: entry.kind,
            source: entry.source,
            memo: entry.memo,
            currency,
            lines,
            reverses: entry.reverses,
            previous: head.body.hash,
            hash: String::new(),
        };
        posting.hash = posting.own_hash();
        desk.head =
            Some(Held { version: head.version, body: LedgerHead { seq, hash: posting.hash.clone() } });
        self.change(|unit| rows(unit, &posting))
    }

    async fn head(&self) -> Result<Held<LedgerHead>, BillingError> {
        if let Some(head) = &self.desk.head {
            return Ok(head.clone());
        }
        let record = self.store.get::<LedgerHeads>(&HEAD.to_owned()).await?;
        Ok(record.map_or_else(
            || Held { version: None, body: LedgerHead::default() },
            |record| Held { version: Some(record.version), body: record.body },
        ))
    }

    /// A balance as it stands before this leaf. An account that never moved has the currency that it is asked in.
    async fn held(
        &mut self,
        account: &Account,
        currency: Option<Currency>,
    ) -> Result<Held<Balance>, BillingError> {
        if let Some(held) = self.desk.balances.get(account) {
            return Ok(held.clone());
        }
        let record = self.store.get::<Balances>(&account.to_string()).await?;
        let none = || Balance { balance: 0, currency: currency.unwrap_or(Currency::NONE), seq: 0 };
        let held = record.map_or_else(
            || Held { version: None, body: none() },
            |record| Held { version: Some(record.version), body: record.body },
        );
        if held.version.is_some() {
            self.desk.remember(account.clone(), held.clone());
        }
        Ok(held)
    }
}

impl Desk {
    fn remember(&mut self, account: Account, held: Held<Balance>) {
        if self.balances.len() >= MOST_REMEMBERED {
            self.balances.clear();
        }
        self.balances.insert(account, held);
    }

    /// Takes over what a leaf wrote: every record it touched is one version on.
    fn keep(&mut self, written: Self) {
        if let Some(Held { version, body }) = written.head {
            self.head = Some(Held { version: Some(after(version)), body });
        }
        for (account, Held { version, body }) in written.balances {
            self.remember(account, Held { version: Some(after(version)), body });
        }
    }
}

/// The version of a record that was just written: the first is 1.
fn after(version: Option<u64>) -> u64 {
    version.map_or(1, |version| version.saturating_add(1))
}

fn rows(unit: Unit, posting: &Posting) -> Result<Unit, CommitError> {
    let mut unit = unit.create::<Postings>(&posting_key(posting.seq), posting)?;
    let mut last: BTreeMap<&Account, LedgerLine> = BTreeMap::new();
    for line in &posting.lines {
        let row = last.entry(&line.account).or_insert(LedgerLine { seq: posting.seq, amount: 0, balance: 0 });
        row.amount = row.amount.saturating_add(line.amount);
        row.balance = line.balance;
    }
    for (account, line) in last {
        unit = unit.create::<LedgerLines>(&format!("{account}/{}", posting_key(posting.seq)), &line)?;
    }
    Ok(unit)
}

fn with_desk(mut unit: Unit, desk: &Desk) -> Result<Unit, CommitError> {
    if let Some(head) = &desk.head {
        let key = HEAD.to_owned();
        unit =
            unit.expect::<LedgerHeads>(&key, expected(head.version)).put::<LedgerHeads>(&key, &head.body)?;
    }
    for (account, held) in &desk.balances {
        let key = account.to_string();
        unit = unit.expect::<Balances>(&key, expected(held.version)).put::<Balances>(&key, &held.body)?;
    }
    Ok(unit)
}

fn expected(version: Option<u64>) -> Expected {
    version.map_or(Expected::Absent, Expected::Version)
}

/// Commits; when the answer is lost, asks again with the same unit.
pub(crate) async fn submit(store: &Store, unit: Unit) -> Result<(), CommitError> {
    for _ in 1..MOST_SUBMITS {
        match store.commit(unit.clone()).await {
            Err(CommitError::Unknown(_)) => {}
            known => return known.map(|_| ()),
        }
    }
    store.commit(unit).await.map(|_| ())
}

/// Whether somebody else moved what a leaf had read, so that deciding again may go through.
#[must_use]
pub const fn may_try_again(error: &BillingError) -> bool {
    matches!(error, BillingError::Commit(CommitError::Conflict { .. }))
}

/// Decisions for one change of money: more contention than this is somebody's endless loop.
pub const MOST_TRIES: u32 = 8;
/// Submits of one unit whose answer is lost.
const MOST_SUBMITS: u32 = 3;
/// Balances kept in memory: those that every sale touches, and a day's customers of a busy box.
const MOST_REMEMBERED: usize = 4_096;
