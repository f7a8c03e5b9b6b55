//! The layers hold: imports point down only, each outside crate is named in its own rooms, and no
//! file breaks the few rules that a compiler does not know. The tables below are the architecture.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "architecture/scan.rs"]
mod scan;

use std::collections::BTreeSet;
use std::path::Path;

/// A room, and the rooms it may import. Rooms on one line of the drawing never import one another.
const ROOMS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("domain", &["base"]),
    ("radius", &["base"]),
    // Its methods prove passwords as RADIUS' own do, so the arithmetic stands there once.
    ("eap", &["radius", "base"]),
    ("firewall", &["base"]),
    ("nas", &["domain", "radius", "base"]),
    ("store", &["domain", "base"]),
    // The queue of messages is durable, so it is in the store.
    ("notify", &["store", "domain", "base"]),
    ("access", &["store", "domain", "eap", "base"]),
    ("people", &["store", "domain", "base"]),
    ("catalogue", &["store", "domain", "base"]),
    ("billing", &["store", "notify", "domain", "base"]),
    // Invoices, receipts and voucher sheets as files: facts in, octets out.
    ("paper", &["domain", "base"]),
    ("platform", &["store", "notify", "domain", "base"]),
    ("enforce", &["store", "domain", "firewall", "nas", "radius", "base"]),
    // A line of its own between use cases and doors: what takes several use cases at once.
    (
        "reception",
        &["access", "people", "catalogue", "billing", "enforce", "notify", "store", "domain", "base"],
    ),
    ("serve/http", &["base"]),
    ("serve/radius", &["radius", "eap", "nas", "access", "domain", "base"]),
    ("serve/portal", DOOR),
    ("serve/api", DOOR),
    ("serve/console", DOOR),
    ("serve/control", DOOR),
    ("config", &["firewall", "domain", "base"]),
    ("daemon", &[ALL]),
    ("cli", &[ALL]),
    ("main", &["cli"]),
];

/// What a door for one audience may import.
const DOOR: &[&str] = &[
    "serve/http",
    "reception",
    "access",
    "people",
    "catalogue",
    "billing",
    "paper",
    "enforce",
    "platform",
    "domain",
    "base",
];

/// The files of `serve/api` that hold the store: what a use case drafted is committed at the door,
/// together with the answer kept for a repeat of the request. Resource files hand it on, unnamed.
const HOLD_THE_STORE: &[&str] = &["serve/api/app.rs", "serve/api/commit.rs", "serve/api/error.rs"];

/// Rooms where money is reckoned: no float there, so that no amount is ever rounded by accident. (`paper` measures
/// pages in points; the numbers on them are texts that come from here.)
const NO_FLOATS: &[&str] = &["domain", "billing", "catalogue", "store", "people", "access", "reception"];

/// In a list of rooms: every room.
const ALL: &str = "*";

/// Rooms without I/O: no clock, no task, no socket, no file, no log line.
const PURE: &[&str] = &["domain", "radius", "eap", "nas", "firewall", "paper"];

/// Within the pure rooms, the one that is not: it speaks to the kernel.
const IMPURE_INSIDE: &[&str] = &["firewall/kernel"];

/// A crate, and the places below `src` that may name it.
const CRATES: &[(&str, &[&str])] = &[
    // Words, errors and small tools: anywhere.
    ("thiserror", &[ALL]),
    ("serde", &[ALL]),
    ("jiff", &[ALL]),
    ("uuid", &[ALL]),
    ("ipnet", &[ALL]),
    ("subtle", &[ALL]),
    ("zeroize", &[ALL]),
    ("base64", &[ALL]),
    // Tasks and the log: wherever there is I/O.
    ("tokio", IMPURE),
    ("tokio_util", IMPURE),
    ("tracing", IMPURE),
    ("metrics", IMPURE),
    ("arc_swap", IMPURE),
    // In domain for two fields whose shape is the operator's own.
    (
        "serde_json",
        &[
            "domain",
            "store",
            "notify",
            "access",
            "people",
            "catalogue",
            "billing",
            "platform",
            "enforce",
            "reception",
            "serve",
            "daemon",
            "cli",
        ],
    ),
    // The machine.
    (
        "nix",
        &["store", "serve/radius", "serve/control", "firewall/kernel", "enforce", "config", "daemon", "cli"],
    ),
    ("socket2", &["serve", "daemon"]),
    ("sd_notify", &["daemon"]),
    ("getrandom", &["base/entropy.rs"]),
    // HTTP.
    ("axum", HTTP),
    ("hyper", HTTP),
    ("hyper_util", HTTP),
    ("http_body_util", HTTP),
    ("tower", HTTP),
    ("utoipa", &["serve/api"]),
    ("askama", &["serve/portal", "paper"]),
    // In eap without I/O: TLS there goes from octets to octets. In notify because the client of outgoing calls asks for the process's TLS provider.
    (
        "rustls",
        &["eap", "cli/radius_ca/profile.rs", "serve/http", "serve/portal", "daemon", "notify/outbound.rs"],
    ),
    ("tokio_rustls", &["serve/http", "serve/portal", "daemon"]),
    ("rcgen", &["serve/http/certificate.rs", "cli/demo", "cli/radius_ca"]),
    ("x509_parser", &["eap/certificate.rs", "serve/http/certificate.rs"]),
    ("lettre", &["notify"]),
    ("reqwest", &["notify"]),
    ("fluent_bundle", &["notify"]),
    ("unic_langid", &["notify"]),
    ("totp_rs", &["people"]),
    // Documents as PDF.
    ("krilla", &["paper"]),
    // Reads the widths of the fonts' characters, where lines are broken; krilla stands on it.
    ("skrifa", &["paper"]),
    ("qrcode", &["paper"]),
    ("jsonwebtoken", &["people", "platform"]),
    // The store.
    ("rusqlite", &["store/engine/sqlite"]),
    ("crc32c", &["store"]),
    ("chacha20poly1305", &["store"]),
    // Hashes and ciphers, in the rooms that know the protocol they are for.
    (
        "sha2",
        &[
            "base",
            "domain/ledger.rs",
            "domain/audit.rs",
            "store",
            "notify",
            "access",
            "catalogue/foreign",
            "people",
            "billing/provider/sign.rs",
            "reception",
            "radius",
            "eap",
            "serve",
        ],
    ),
    (
        "hmac",
        &[
            "base",
            "store",
            "notify",
            "access",
            "people",
            "billing/provider/sign.rs",
            "reception",
            "radius",
            "eap",
            "serve/portal",
        ],
    ),
    // In a profile because Windows names a CA by it.
    ("sha1", &["radius", "eap", "cli/radius_ca/profile.rs"]),
    ("md5", &["radius", "eap"]),
    ("md4", &["radius", "eap"]),
    ("des", &["radius", "eap"]),
    ("argon2", &["access", "people"]),
    // The rim.
    ("toml", &["config"]),
    ("serde_spanned", &["config"]),
    ("csv", &["people", "catalogue", "cli", "serve/api"]),
    ("memchr", &["store"]),
    ("clap", &["cli", "main.rs"]),
    ("tracing_subscriber", &["base/telemetry.rs"]),
    ("tracing_journald", &["base/telemetry.rs"]),
    ("metrics_exporter_prometheus", &["daemon"]),
];

/// Wherever there is I/O.
const IMPURE: &[&str] = &[
    "base",
    "store",
    "notify",
    "access",
    "people",
    "catalogue",
    "billing",
    "platform",
    "enforce",
    "reception",
    "serve",
    "firewall/kernel",
    "config",
    "daemon",
    "cli",
];

/// Who speaks HTTP: its plumbing, the doors over it, and the command line as its client.
const HTTP: &[&str] = &["serve/http", "serve/portal", "serve/api", "serve/console", "serve/control", "cli"];

/// What must be asked for in one place only: the end of a path, and the place.
const ONE_PLACE: &[(&[&str], &str)] = &[
    (&["SystemTime", "now"], "base/clock.rs"),
    (&["Instant", "now"], "base/clock.rs"),
    (&["Timestamp", "now"], "base/clock.rs"),
    (&["Zoned", "now"], "base/clock.rs"),
    (&["Uuid", "now_v7"], "base/entropy.rs"),
    (&["Uuid", "new_v4"], "base/entropy.rs"),
    (&["env", "var"], "config/load.rs"),
    (&["env", "var_os"], "config/load.rs"),
];

/// Beginnings of paths that no pure room may name.
const IO_PATHS: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "env"],
    &["std", "net", "UdpSocket"],
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
];

/// More lines than this and a file does two things.
const MOST_LINES: usize = 700;

/// Every breach in one file of `src`; `path` is below `src`, `crates` are the package's dependencies.
fn breaches(path: &str, source: &str, crates: &BTreeSet<String>) -> Vec<String> {
    let tokens = scan::production_tokens(source);
    let paths: Vec<Vec<String>> =
        scan::paths(&tokens).into_iter().map(|found| absolute(&found, path)).collect();
    let mut found = shape(path, source, &tokens);
    for named in &paths {
        found.extend(imports(path, named));
        found.extend(outside(path, named, crates, &tokens));
        found.extend(rim(path, named));
    }
    found.sort();
    found.dedup();
    found.into_iter().map(|breach| format!("src/{path}: {breach}")).collect()
}

/// The rules on a file as a whole.
fn shape(path: &str, source: &str, tokens: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    if !source.starts_with("//!") {
        found.push(
            "does not begin with `//!`: say what it is for, what not, and the rule it keeps".to_owned(),
        );
    }
    let lines = scan::production_lines(source);
    if lines > MOST_LINES {
        found.push(format!("has {lines} lines; split it below {MOST_LINES}"));
    }
    if tokens.iter().any(|token| token == "unsafe") {
        found.push("has `unsafe`".to_owned());
    }
    if is_pure(path) && tokens.iter().any(|token| token == "async" || token == "await") {
        found.push("awaits in a room without I/O; return what to do instead".to_owned());
    }
    if NO_FLOATS.iter().any(|room| below(path, room)) && has_float(tokens) {
        found
            .push("has a float; money is whole minor units, rates whole bits, time whole seconds".to_owned());
    }
    found
}

/// `f64`, `as_secs_f32`, `1.5`: a type, a function or a number with a point.
fn has_float(tokens: &[String]) -> bool {
    let named = |token: &String| token.ends_with("f32") || token.ends_with("f64");
    let number = |token: &String| token.starts_with(|first: char| first.is_ascii_digit());
    // `pair.0.1` is no number: a point stands before it.
    let pointed = |four: &[String]| four[0] != "." && number(&four[1]) && four[2] == "." && number(&four[3]);
    tokens.iter().any(named) || tokens.windows(4).any(pointed)
}

/// Whether the room may import what the path leads to.
fn imports(path: &str, named: &[String]) -> Option<String> {
    let (root, rest) = named.split_first()?;
    if root != "crate" || rest.is_empty() {
        return None;
    }
    let (from, to) = (room_of(&path.replace(".rs", "")), room_of(&rest.join("/")));
    let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == from) else {
        return (from != "lib" && from != "serve").then(|| format!("room {from} is not in the table"));
    };
    let known = ROOMS.iter().any(|(room, _)| *room == to);
    let fine = from == to
        || !known
        || allowed.contains(&ALL)
        || allowed.contains(&to.as_str())
        || (to == "store" && HOLD_THE_STORE.contains(&path));
    (!fine).then(|| format!("{from} must not import {to} ({})", named.join("::")))
}

/// Whether the file may name the outside crate that the path begins with.
fn outside(path: &str, named: &[String], crates: &BTreeSet<String>, tokens: &[String]) -> Option<String> {
    let root = named.first()?;
    let own_module = tokens.windows(2).any(|pair| pair[0] == "mod" && pair[1] == *root);
    if !crates.contains(root) || own_module {
        return None;
    }
    let Some((_, places)) = CRATES.iter().find(|(name, _)| name == root) else {
        return Some(format!(
            "names {root}, which is a tool of the tests or has no row in tests/architecture.rs"
        ));
    };
    let fine = places.iter().any(|place| *place == ALL || below(path, place));
    (!fine).then(|| format!("must not name the crate {root}; only {} may", places.join(", ")))
}

/// What only the rim may ask for.
fn rim(path: &str, named: &[String]) -> Option<String> {
    let one_place = ONE_PLACE
        .iter()
        .find(|(end, place)| ends_with(named, end) && path != *place)
        .map(|(end, place)| format!("asks for {}; only {place} may", end.join("::")));
    let io = IO_PATHS
        .iter()
        .find(|start| is_pure(path) && starts_with(named, start))
        .map(|start| format!("names {} in a room without I/O", start.join("::")));
    one_place.or(io)
}

fn ends_with(path: &[String], end: &[&str]) -> bool {
    path.len() >= end.len() && path[path.len() - end.len()..].iter().zip(end).all(|(a, b)| a == b)
}

fn starts_with(path: &[String], start: &[&str]) -> bool {
    path.len() >= start.len() && path.iter().zip(start).all(|(a, b)| a == b)
}

fn is_pure(path: &str) -> bool {
    PURE.iter().any(|room| below(path, room)) && !IMPURE_INSIDE.iter().any(|room| below(path, room))
}

/// True for a file in the folder `place`, or `place` with or without its ending.
fn below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
}

/// `serve/api/auth` is of room `serve/api`, `store/engine/sqlite` of `store`.
fn room_of(path: &str) -> String {
    let mut parts = path.split('/');
    match (parts.next().unwrap_or(""), parts.next()) {
        ("serve", Some(door)) if door != "mod" => format!("serve/{door}"),
        (room, _) => room.to_owned(),
    }
}

/// `super::x` in `store/engine/sqlite.rs` is `crate::store::engine::x`.
fn absolute(named: &[String], path: &str) -> Vec<String> {
    let ups = named.iter().take_while(|word| *word == "super").count();
    if ups == 0 {
        return named.to_vec();
    }
    let mut module: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if module.last().is_some_and(|last| *last == "mod") {
        module.pop();
    }
    module.truncate(module.len().saturating_sub(ups));
    let start = ["crate"].into_iter().chain(module).map(str::to_owned);
    start.chain(named.iter().skip(ups).cloned()).collect()
}

fn dependencies() -> BTreeSet<String> {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
    let tables = ["dependencies", "dev-dependencies"].map(|name| manifest[name].as_table().unwrap().clone());
    // The crate md-5 calls its library md5.
    let library = |name: &String| name.replace('-', "_").replace("md_5", "md5");
    tables.iter().flat_map(|table| table.keys().map(library)).collect()
}

fn shipped(folder: &Path, found: &mut Vec<(String, String)>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            shipped(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let below_root = path.strip_prefix(root).unwrap();
            let name = below_root.strip_prefix("src").unwrap_or(below_root).to_str().unwrap().to_owned();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Files that a `#[cfg(test)] mod name;` brings in: they do not ship.
fn is_test_file(path: &str, files: &[(String, String)]) -> bool {
    let Some((folder, name)) = path.trim_end_matches(".rs").rsplit_once('/') else { return false };
    let declared = format!("#[cfg(test)]\nmod {name};");
    let parents = [format!("{folder}/mod.rs"), format!("{folder}.rs")];
    files.iter().any(|(parent, source)| {
        let sibling = parent.rsplit_once('/').is_some_and(|(beside, _)| beside == folder);
        (parents.contains(parent) || sibling) && source.contains(&declared)
            || source.contains(&format!("\"{name}.rs\"]\nmod ")) && sibling
    })
}

#[test]
fn the_house_keeps_its_layers() {
    let mut files = Vec::new();
    shipped(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let crates = dependencies();
    let found: Vec<String> = files
        .iter()
        .filter(|(path, _)| !is_test_file(path, &files))
        .flat_map(|(path, source)| breaches(path, source, &crates))
        .collect();
    assert!(files.len() > 30, "src was not found");
    assert!(found.is_empty(), "{} breaches\n{}", found.len(), found.join("\n"));
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_switched_off() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        shipped(&root.join(folder), &mut files);
    }
    // In pieces, since this file is among those that are looked at.
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("```ig", "nore")];
    for (path, source) in &files {
        for word in words {
            assert!(!source.contains(word), "{path} has {word}");
        }
    }
}

#[test]
fn every_dependency_has_a_row_that_says_where_it_may_be_named() {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        let library = name.replace('-', "_").replace("md_5", "md5");
        assert!(CRATES.iter().any(|(row, _)| *row == library), "add a row for {library} to CRATES");
    }
}

#[test]
fn the_table_of_rooms_has_no_circle() {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < ROOMS.len() {
        let next = ROOMS.iter().find(|(room, below)| {
            !done.contains(room) && below.iter().all(|other| *other == ALL || done.contains(other))
        });
        let (room, _) = next.unwrap_or_else(|| panic!("a circle among the rooms beside {done:?}"));
        done.insert(room);
    }
}

/// Each planted breach, the file it is planted in, and a part of what must be said.
const PLANTED: &[(&str, &str, &str)] = &[
    ("domain/plan.rs", "use crate::store::Snapshot;", "domain must not import store"),
    ("domain/plan.rs", "fn f() { crate::access::open(1) }", "domain must not import access"),
    ("access/open.rs", "use crate::people::Visit;", "access must not import people"),
    ("access/open.rs", "use crate::{base::clock::Clock, radius::Packet};", "access must not import radius"),
    ("serve/radius/udp.rs", "use super::super::api::Router;", "serve/radius must not import serve/api"),
    ("serve/http/mod.rs", "use crate::domain::Money;", "serve/http must not import domain"),
    ("serve/api/users.rs", "use crate::store::Store;", "serve/api must not import store"),
    (
        "catalogue/nas.rs",
        "use crate::{\n  domain::{self, nas::Nas},\n  serve::{http::Page, api}\n};",
        "serve/http",
    ),
    ("nas/mod.rs", "use crate::config::Config;", "nas must not import config"),
    ("wallet/mod.rs", "use crate::base::clock;", "room wallet is not in the table"),
    ("domain/plan.rs", "use tokio::sync::Mutex;", "must not name the crate tokio"),
    ("domain/plan.rs", "fn f() -> rusqlite::Result<()> { x }", "must not name the crate rusqlite"),
    ("store/writer.rs", "use rusqlite::Connection;", "must not name the crate rusqlite"),
    ("people/login.rs", "use axum::Json;", "must not name the crate axum"),
    ("radius/packet.rs", "#[tokio::main] fn f() {}", "must not name the crate tokio"),
    ("radius/packet.rs", "use radius_parser::parse;", "a tool of the tests"),
    ("radius/packet.rs", "fn f() { x.await }", "awaits"),
    ("radius/packet.rs", "use std::{fs, fmt};", "names std::fs"),
    ("nas/vendor/mod.rs", "use std::net::{IpAddr, UdpSocket};", "names std::net::UdpSocket"),
    ("access/open.rs", "fn f() { let t = jiff::Timestamp::now(); }", "asks for Timestamp::now"),
    ("access/open.rs", "fn f() { let t = std::time::Instant::now(); }", "asks for Instant::now"),
    ("people/visit.rs", "fn f() { let t = Uuid::now_v7(); }", "asks for Uuid::now_v7"),
    ("daemon/start.rs", "fn f() { std::env::var(\"HOME\"); }", "asks for env::var"),
    ("store/writer.rs", "fn f() { unsafe { g() } }", "has `unsafe`"),
    ("billing/settle.rs", "fn f(price: f64) {}", "has a float"),
    ("domain/money.rs", "fn f() { let t = d.as_secs_f64(); }", "has a float"),
    ("domain/tax.rs", "const RATE: u32 = (1.075 * x) as u32;", "has a float"),
];

#[test]
fn each_planted_breach_is_found() {
    let crates = dependencies();
    for (path, code, expected) in PLANTED {
        let found = breaches(path, &format!("//! A file.\n{code}\n"), &crates);
        assert!(found.iter().any(|breach| breach.contains(expected)), "{path}: {code}\nfound {found:?}");
    }
    assert!(breaches("base/a.rs", "use std::fmt;\n", &crates)[0].contains("does not begin with"));
    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(MOST_LINES));
    assert!(breaches("base/a.rs", &long, &crates)[0].contains("has 701 lines"));
}

#[test]
fn what_only_looks_like_a_breach_is_left_alone() {
    let innocent = r##"//! Uses crate::store::Store in a sentence.
/* use crate::store::Store; /* nested */ unsafe */
// tokio::spawn
use crate::base::secret::Secret;
use super::rate::Rate;
mod tokio;
const TEXT: &str = "use crate::store::Store; \" unsafe";
const RAW: &str = r#"crate::store "quoted" unsafe"#;
const SYMBOL: char = '"';
fn later<'a>(text: &'a str) -> &'a str { tokio::mine(text) }
#[cfg(test)]
use crate::store::Store;
#[cfg(test)]
mod tests { use crate::store::Store; fn f() { let now = Timestamp::now(); if a { b } } }
"##;
    assert_eq!(breaches("domain/plan.rs", innocent, &dependencies()), Vec::<String>::new());
}
