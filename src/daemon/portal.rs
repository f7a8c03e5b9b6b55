//! The portal's door, as the daemon wires it.

use std::net::SocketAddr;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Environment, SecretError, SecretRef};
use crate::serve::api::{self, App, RouteFault};
use crate::serve::http::listen::listen;
use crate::serve::portal::certificate::{self, KeepError, Kept};
use crate::serve::portal::{self, OpenError, Parts};
use crate::store::vault::Vault;

/// Why the portal does not open; each names its setting.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// A listener.
    #[error("{setting}: {address} cannot be opened")]
    Listen {
        /// Which.
        setting: &'static str,
        /// Where.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The certificate's file.
    #[error("portal.certificate: {} cannot be read", path.display())]
    Chain {
        /// Which.
        path: std::path::PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or its key, where they are kept as secrets.
    #[error("portal.certificate and portal.private_key cannot be used")]
    Secret(#[from] SecretError),
    /// What is in them.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The door itself.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The table of its part of the API: our fault.
    #[error("the table of routes is wrong")]
    Routes(#[from] RouteFault),
}

/// The portal's listeners, bound before anything is answered.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    http: Vec<tokio::net::TcpListener>,
    https: Vec<tokio::net::TcpListener>,
}

/// Binds every listener of the portal.
pub(super) fn bind(config: &Config) -> Result<Listeners, PortalError> {
    let all = |setting, addresses: &[SocketAddr]| {
        let one = |address: &SocketAddr| {
            listen(*address).map_err(|source| PortalError::Listen { setting, address: *address, source })
        };
        addresses.iter().map(one).collect::<Result<Vec<_>, _>>()
    };
    let http = all("portal.http", &config.portal.http)?;
    Ok(Listeners { http, https: all("portal.https", &config.portal.https)? })
}

/// Opens the door; nothing where there is no portal.
pub(super) fn open(
    listeners: Listeners,
    config: &Config,
    app: &App,
    vault: &Vault,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<bool>>, PortalError> {
    let Some(name) = config.portal.name.as_ref().filter(|_| config.portal.is_on()) else {
        return Ok(Vec::new());
    };
    let routes = api::routes().into_iter().filter(|route| route.on_portal).collect();
    let parts = Parts {
        reception: app.reception.clone(),
        api: api::router(app, routes)?,
        name: name.as_str().to_owned(),
        site: config.site.name.clone(),
        zone: config.site.timezone.clone(),
        signup_open: config.portal.signup && config.mail.server.is_some(),
        certificate: certificate(config, name.as_str(), app)?,
        http: listeners.http,
        https: listeners.https,
        key: vault.derive("portal forms"),
        clock: app.clock.clone(),
        entropy: app.entropy.clone(),
        health: app.health.clone(),
    };
    Ok(portal::open(parts, stop)?)
}

fn certificate(config: &Config, name: &str, app: &App) -> Result<Option<Kept>, PortalError> {
    let portal = &config.portal;
    if portal.https.is_empty() {
        return Ok(None);
    }
    let (Some(chain), Some(key)) = (&portal.certificate, &portal.private_key) else {
        return Ok(Some(certificate::made_here(&config.store.path, name, app.clock.now())?));
    };
    let chain = match chain {
        SecretRef::File(path) => {
            std::fs::read(path).map_err(|source| PortalError::Chain { path: path.clone(), source })?
        }
        SecretRef::Credential(_) | SecretRef::Environment(_) => {
            chain.resolve(&Environment::Process)?.expose().to_vec()
        }
    };
    Ok(Some(certificate::configured(&chain, &key.resolve(&Environment::Process)?, name)?))
}
