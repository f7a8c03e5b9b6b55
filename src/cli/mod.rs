//! The command line: a file a command.
//!
//! Commands that read or change what the daemon knows speak to it over the control socket, with the
//! handlers of the HTTP API, so that there is one way to do a thing. What works on a box whose
//! daemon is down (`check-config`, `doctor`, `restore`, `store check`) works on its files.
//!
//! The one rule: every command ends in an exit status that a script can rely on, see [`CliError`].

mod admin;
mod backup;
mod check_config;
mod customer;
mod demo;
mod doctor;
mod error;
mod gateway;
mod human;
mod import;
mod nas;
mod plan;
mod radius_ca;
mod radius_test;
mod read;
mod roster;
mod serve;
mod service;
mod session;
mod stdin;
mod table;
mod talk;
mod terminal;
mod voucher;
mod why;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use error::CliError;

use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::config::{self, Config};
use talk::Talk;
use terminal::Terminal;

/// The ISP side of DotMac as one daemon on the gateway: RADIUS, plans, subscribers, sessions.
#[derive(Debug, Parser)]
#[command(name = "dotmac-edge", version, max_term_width = 110, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
struct Common {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Print records as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve,
    /// Check the configuration file; print the settings in force and where each came from
    CheckConfig,
    /// Check the box: what is well, what is not, and what to do about it
    Doctor,
    /// Staff accounts
    #[command(subcommand)]
    Admin(admin::Admin),
    /// NAS: who may speak RADIUS to this box
    #[command(subcommand)]
    Nas(nas::Nas),
    /// Plans: what is sold
    #[command(subcommand)]
    Plan(plan::Plan),
    /// Customers
    #[command(subcommand)]
    Customer(customer::Customer),
    /// Move in from another system: FreeRADIUS, phpNuxBill, Splynx or UISP
    Import(import::Import),
    /// Services: a customer's contract under a plan, with its network login
    #[command(subcommand)]
    Service(service::Service),
    /// Vouchers: batches, codes, sales
    #[command(subcommand)]
    Voucher(voucher::Voucher),
    /// Network sessions
    #[command(subcommand)]
    Session(session::Session),
    /// This box as a gateway: who passes, and removing its rules
    #[command(subcommand)]
    Gateway(gateway::Gateway),
    /// Explain why a subscriber is, or is not, let in
    Why(why::Why),
    /// Take a verified backup of the store
    Backup(backup::Backup),
    /// Put a backup in the place of the store; the daemon must be stopped
    Restore(backup::Restore),
    /// The store itself
    #[command(subcommand)]
    Store(backup::StoreCommand),
    /// Ask a RADIUS server
    #[command(subcommand)]
    Radius(radius_test::Radius),
    /// Take a subscriber through the whole journey, on this machine, in a temporary folder
    Demo(demo::Demo),
}

/// Runs one command line, and gives the status that the process ends with.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(told) => {
            // Help is no fault; clap chooses the stream. A reader that left does not matter.
            let _ = told.print();
            return ExitCode::from(if told.use_stderr() { error::USAGE } else { 0 });
        }
    };
    let context = Context {
        terminal: Terminal::new(line.common.json),
        config_path: line.common.config,
        clock: Clock::System,
        entropy: Entropy::System,
    };
    match run(&context, line.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.terminal.fault(&error);
            ExitCode::from(error.status())
        }
    }
}

fn run(context: &Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve => serve::run(context),
        Command::CheckConfig => check_config::run(context),
        Command::Doctor => doctor::run(context),
        Command::Admin(admin) => admin.run(context),
        Command::Nas(nas) => nas.run(context),
        Command::Plan(plan) => plan.run(context),
        Command::Customer(customer) => customer.run(context),
        Command::Import(import) => import.run(context),
        Command::Service(service) => service.run(context),
        Command::Voucher(voucher) => voucher.run(context),
        Command::Session(session) => session.run(context),
        Command::Gateway(gateway) => gateway.run(context),
        Command::Why(why) => why.run(context),
        Command::Backup(backup) => backup.run(context),
        Command::Restore(restore) => restore.run(context),
        Command::Store(store) => store.run(context),
        Command::Radius(radius) => radius.run(context),
        Command::Demo(demo) => demo.run(context),
    }
}

/// What commands share.
#[derive(Debug)]
struct Context {
    terminal: Terminal,
    config_path: PathBuf,
    clock: Clock,
    entropy: Entropy,
}

impl Context {
    /// The configuration, or every fault of it.
    fn config(&self) -> Result<Config, CliError> {
        config::load(&self.config_path).map_err(|faults| CliError::Usage(check_config::told(&faults)))
    }

    /// A way to the running daemon.
    fn daemon(&self) -> Result<Talk, CliError> {
        Ok(Talk::control(self.config()?.control.socket, self.terminal))
    }
}

const EXIT_CODES: &str = "Exit status: 0 done; 1 the thing asked about is not so; 2 usage or configuration; \
3 the daemon cannot be reached; `serve` ends with 78 when its configuration is wrong.";
