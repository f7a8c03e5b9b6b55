//! A store on disk and what the tests of it put there.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::path::Path;
use std::sync::Arc;

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::suite::{self, Coin, Coins, Thing, Things};
use dotmac_edge::store::{Options, SealKey, Store};
use serde_json::json;

pub(crate) fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir, SealKey::new([7; 32]), Clock::System, Entropy::System);
    options.ballast = 1 << 20;
    options
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(&options(dir), &suite::collections(), Arc::new(())).unwrap()
}

pub(crate) fn thing(number: usize) -> Thing {
    Thing::new(&format!("name {number}"), if number.is_multiple_of(3) { "red" } else { "blue" }, Some(7))
}

pub(crate) fn key(number: usize) -> String {
    format!("k{number:04}")
}

pub(crate) async fn fill(store: &Store, things: usize) {
    for first in (0..things).step_by(50) {
        let unit = (first..(first + 50).min(things)).fold(Unit::natural(), |unit, number| {
            let coin = Coin { owner: format!("o{}", number % 9), worth: 5 };
            unit.put_counted::<Things>(&key(number), &thing(number), vec![number as u64, 1])
                .and_then(|unit| unit.create::<Coins>(&key(number), &coin))
                .unwrap()
                .event("made", number, json!({ "number": number }))
        });
        store.commit(unit).await.unwrap();
    }
}
