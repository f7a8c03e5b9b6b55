//! `[store]`: what outlives the process, and where.

use std::path::PathBuf;

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, choose, chosen};
use super::reader::{Applies, Section, within};
use super::size::ByteSize;

/// The store's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Which engine keeps the records.
    pub engine: Engine,
    /// The engine's folder; made at first start.
    pub path: PathBuf,
    /// Disk kept back, so that a full disk leaves room to start and to tidy up.
    pub ballast: ByteSize,
}

/// An engine of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// On this machine's disk.
    Embedded,
    /// In this process's memory, gone with it; only in development.
    Memory,
}

impl Store {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let development = section.development();
        let engine = section.checked("engine", Applies::Restart, Engine::Embedded, |engine| match engine {
            Engine::Memory if !development => Err(Wrong::new(
                "the memory engine forgets every customer when the daemon stops",
                "write engine = \"embedded\", or set `development = true` at the top of the file",
            )),
            Engine::Memory | Engine::Embedded => Ok(()),
        });
        let path = section.optional("path", Applies::Restart, PathBuf::from("/var/lib/dotmac-edge/store"));
        let ballast = section.checked("ballast", Applies::Restart, ByteSize::mebibytes(64), |ballast| {
            within(ballast, &ByteSize::mebibytes(0), &ByteSize::mebibytes(4096))
        });
        Self { engine, path, ballast }
    }
}

impl Kind for Engine {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.as_str() == Some("postgres") {
            return Err(Wrong::new("not supported by this version", "write engine = \"embedded\""));
        }
        choose(value, ENGINES)
    }

    fn show(&self) -> String {
        chosen(*self, ENGINES)
    }
}

const ENGINES: &[(&str, Engine)] = &[("embedded", Engine::Embedded), ("memory", Engine::Memory)];
