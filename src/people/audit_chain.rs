//! The audit log's chain: entries in commit order, each link hashed over the one before.
//!
//! Linking is a job, not part of the change. In the change it would be one record that every audited write
//! of the box must replace, so that two of them always conflict; the change feed gives the same order for
//! free. Between a commit and its link (a second or two) the entry is covered by the feed, which is
//! gap-free and sealed, and shows as unlinked. The one rule: a link is made once, and whatever is missing,
//! altered or put in between is named.

use jiff::Timestamp;
use serde::Serialize;

use super::{People, PeopleError};
use crate::domain::audit::AuditLink;
use crate::domain::ids::AuditId;
use crate::store::Store;
use crate::store::audit::WRITTEN;
use crate::store::contract::{Cursor, IndexValue, MAX_PAGE, Page, Range, ReadError, Unit};
use crate::store::listing;
use crate::store::tables::AuditLog;
use crate::store::tables::staff::{AuditHead, AuditHeads, AuditLinks, HEAD, link_key};

/// What looking at the whole chain found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditProof {
    /// Links looked at.
    pub linked: u64,
    /// Entries that wait for their link.
    pub unlinked: u64,
    /// Hash of the last link; noted elsewhere it proves the whole log up to there.
    pub head_hash: String,
    /// Place of the last link.
    pub head_seq: u64,
    /// What is wrong, by place; at most [`MOST_FAULTS`].
    pub faults: Vec<String>,
}

impl AuditProof {
    /// Whether the log is as it was written.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(text);
        }
    }
}

impl People {
    /// Links a bounded part of what was written since the last time.
    ///
    /// # Errors
    /// A fault of the store; nothing is lost by it.
    pub async fn link_audit(&self, now: Timestamp) -> Result<Linked, PeopleError> {
        let kept = self.store.get::<AuditHeads>(&HEAD.to_owned()).await?;
        let Some(kept) = kept else { return self.begin_chain().await };
        let head = kept.body;
        let found = match head.adopting.clone() {
            Some(after) => self.older_entries(&after).await?,
            None => self.written_since(head.fed).await?,
        };
        let Found { entries, fed, adopting, more } = found;
        if entries.is_empty() && fed.is_none_or(|fed| fed == head.fed) && adopting == head.adopting {
            return Ok(Linked { entries: 0, more });
        }
        let mut next = AuditHead { fed: fed.unwrap_or(head.fed), adopting, ..head };
        let mut unit = Unit::natural();
        let mut linked = 0usize;
        for id in entries {
            let Some(link) = self.link(&next, id, now).await? else { continue };
            (next.seq, next.hash) = (link.seq, link.hash.clone());
            unit = unit.create::<AuditLinks>(&link_key(link.seq), &link)?;
            linked = linked.saturating_add(1);
        }
        unit = unit.replace::<AuditHeads>(&HEAD.to_owned(), kept.version, &next)?;
        self.store.commit(unit).await?;
        Ok(Linked { entries: linked, more })
    }

    /// Looks at the whole log: every link, every entry.
    ///
    /// # Errors
    /// When the store cannot read at all; what it finds is in the proof.
    pub async fn verify_audit(&self) -> Result<AuditProof, PeopleError> {
        Ok(verify(&self.store).await?)
    }

    /// The first time: what was written before there was a chain is linked first, in order of its time.
    async fn begin_chain(&self) -> Result<Linked, PeopleError> {
        let head =
            AuditHead { fed: self.store.last_seq(), adopting: Some(String::new()), ..AuditHead::default() };
        self.store.commit(Unit::natural().create::<AuditHeads>(&HEAD.to_owned(), &head)?).await?;
        Ok(Linked { entries: 0, more: true })
    }

    async fn older_entries(&self, after: &str) -> Result<Found, PeopleError> {
        let after = (!after.is_empty()).then(|| Cursor { index: IndexValue::Null, key: after.to_owned() });
        let page = Page { after, limit: AT_ONCE, reverse: false };
        let slice = self.store.scan::<AuditLog>(Range::All, page).await?;
        let adopting = slice.next.map(|cursor| cursor.key);
        let entries = slice.records.iter().map(|one| one.body.id).collect();
        Ok(Found { entries, fed: None, adopting, more: true })
    }

    async fn written_since(&self, fed: u64) -> Result<Found, PeopleError> {
        let changes = self.store.changes(fed, AT_ONCE).await?;
        let last = changes.last().map(|change| change.seq);
        let written = changes.iter().filter(|change| change.event.kind == WRITTEN);
        let entries = written.filter_map(|change| change.event.subject.parse().ok()).collect();
        Ok(Found { entries, fed: last, adopting: None, more: changes.len() >= AT_ONCE })
    }

    /// The next link, for an entry that has none. One that is gone already is linked as gone: its absence shows.
    async fn link(
        &self,
        head: &AuditHead,
        id: AuditId,
        now: Timestamp,
    ) -> Result<Option<AuditLink>, PeopleError> {
        let known = listing::one_by::<AuditLinks>(&self.store, "entry_id", id.to_string()).await?;
        if known.is_some() {
            return Ok(None);
        }
        let entry_hash = match self.store.get::<AuditLog>(&id).await {
            Ok(Some(entry)) => entry.body.own_hash(),
            Ok(None) | Err(ReadError::Damaged { .. }) => String::new(),
            Err(error @ (ReadError::Newer { .. } | ReadError::Unavailable(_))) => return Err(error.into()),
        };
        let link = AuditLink {
            seq: head.seq.saturating_add(1),
            entry_id: id,
            entry_hash,
            linked_at: now,
            previous: head.hash.clone(),
            hash: String::new(),
        };
        Ok(Some(AuditLink { hash: link.own_hash(), ..link }))
    }
}

/// What is to be linked next.
struct Found {
    entries: Vec<AuditId>,
    fed: Option<u64>,
    adopting: Option<String>,
    more: bool,
}

/// What a run of the linking did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linked {
    /// Entries linked.
    pub entries: usize,
    /// Whether more may wait.
    pub more: bool,
}

/// Looks at the whole log: every link in its place, every entry as its link says, no entry without one.
///
/// # Errors
/// When the store cannot read at all.
pub async fn verify(store: &Store) -> Result<AuditProof, ReadError> {
    let mut proof = AuditProof::default();
    let head = match store.get::<AuditHeads>(&HEAD.to_owned()).await {
        Ok(head) => head.map(|one| one.body).unwrap_or_default(),
        Err(ReadError::Damaged { .. }) => {
            proof.fault("the chain's end is damaged".to_owned());
            AuditHead::default()
        }
        Err(error @ (ReadError::Newer { .. } | ReadError::Unavailable(_))) => return Err(error),
    };
    let (mut seq, mut hash) = (0u64, String::new());
    let mut page = Page::first(MAX_PAGE);
    loop {
        let slice = store.scan::<AuditLinks>(Range::All, page.clone()).await?;
        for link in slice.records.into_iter().map(|one| one.body) {
            look_at(store, &mut proof, &link, seq, &hash).await?;
            (seq, hash) = (link.seq, link.hash);
        }
        let Some(next) = slice.next else { break };
        page.after = Some(next);
    }
    if (seq, &hash) != (head.seq, &head.hash) {
        let text = format!("the chain ends at link {seq}, and its end says {}", head.seq);
        proof.fault(text);
    }
    (proof.head_seq, proof.head_hash) = (head.seq, head.hash.clone());
    proof.unlinked = unlinked(store, &head, &mut proof.faults).await?;
    Ok(proof)
}

async fn look_at(
    store: &Store,
    proof: &mut AuditProof,
    link: &AuditLink,
    before: u64,
    previous: &str,
) -> Result<(), ReadError> {
    let expected = before.saturating_add(1);
    if link.seq != expected {
        proof.fault(format!("link {expected} is missing"));
    } else if link.previous != previous {
        proof.fault(format!("link {} does not follow the one before it", link.seq));
    }
    if link.hash != link.own_hash() {
        proof.fault(format!("link {} is altered", link.seq));
    }
    proof.linked = proof.linked.saturating_add(1);
    let named = |what: &str| format!("entry {} (link {}) is {what}", link.entry_id, link.seq);
    match store.get::<AuditLog>(&link.entry_id).await {
        Ok(Some(entry)) if entry.body.own_hash() == link.entry_hash => {}
        Ok(Some(_)) => proof.fault(named("altered")),
        Ok(None) => proof.fault(named("missing")),
        Err(ReadError::Damaged { .. }) => proof.fault(named("damaged: it is not what was written")),
        Err(error @ (ReadError::Newer { .. } | ReadError::Unavailable(_))) => return Err(error),
    }
    Ok(())
}

/// Entries without a link: those that the feed still tells of wait for theirs, any other was put in between.
async fn unlinked(store: &Store, head: &AuditHead, faults: &mut Vec<String>) -> Result<u64, ReadError> {
    let adopting = head.adopting.is_some() || head.seq == 0;
    let mut waiting = std::collections::BTreeSet::new();
    let mut fed = head.fed;
    while waiting.len() < MOST_WAITING {
        let changes = store.changes(fed, MAX_PAGE).await?;
        let Some(last) = changes.last() else { break };
        fed = last.seq;
        let written = changes.iter().filter(|change| change.event.kind == WRITTEN);
        waiting.extend(written.map(|change| change.event.subject.clone()));
    }
    let (mut count, mut page) = (0u64, Page::first(MAX_PAGE));
    loop {
        let slice = store.scan::<AuditLog>(Range::All, page.clone()).await?;
        for entry in slice.records {
            let link = listing::one_by::<AuditLinks>(store, "entry_id", entry.key.clone()).await?;
            if link.is_some() {
                continue;
            }
            count = count.saturating_add(1);
            if !adopting && !waiting.contains(&entry.key) && faults.len() < MOST_FAULTS {
                faults.push(format!("entry {} has no link: it was not written by this program", entry.key));
            }
        }
        let Some(next) = slice.next else { return Ok(count) };
        page.after = Some(next);
    }
}

/// Entries linked in one commit: a few milliseconds of the writer's time.
pub const AT_ONCE: usize = 500;
/// Faults named; somebody who finds so many restores a backup.
pub const MOST_FAULTS: usize = 100;
/// Entries that may wait before a check stops telling them from strangers: an hour of a busy day.
const MOST_WAITING: usize = 100_000;
