//! Wiring: one checked configuration in, one running process out.
//!
//! [`start`] reads from top to bottom what happens before the first answer, and [`run`] is a whole
//! life: start, ready, signals, drain. Nothing is decided here. The one rule: nothing is answered
//! before everything is open, and what fails names itself and the setting to look at.

mod audit;
mod boot;
mod console;
mod couriers;
mod desk;
mod disk;
mod eap;
mod gateway;
mod jobs;
mod life;
mod metrics;
mod money;
mod notify;
mod payments;
mod portal;
mod sms;
mod telling;
mod vouchers;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use boot::{StartError, start};
pub use desk::MailError;
pub use eap::{EapError, ending, look};
pub use life::{RunError, run};
pub use payments::PaymentsError;
pub use portal::PortalError;
pub use words::WordsError;

use eap::EapDesk;

use crate::access::{Access, SessionDefaults};
use crate::base::secret::Secret;
use crate::config::{Applies, Change, Config, DevicesFull, diff};
use crate::enforce::Enforcer;
use crate::serve::api::App;
use crate::serve::radius::{RadiusDoor, Settings};
use crate::store::Store;

/// The code that makes the first admin, once.
#[derive(Debug)]
pub struct Claim {
    /// The code; never logged.
    pub code: Secret,
    /// The file, readable by the daemon's user alone, that a person reads it from.
    pub file: PathBuf,
}

/// A daemon whose doors are open.
pub struct Running {
    /// What it was started with: what needs a restart is still in force from here.
    started: Config,
    /// What was read last.
    config: Config,
    store: Store,
    access: Arc<Access>,
    enforcer: Option<Enforcer>,
    app: App,
    doors: Doors,
    job_tasks: Vec<JoinHandle<()>>,
    stop_doors: CancellationToken,
    stop_jobs: CancellationToken,
    claim: Option<Claim>,
    interim_secs: Arc<AtomicU32>,
    eap: Arc<EapDesk>,
}

/// The doors that are open.
struct Doors {
    radius: RadiusDoor,
    admin: SocketAddr,
    metrics: SocketAddr,
    tasks: Vec<JoinHandle<bool>>,
}

impl Running {
    /// Where the API listens.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.doors.admin
    }

    /// Where the metrics are.
    #[must_use]
    pub const fn metrics(&self) -> SocketAddr {
        self.doors.metrics
    }

    /// Where RADIUS authentication is answered.
    #[must_use]
    pub fn radius_authentication(&self) -> &[SocketAddr] {
        self.doors.radius.authentication()
    }

    /// Where RADIUS accounting is answered.
    #[must_use]
    pub fn radius_accounting(&self) -> &[SocketAddr] {
        self.doors.radius.accounting()
    }

    /// What makes the first admin, where there is none yet.
    #[must_use]
    pub const fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// The use case behind the RADIUS door.
    #[must_use]
    pub const fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// What every handler shares.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Puts a newly read configuration into force where that is possible while running; what
    /// needs a restart is left for it and named in the log.
    pub fn reload(&mut self, config: Config) {
        for change in self.changes(&config) {
            tracing::info!(setting = %change.key, "The configuration was read again: {change}");
        }
        let settings = radius_settings(&config);
        self.interim_secs.store(settings.interim_secs, Ordering::Relaxed);
        self.doors.radius.set(settings);
        self.eap.reload(&config);
        self.access.set_defaults(session_defaults(&config));
        self.config = config;
    }

    /// What differs from what is in force. A change that waits for a restart is told at every
    /// reload until it is taken back.
    fn changes(&self, config: &Config) -> Vec<Change> {
        let is_live = |change: &Change| change.applies == Applies::Live;
        let now = diff(&self.config, config).into_iter().filter(is_live);
        let later = diff(&self.started, config).into_iter().filter(|change| !is_live(change));
        now.chain(later).collect()
    }

    /// Closes the doors, lets what is under way end, writes down what is gathered, closes the
    /// store. Enforcement stays as it is.
    pub async fn stop(self) {
        self.stop_doors.cancel();
        for task in self.doors.tasks {
            // A door that panicked is closed already.
            let _ = task.await;
        }
        let radius = self.doors.radius;
        let _ = tokio::task::spawn_blocking(move || radius.close()).await;
        self.stop_jobs.cancel();
        for task in self.job_tasks {
            let _ = task.await;
        }
        if let Some(enforcer) = &self.enforcer {
            enforcer.stop().await;
        }
        jobs::flush_auth_log(&self.access, &self.store, &self.app.entropy).await;
        self.store.close().await;
    }
}

/// What a session of this gateway gets where its plan says nothing.
fn session_defaults(config: &Config) -> SessionDefaults {
    let Settings { idle_secs, .. } = radius_settings(config);
    let newest_device_wins = config.radius.devices_full == DevicesFull::EndOldest;
    SessionDefaults { idle_secs, newest_device_wins }
}

/// The RADIUS door's settings by this configuration.
fn radius_settings(config: &Config) -> Settings {
    let secs = |duration: std::time::Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    let unless_zero = |duration: std::time::Duration| Some(secs(duration)).filter(|secs| *secs > 0);
    Settings {
        reject_delay: config.radius.reject_delay,
        interim_secs: secs(config.radius.interim_interval),
        session_secs: unless_zero(config.radius.session_timeout),
        idle_secs: unless_zero(config.radius.idle_timeout),
    }
}
