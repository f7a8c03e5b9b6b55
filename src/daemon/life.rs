//! A daemon's whole life: configuration, start, ready, signals, drain.

use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};

use super::{Running, StartError, notify, start};
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::telemetry::{self, Telemetry, TelemetryError};
use crate::config::{self, Config, Environment};
use crate::store::contract::RecordKey;
use crate::store::tables::Settings;

/// Why the daemon ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log could not be started.
    #[error(transparent)]
    Log(#[from] TelemetryError),
    /// The runtime could not be started.
    #[error("the daemon's threads cannot be started")]
    Runtime(#[source] std::io::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    /// Something could not be opened.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Runs the daemon by a checked configuration until it is told to stop; SIGHUP reads the file at
/// `path` again.
///
/// # Errors
/// Why it could not start.
pub fn run(path: &Path, config: Config) -> Result<(), RunError> {
    let under_journal = Environment::Process.logs_to_journal();
    let log = telemetry::start(config.log.format, config.log.level, under_journal)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    let ended = runtime.block_on(live(config, path, &log));
    if let Err(error) = &ended {
        tracing::error!(error = %sentence(error), "The daemon could not start");
    }
    ended
}

async fn live(config: Config, path: &Path, log: &Telemetry) -> Result<(), RunError> {
    let on = |kind| signal(kind).map_err(RunError::Signals);
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut hangup = on(SignalKind::hangup())?;
    let mut running = start(config, Clock::System, Entropy::System).await?;
    running.greet();
    notify::ready(&running.status());
    let mut beat = tokio::time::interval(notify::watchdog_period().unwrap_or(NO_WATCHDOG));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match next_event(&mut terminate, &mut interrupt, &mut hangup, &mut beat).await {
            Event::Stop => break,
            Event::Reload => {
                notify::reloading();
                running.reread(path, log);
                notify::ready(&running.status());
            }
            Event::Watchdog => {
                if running.is_alive().await {
                    notify::alive(&running.status());
                } else {
                    tracing::error!("The inner ping was not answered");
                }
            }
        }
    }
    notify::stopping();
    tracing::info!("Closing the doors");
    running.stop().await;
    tracing::info!("Stopped");
    Ok(())
}

enum Event {
    Stop,
    Reload,
    Watchdog,
}

async fn next_event(
    terminate: &mut Signal,
    interrupt: &mut Signal,
    hangup: &mut Signal,
    beat: &mut Interval,
) -> Event {
    // In this order: neither a stop nor a heartbeat waits behind reloads.
    tokio::select! {
        biased;
        _ = terminate.recv() => Event::Stop,
        _ = interrupt.recv() => Event::Stop,
        _ = beat.tick() => Event::Watchdog,
        _ = hangup.recv() => Event::Reload,
    }
}

impl Running {
    /// What a person who starts it wants to see first.
    fn greet(&self) {
        tracing::info!(
            admin = %self.admin(),
            metrics = %self.metrics(),
            authentication = ?self.radius_authentication(),
            accounting = ?self.radius_accounting(),
            "The doors are open"
        );
        if let Some(claim) = self.claim() {
            tracing::info!(
                file = %claim.file.display(),
                "There is no staff account yet: run `dotmac-edge admin create`, or claim the box with the code in the file"
            );
        }
    }

    fn status(&self) -> String {
        let sessions = self.access.open_sessions();
        let services = self.access.snapshot().services();
        format!("{services} services, {sessions} sessions open")
    }

    /// Reads the configuration again; a wrong one changes nothing.
    fn reread(&mut self, path: &Path, log: &Telemetry) {
        match config::load(path) {
            Ok(config) => {
                if let Err(error) = log.set_level(config.log.level) {
                    tracing::warn!(%error, "The log's level could not be changed");
                }
                self.reload(config);
            }
            Err(faults) => {
                for fault in faults {
                    tracing::error!(%fault, "The configuration is wrong; the old one stays in force");
                }
            }
        }
    }

    /// Whether store and RADIUS workers still answer.
    async fn is_alive(&self) -> bool {
        let key = "instance".to_key();
        let read = tokio::time::timeout(PING, self.store.get::<Settings>(&key)).await;
        matches!(read, Ok(Ok(_))) && self.doors.radius.is_turning(PING).await
    }
}

/// An error with its causes, as one sentence.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// How often the status line is renewed when systemd wants no heartbeat.
const NO_WATCHDOG: Duration = Duration::from_secs(60);
/// Longest answer to the inner ping.
const PING: Duration = Duration::from_secs(3);
