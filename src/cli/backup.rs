//! `backup`, `restore`, `store check`: the store as a whole.
//!
//! The one rule: while the daemon holds the store, only the daemon touches it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::error::CliError;
use super::table::Table;
use super::talk::runtime;
use super::{Context, human, read};
use crate::config::{Config, Engine, Environment, box_key};
use crate::people::audit_chain;
use crate::store::{Options, Store, Vault, tables};

/// Where to put a backup.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write; FILE.manifest beside it says what it holds
    file: PathBuf,
}

/// Which backup to bring back.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup; its manifest must stand beside it
    file: PathBuf,
}

/// The store itself.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Look at every record: its seal, the counts, the file's structure
    Check,
}

impl Backup {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let daemon = context.daemon()?.patiently();
        let file = absolute(&self.file)?;
        let body = json!({ "file": file.display().to_string() });
        let report = daemon.post("/api/v1/system/backup", body)?;
        if context.terminal.wants_json() {
            context.terminal.json(&report);
            return Ok(());
        }
        context.terminal.line(format_args!("{}: taken and verified", file.display()));
        tell_manifest(context, report.get("manifest").unwrap_or(&report));
        context.terminal.note("Keep the box's key (secrets.key) elsewhere: it is in no backup.");
        Ok(())
    }
}

impl Restore {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let config = context.config()?;
        must_be_embedded(&config)?;
        let vault = vault(context, &config)?;
        let restored = Store::restore(&self.file, &config.store.path, &vault.seal_key(), &context.clock)
            .map_err(|error| CliError::failed("restore", &error))?;
        if context.terminal.wants_json() {
            context.terminal.json(&json!({
                "manifest": restored.manifest,
                "aside": restored.aside,
                "other_key": restored.other_key,
                "secrets_lost": restored.secrets_lost,
            }));
            return Ok(());
        }
        context.terminal.line(format_args!(
            "{} is restored from {}",
            config.store.path.display(),
            self.file.display()
        ));
        tell_manifest(context, &json!(restored.manifest));
        if let Some(aside) = &restored.aside {
            context.terminal.line(format_args!("  the store that was there is kept in {}", aside.display()));
        }
        if let Some(other) = &restored.other_key {
            context.terminal.note(format_args!(
                "warning: the backup was sealed with another box's key ({other}); what only that key opens is lost:"
            ));
            for (collection, count) in &restored.secrets_lost {
                context.terminal.note(format_args!("  {collection}: {count} secrets to enter again"));
            }
        }
        context.terminal.note("Start the daemon: systemctl start dotmac-edge");
        Ok(())
    }
}

impl StoreCommand {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Check => check(context),
        }
    }
}

fn check(context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let daemon = context.daemon()?.patiently();
    let report = match daemon.post("/api/v1/system/store-check", json!({})) {
        Ok(report) => report,
        Err(CliError::Unreachable(_)) => offline(context, &config)?,
        Err(error) => return Err(error),
    };
    let sound = is_sound(&report);
    if context.terminal.wants_json() {
        context.terminal.json(&report);
    } else {
        tell(context, &report, sound);
    }
    if sound { Ok(()) } else { Err(CliError::Told) }
}

/// The same check where no daemon runs.
fn offline(context: &Context, config: &Config) -> Result<Value, CliError> {
    must_be_embedded(config)?;
    if !config.store.path.is_dir() {
        return Err(CliError::NotSo(format!(
            "there is no store at {}; the daemon makes it at its first start",
            config.store.path.display()
        )));
    }
    let vault = vault(context, config)?;
    let options = Options {
        queue: SMALL_QUEUE,
        ballast: 0,
        ..Options::new(&config.store.path, vault.seal_key(), context.clock.clone(), context.entropy.clone())
    };
    let failed = |error: &dyn std::error::Error| CliError::failed("check the store", error);
    runtime()?.block_on(async {
        let store = Store::open(&options, &tables::all(), Arc::new(())).map_err(|error| failed(&error))?;
        let (report, audit) = (store.verify().await, audit_chain::verify(&store).await);
        store.close().await;
        let mut report = json!(report.map_err(|error| failed(&error))?);
        let audit = audit.map_err(|error| failed(&error))?;
        if let Some(report) = report.as_object_mut() {
            report.insert("audit".to_owned(), json!(audit.faults));
        }
        Ok(report)
    })
}

fn is_sound(report: &Value) -> bool {
    let empty = |name: &str| report.get(name).and_then(Value::as_array).is_none_or(Vec::is_empty);
    let said = report.get("sound").and_then(Value::as_bool).unwrap_or(true);
    said && ["engine", "damaged", "missing", "audit"].into_iter().all(empty)
}

fn tell(context: &Context, report: &Value, sound: bool) {
    let mut table = Table::new(&["collection", "sound records"]);
    for (name, count) in report.get("records").and_then(Value::as_object).into_iter().flatten() {
        table.row([name.clone(), read::shown(count)]);
    }
    context.terminal.line(table.text());
    for name in ["engine", "damaged", "missing", "audit"] {
        for found in report.get(name).and_then(Value::as_array).into_iter().flatten() {
            context.terminal.line(format_args!("{name}: {}", read::shown(found)));
        }
    }
    let events = read::text(report, "/events");
    if sound {
        context
            .terminal
            .line(format_args!("The store is sound: every record and {events} events are as written."));
    } else {
        context.terminal.line("The store is damaged; restore a backup: dotmac-edge restore FILE");
    }
}

fn tell_manifest(context: &Context, manifest: &Value) {
    let size = read::number(manifest, "/octets").map_or_else(|| "-".to_owned(), human::octets);
    let records: u64 = manifest
        .get("records")
        .and_then(Value::as_object)
        .map_or(0, |records| records.values().filter_map(Value::as_u64).sum());
    context
        .terminal
        .line(format_args!("  {size}, {records} records, SHA-256 {}", read::text(manifest, "/sha256")));
}

fn vault(context: &Context, config: &Config) -> Result<Vault, CliError> {
    let key = box_key(&config.secrets.key, false, &Environment::Process, &context.entropy)
        .map_err(|error| CliError::failed("open the box's key (secrets.key)", &error))?;
    let key: [u8; 32] = key
        .expose()
        .try_into()
        .map_err(|_| CliError::Usage("the box's key (secrets.key) is not 32 octets".to_owned()))?;
    Ok(Vault::with_key(key))
}

fn must_be_embedded(config: &Config) -> Result<(), CliError> {
    match config.store.engine {
        Engine::Embedded => Ok(()),
        Engine::Memory => {
            Err(CliError::NotSo("store.engine is \"memory\": there is nothing on disk".to_owned()))
        }
    }
}

/// The daemon's working folder is not the caller's.
fn absolute(file: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(file).map_err(|error| CliError::failed("find the file's place", &error))
}

/// Units that may wait while nothing is written.
const SMALL_QUEUE: usize = 16;
