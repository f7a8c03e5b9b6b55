//! `serve`: the daemon, in the foreground; systemd puts it where it belongs.
//!
//! The one rule: a configuration that is wrong is told whole, and no port is bound.

use super::error::CliError;
use super::{Context, check_config};
use crate::config;
use crate::daemon::{self, RunError};

pub(super) fn run(context: &Context) -> Result<(), CliError> {
    let config = config::load(&context.config_path)
        .map_err(|faults| CliError::Misconfigured(check_config::told(&faults)))?;
    daemon::run(&context.config_path, config).map_err(|error| match error {
        // The daemon's log has it already.
        RunError::Start(_) | RunError::Signals(_) => CliError::Told,
        RunError::Log(_) | RunError::Runtime(_) => CliError::failed("start the daemon", &error),
    })
}
