//! Walks a parsed TOML table key by key, and goes on after a fault so that all are told together.
//!
//! A section declares each of its keys once, by reading it; from that come the check, the list of
//! known keys, the default and the line in `check-config`. So none of them can be forgotten.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Wrong, nearest, position};
use super::kind::{Kind, OneOrMany};

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Dotted path, as `radius.workers`.
    pub key: String,
    /// The value as it would be written in the file; of a secret, where it is kept.
    pub value: String,
    /// Who decided it.
    pub origin: Origin,
    /// Whether a running daemon can take a new value over.
    pub applies: Applies,
}

/// Who decided a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The program.
    Default,
    /// The configuration file.
    File {
        /// Line of the value, from 1.
        line: usize,
    },
}

/// When a changed setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// On reload.
    Live,
    /// After a restart.
    Restart,
}

/// What a listener speaks; a TCP and a UDP port of the same number do not collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// What this version does not know yet though its documentation or an older file may name it.
const NOT_YET: &[&str] = &["platform", "store.url", "radius.radsec", "radius.tls", "http.certificate"];

/// The tables and keys at the top of the file.
const ROOT: &[&str] = &[
    "development",
    "site",
    "store",
    "http",
    "portal",
    "gateway",
    "mail",
    "billing",
    "payments",
    "dunning",
    "sms",
    "notify",
    "radius",
    "control",
    "log",
    "secrets",
];

/// Collects what was read and what was wrong.
pub(super) struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    faults: Vec<Fault>,
    /// Lines whose text is not TOML: what else is wrong there follows from that.
    broken_lines: Vec<usize>,
    settings: Vec<Setting>,
    listeners: Vec<Listener>,
    development: bool,
}

struct Listener {
    transport: Transport,
    address: SocketAddr,
    key: String,
    span: Option<Range<usize>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, path: &'a Path) -> Self {
        Self {
            text,
            path,
            faults: Vec::new(),
            broken_lines: Vec::new(),
            settings: Vec::new(),
            listeners: Vec::new(),
            development: false,
        }
    }

    /// Takes over what the TOML parser refused.
    pub(super) fn syntax(&mut self, errors: &[toml::de::Error]) {
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            self.broken_lines.push(position(self.text, at).0);
            let wrong = Wrong::new(
                format!("this is not TOML: {}", error.message()),
                "write `key = value` lines under [section] headings, each key once, text in double quotes",
            );
            self.fault(at..at, String::new(), wrong);
        }
    }

    /// Reads the switch at the top of the file.
    pub(super) fn root(
        &mut self,
        root: &DeTable<'_>,
        read: impl FnOnce(&mut Section<'_, 'a>) -> bool,
    ) -> bool {
        let mut section = Section { reader: self, name: "", table: Some(root), at: 0, known: Vec::new() };
        let development = read(&mut section);
        self.development = development;
        development
    }

    /// Reads the table `name`, or its defaults where the file has none.
    pub(super) fn section<T>(
        &mut self,
        root: &DeTable<'_>,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> T {
        let found = root.get(name);
        let at = found.map_or(0, |value| value.span().start);
        let table = found.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (found, table) {
            let wrong = Wrong::new(
                format!("a table is expected here, not {}", article(value.get_ref().type_str())),
                format!("write a line `[{name}]` and the keys below it"),
            );
            self.fault(value.span(), name.to_owned(), wrong);
        }
        let mut section = Section { reader: self, name, table, at, known: Vec::new() };
        let read = read(&mut section);
        section.unknown_keys();
        read
    }

    /// Reads the table `name` within the table `section`; `path` is both with a dot.
    pub(super) fn inner<T>(
        &mut self,
        root: &DeTable<'_>,
        (section, name, path): (&'static str, &'static str, &'static str),
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> T {
        let outer = root.get(section).and_then(|value| value.get_ref().as_table());
        let found = outer.and_then(|outer| outer.get(name));
        let table = found.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (found, table) {
            let wrong = Wrong::new(
                format!("a table is expected here, not {}", article(value.get_ref().type_str())),
                format!("write a line `[{path}]` and the keys below it"),
            );
            self.fault(value.span(), path.to_owned(), wrong);
        }
        let at = found.map_or(0, |value| value.span().start);
        let mut section = Section { reader: self, name: path, table, at, known: Vec::new() };
        let read = read(&mut section);
        section.unknown_keys();
        read
    }

    /// True while nothing was found to be wrong.
    pub(super) fn is_well(&self) -> bool {
        self.faults.is_empty()
    }

    /// Refuses a setting for what others say; `key` may be missing in the file.
    pub(super) fn contradiction(
        &mut self,
        root: &DeTable<'_>,
        (section, key): (&'static str, &'static str),
        wrong: Wrong,
    ) {
        let table = root.get(section);
        let value = table.and_then(|table| table.get_ref().as_table()).and_then(|table| table.get(key));
        let at = table.map_or(0..0, |table| table.span().start..table.span().start);
        let span = value.map_or(at, Spanned::span);
        self.fault(span, dotted(section, key), wrong);
    }

    /// Refuses a setting of a table within a table for what others say.
    pub(super) fn contradiction_inside(
        &mut self,
        root: &DeTable<'_>,
        (section, inner, key): (&'static str, &'static str, &'static str),
        wrong: Wrong,
    ) {
        let value = root
            .get(section)
            .and_then(|table| table.get_ref().as_table())
            .and_then(|table| table.get(inner))
            .and_then(|table| table.get_ref().as_table())
            .and_then(|table| table.get(key));
        let span = value.map_or(0..0, Spanned::span);
        self.fault(span, format!("{section}.{inner}.{key}"), wrong);
    }

    /// Refuses what stands at the top of the file and is not known.
    pub(super) fn unknown_sections(&mut self, root: &DeTable<'_>) {
        for (key, _) in root {
            if !ROOT.contains(&key.get_ref().as_ref()) {
                self.unknown(key, "", ROOT);
            }
        }
    }

    /// Everything read with the `part` that has no defaults, or every fault in the order of the text.
    pub(super) fn finish<T>(mut self, part: Option<T>) -> Result<(Vec<Setting>, T), Vec<Fault>> {
        self.overlapping_listeners();
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        match part {
            Some(part) if self.faults.is_empty() => Ok((self.settings, part)),
            Some(_) | None => Err(self.faults),
        }
    }

    fn fault(&mut self, span: Range<usize>, key: String, wrong: Wrong) {
        let (line, column) = position(self.text, span.start);
        if !key.is_empty() && self.broken_lines.contains(&line) {
            return;
        }
        let Wrong { problem, remedy, .. } = wrong;
        self.faults.push(Fault { file: self.path.to_owned(), line, column, key, problem, remedy });
    }

    fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, section: &str, known: &[&str]) {
        let path = dotted(section, key.get_ref());
        let wrong = if NOT_YET.contains(&path.as_str()) {
            Wrong::new("not supported by this version", "remove it, or install a version that has it")
        } else if !section.is_empty() && key.get_ref() == "development" {
            Wrong::new("unknown key", "move the line to the top of the file, above the first [section]")
        } else if let Some(meant) = nearest(key.get_ref(), known) {
            Wrong::new("unknown key", format!("did you mean `{meant}`?"))
        } else {
            Wrong::new("unknown key", format!("remove it; known here: {}", known.join(", ")))
        };
        self.fault(key.span(), path, wrong);
    }

    /// Two listeners that would take the same packets: one of them would stay silent.
    fn overlapping_listeners(&mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        for (index, late) in listeners.iter().enumerate() {
            let Some(early) = listeners.iter().take(index).find(|early| overlap(early, late)) else {
                continue;
            };
            // Of a written and a default address the written one is the one to point at.
            let (blamed, other) = if late.span.is_some() { (late, early) } else { (early, late) };
            let wrong = Wrong::new(
                format!("{} is taken by {} ({})", blamed.address, other.key, other.address),
                "give each listener its own address and port",
            );
            self.fault(blamed.span.clone().unwrap_or(0..0), blamed.key.clone(), wrong);
        }
    }
}

fn overlap(a: &Listener, b: &Listener) -> bool {
    let (left, right) = (a.address.ip(), b.address.ip());
    let same_host = left == right
        || (left.is_ipv4() == right.is_ipv4() && (left.is_unspecified() || right.is_unspecified()));
    a.transport == b.transport && a.address.port() == b.address.port() && a.address.port() != 0 && same_host
}

/// One table of the file while it is read.
pub(super) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    name: &'static str,
    table: Option<&'r DeTable<'r>>,
    at: usize,
    known: Vec<&'static str>,
}

impl Section<'_, '_> {
    /// True where the file says `development = true`.
    pub(super) fn development(&self) -> bool {
        self.reader.development
    }

    /// Tables within this one, which are read by themselves.
    pub(super) fn tables(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// A key that may be left out.
    pub(super) fn optional<T: Kind>(&mut self, key: &'static str, applies: Applies, default: T) -> T {
        self.checked(key, applies, default, |_| Ok(()))
    }

    /// A key that may be left out, with a rule beyond its type.
    pub(super) fn checked<T: Kind>(
        &mut self,
        key: &'static str,
        applies: Applies,
        default: T,
        check: impl FnOnce(&T) -> Result<(), Wrong>,
    ) -> T {
        let read = self.take(key, check);
        let origin = read.as_ref().map_or(Origin::Default, |(_, line)| Origin::File { line: *line });
        let value = read.map_or(default, |(value, _)| value);
        let path = dotted(self.name, key);
        self.reader.settings.push(Setting { key: path, value: value.show(), origin, applies });
        value
    }

    /// A key without which the daemon would have to guess; without it the file is refused.
    pub(super) fn required<T: Kind>(
        &mut self,
        key: &'static str,
        applies: Applies,
        remedy: &str,
    ) -> Option<T> {
        let path = dotted(self.name, key);
        if self.table.is_none_or(|table| !table.contains_key(key)) {
            self.known.push(key);
            self.reader.fault(self.at..self.at, path, Wrong::new("required and missing", remedy));
            return None;
        }
        let (value, line) = self.take(key, |_: &T| Ok(()))?;
        let origin = Origin::File { line };
        self.reader.settings.push(Setting { key: path, value: value.show(), origin, applies });
        Some(value)
    }

    /// One listener; port 0, any free port, only in development.
    pub(super) fn listener(
        &mut self,
        key: &'static str,
        transport: Transport,
        default: SocketAddr,
    ) -> SocketAddr {
        let development = self.development();
        let address =
            self.checked(key, Applies::Restart, default, |address| usable_port(*address, development));
        self.listens(key, transport, &[address]);
        address
    }

    /// At least one listener.
    pub(super) fn listeners(
        &mut self,
        key: &'static str,
        transport: Transport,
        default: Vec<SocketAddr>,
    ) -> Vec<SocketAddr> {
        let development = self.development();
        let addresses = self.checked(key, Applies::Restart, default, |addresses| {
            if addresses.is_empty() {
                return Err(Wrong::new("the list is empty", "name at least one address, or remove the key"));
            }
            addresses.iter().try_for_each(|address| usable_port(*address, development))
        });
        self.listens(key, transport, &addresses);
        addresses
    }

    /// Any number of listeners, one of them also without a list; none unless some are written.
    pub(super) fn listeners_or_none(&mut self, key: &'static str, transport: Transport) -> Vec<SocketAddr> {
        let development = self.development();
        let OneOrMany(addresses) =
            self.checked(key, Applies::Restart, OneOrMany(Vec::new()), |OneOrMany(addresses)| {
                addresses.iter().try_for_each(|address| usable_port(*address, development))
            });
        self.listens(key, transport, &addresses);
        addresses
    }

    fn listens(&mut self, key: &'static str, transport: Transport, addresses: &[SocketAddr]) {
        let span = self.table.and_then(|table| table.get(key)).map(Spanned::span);
        for address in addresses {
            let key = dotted(self.name, key);
            self.reader.listeners.push(Listener { transport, address: *address, key, span: span.clone() });
        }
    }

    fn take<T: Kind>(
        &mut self,
        key: &'static str,
        check: impl FnOnce(&T) -> Result<(), Wrong>,
    ) -> Option<(T, usize)> {
        self.known.push(key);
        let value = self.table?.get(key)?;
        let line = position(self.reader.text, value.span().start).0;
        match T::read(value.get_ref()).and_then(|read| check(&read).map(|()| read)) {
            Ok(read) => Some((read, line)),
            Err(wrong) => {
                let path = dotted(self.name, key);
                let (span, path) = match &wrong.within {
                    Some((span, index)) => (span.clone(), format!("{path}[{index}]")),
                    None => (value.span(), path),
                };
                self.reader.fault(span, path, wrong);
                None
            }
        }
    }

    fn unknown_keys(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table {
            if !self.known.contains(&key.get_ref().as_ref()) {
                self.reader.unknown(key, self.name, &self.known);
            }
        }
    }
}

fn usable_port(address: SocketAddr, development: bool) -> Result<(), Wrong> {
    if address.port() == 0 && !development {
        return Err(Wrong::new(
            "port 0 means any free port, which no NAS could find",
            "name a port, or set `development = true` at the top of the file",
        ));
    }
    Ok(())
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// A TOML type with its article.
pub(super) fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'i']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// Refuses a value outside of `least..=most`, naming both.
pub(super) fn within<T: PartialOrd + Kind>(value: &T, least: &T, most: &T) -> Result<(), Wrong> {
    if value < least || value > most {
        return Err(Wrong::new(
            format!("{} is out of range", value.show()),
            format!("give a value from {} to {}", least.show(), most.show()),
        ));
    }
    Ok(())
}

/// What stands where a value of `what` is expected.
pub(super) fn wrong_type(value: &DeValue<'_>, what: &str, example: &str) -> Wrong {
    Wrong::new(
        format!("{what} is expected, not {}", article(value.type_str())),
        format!("write for example {example}"),
    )
}
