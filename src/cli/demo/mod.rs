//! `demo`: the whole journey of a subscriber on this machine, with the real daemon, a real store
//! and a real RADIUS client, in a temporary folder and on loopback only.
//!
//! The one rule: nothing stays behind. What a run that was killed left is removed by the next one.

mod journey;
mod lab;
mod radclient;
mod script;
mod stale;

use std::cell::Cell;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::Context;
use super::error::CliError;
use super::talk::runtime;
use journey::Keys;
use lab::Lab;
use script::Script;

/// How to show it.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End after the journey, with exit status 0 or 1, instead of staying up to be tried
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        radclient::must_be_there()?;
        stale::remove(&std::env::temp_dir());
        let mut lab = Lab::build(context)?;
        let done = Cell::new(false);
        let shown = runtime()?.block_on(async {
            tokio::select! {
                shown = show(context, &mut lab, self.once, &done) => shown,
                told = told_to_stop() => told,
            }
        });
        if let Err(CliError::NotSo(_) | CliError::Unreachable(_) | CliError::Usage(_)) = &shown {
            context.terminal.note(format_args!("The daemon's last words:\n{}", lab.last_words()));
        }
        match shown {
            Err(CliError::Told) if done.get() => Ok(()),
            shown => shown,
        }
    }
}

/// Sets `done` when the journey has come to its end.
async fn show(context: &Context, lab: &mut Lab, once: bool, done: &Cell<bool>) -> Result<(), CliError> {
    context.terminal.line(format_args!("A subscriber's journey, in {}\n", lab.folder().display()));
    let mut script = Script::new(context);
    let keys = journey::run(context, lab, &mut script).await?;
    context.terminal.line(format_args!("\nThe journey is done: {}.", script.sum()));
    done.set(true);
    if once {
        return Ok(());
    }
    context.terminal.line(to_try(lab, &keys));
    lab.until_it_ends().await
}

/// Ctrl-C, or who closes the terminal: the end of a demo that stays up, else one that was cut short.
async fn told_to_stop() -> Result<(), CliError> {
    let on = |kind| signal(kind).map_err(|error| CliError::failed("receive signals", &error));
    let (mut interrupt, mut terminate, mut hangup) =
        (on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Err(CliError::Told)
}

/// Addresses and credentials, each as a line that can be pasted.
fn to_try(lab: &Lab, keys: &Keys) -> String {
    let ports = lab.ports();
    let program = format!("{} --config {}", lab.program().display(), lab.config().display());
    format!(
        "\nThe box stays up until Ctrl-C. Try:\n\
         \n  the API       http://{admin}/docs\
         \n  log in as     {email}  password  {password}\
         \n  RADIUS        {authentication} (authentication), {accounting} (accounting), secret  {secret}\
         \n  subscriber    {login}  password  {network}\
         \n  a login       printf '%s\\n' {secret} {network} | {program} radius test {authentication} --user {login}\
         \n  sessions      {program} session list --all\
         \n  why           {program} why {login}\
         \n  health        {program} doctor\
         \n  metrics       http://{metrics}/metrics\
         \n  the log       tail -f {log}",
        admin = ports.admin,
        email = keys.email,
        password = keys.password,
        authentication = ports.authentication,
        accounting = ports.accounting,
        secret = keys.secret,
        login = keys.login,
        network = keys.network_password,
        metrics = ports.metrics,
        log = lab.log().display(),
    )
}
