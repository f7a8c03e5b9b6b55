//! The audit log is as it was written, or the entry that is not is named: over the real store on disk, with
//! its file altered behind its back and by somebody who holds the box's key.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::domain::audit::AuditEntry;
use dotmac_edge::domain::ids::AuditId;
use dotmac_edge::people::People;
use dotmac_edge::people::audit_chain::AuditProof;
use dotmac_edge::people::password::{Cost, Passwords};
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::tables::{self, AuditLog};
use dotmac_edge::store::vault::Vault;
use dotmac_edge::store::{Options, Store, audit};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

struct Lab {
    store: Store,
    people: People,
    dir: tempfile::TempDir,
}

fn now() -> Timestamp {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

fn open(dir: &Path) -> (Store, People) {
    let vault = Vault::with_key([7; 32]);
    let options =
        Options { ballast: 0, ..Options::new(dir, vault.seal_key(), Clock::System, Entropy::System) };
    let store = Store::open(&options, &tables::all(), Arc::new(())).unwrap();
    let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let passwords = Passwords::start(cost, 1, 16, Entropy::System).unwrap();
    let people = People::new(store.clone(), &vault, Entropy::System, passwords);
    (store, people)
}

fn entry(number: u128) -> AuditEntry {
    AuditEntry {
        id: AuditId(Uuid::from_u128(number)),
        at: now(),
        actor: "staff:1".into(),
        actor_name: "Ada Obi".into(),
        action: "payment.refund".into(),
        subject_kind: "payment".into(),
        subject_id: number.to_string(),
        before: Some(json!({ "refunded": "0.00" })),
        after: Some(json!({ "refunded": "500.00" })),
        source: None,
        request_id: None,
        why: Some("paid twice".into()),
    }
}

async fn write(store: &Store, entry: &AuditEntry) {
    store.commit(audit::append(Unit::natural(), entry).unwrap()).await.unwrap();
}

impl Lab {
    async fn with(entries: u128) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, people) = open(dir.path());
        people.link_audit(now()).await.unwrap();
        for number in 1..=entries {
            write(&store, &entry(number)).await;
        }
        let lab = Self { store, people, dir };
        lab.link().await;
        lab
    }

    async fn link(&self) -> usize {
        let mut entries = 0;
        loop {
            let linked = self.people.link_audit(now()).await.unwrap();
            entries += linked.entries;
            if !linked.more {
                return entries;
            }
        }
    }

    /// Something done to the file while nobody looks.
    fn behind(&self, sql: &str) {
        let file = rusqlite::Connection::open(self.dir.path().join("store.db")).unwrap();
        assert_eq!(file.execute(sql, []).unwrap(), 1, "{sql}");
    }

    async fn proof(&self) -> AuditProof {
        self.people.verify_audit().await.unwrap()
    }
}

fn key(number: u128) -> String {
    Uuid::from_u128(number).hyphenated().to_string()
}

#[tokio::test]
async fn a_log_that_nobody_touched_is_sound_and_its_tail_is_seen() {
    let lab = Lab::with(20).await;
    let proof = lab.proof().await;
    assert!(proof.is_sound(), "{proof:?}");
    assert_eq!((proof.linked, proof.unlinked, proof.head_seq), (20, 0, 20));
    write(&lab.store, &entry(21)).await;
    let tail = lab.proof().await;
    assert!(tail.is_sound(), "{tail:?}");
    assert_eq!((tail.unlinked, &tail.head_hash), (1, &proof.head_hash));
    assert_eq!(lab.link().await, 1);
    assert_eq!(lab.link().await, 0, "a link is made once");
    lab.store.close().await;
}

#[tokio::test]
async fn an_entry_that_is_altered_or_removed_in_the_file_is_named() {
    let lab = Lab::with(10).await;
    lab.behind(&format!("UPDATE audit SET body = replace(body, '500.00', '5.00') WHERE key = '{}'", key(4)));
    lab.behind(&format!("DELETE FROM audit WHERE key = '{}'", key(7)));
    let proof = lab.proof().await;
    assert_eq!(proof.faults.len(), 2, "{proof:?}");
    assert!(proof.faults[0].starts_with(&format!("entry {} (link 4) is damaged", key(4))), "{proof:?}");
    assert_eq!(proof.faults[1], format!("entry {} (link 7) is missing", key(7)));
    lab.store.close().await;
}

#[tokio::test]
async fn whoever_holds_the_boxs_key_cannot_rewrite_an_entry_or_put_one_in() {
    let lab = Lab::with(10).await;
    let forged = AuditEntry { actor: "staff:2".into(), ..entry(3) };
    lab.store.commit(Unit::natural().put::<AuditLog>(&forged.id, &forged).unwrap()).await.unwrap();
    let put_in = entry(99);
    lab.store.commit(Unit::natural().put::<AuditLog>(&put_in.id, &put_in).unwrap()).await.unwrap();
    let faults = lab.proof().await.faults;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(faults[0], format!("entry {} (link 3) is altered", key(3)));
    assert!(faults[1].contains(&key(99)), "{faults:?}");
    lab.store.close().await;
}

#[tokio::test]
async fn a_chain_that_was_cut_anywhere_says_so() {
    let lab = Lab::with(6).await;
    lab.behind("DELETE FROM audit_links WHERE key = '000000000002'");
    assert!(lab.proof().await.faults.contains(&"link 2 is missing".to_owned()));
    lab.behind("DELETE FROM audit_links WHERE key = '000000000006'");
    let faults = lab.proof().await.faults;
    assert!(faults.contains(&"the chain ends at link 5, and its end says 6".to_owned()), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains(&key(6))), "{faults:?}");
    lab.store.close().await;
}

#[tokio::test]
async fn an_entry_that_was_removed_before_it_had_its_link_is_named_too() {
    let lab = Lab::with(3).await;
    write(&lab.store, &entry(4)).await;
    lab.behind(&format!("DELETE FROM audit WHERE key = '{}'", key(4)));
    lab.link().await;
    assert_eq!(lab.proof().await.faults, [format!("entry {} (link 4) is missing", key(4))]);
    lab.store.close().await;
}

#[tokio::test]
async fn what_was_written_before_there_was_a_chain_is_linked_first_and_a_restart_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, people) = open(dir.path());
    for number in 1..=700 {
        let older = entry(number);
        store.commit(Unit::natural().create::<AuditLog>(&older.id, &older).unwrap()).await.unwrap();
    }
    people.link_audit(now()).await.unwrap();
    people.link_audit(now()).await.unwrap();
    write(&store, &entry(701)).await;
    store.close().await;
    let (store, people) = open(dir.path());
    let lab = Lab { store, people, dir };
    assert_eq!(lab.link().await, 201);
    let proof = lab.proof().await;
    assert!(proof.is_sound(), "{proof:?}");
    assert_eq!((proof.linked, proof.unlinked), (701, 0));
    lab.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_write_at_once_do_not_wait_for_one_another_and_all_are_linked() {
    let lab = Lab::with(0).await;
    let writers = (0..8u128).map(|writer| {
        let store = lab.store.clone();
        tokio::spawn(async move {
            for number in 0..50 {
                write(&store, &entry(1_000 * (writer + 1) + number)).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut linked = 0;
    for writer in writers {
        linked += lab.link().await;
        writer.await.unwrap();
    }
    linked += lab.link().await;
    assert_eq!(linked, 400);
    let proof = lab.proof().await;
    assert!(proof.is_sound(), "{proof:?}");
    assert_eq!(proof.head_seq, 400);
    lab.store.close().await;
}
