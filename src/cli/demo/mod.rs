//! `demo`: the whole journey of a subscriber on this machine, with the real daemon, a real store, a real
//! kernel's firewall, and phones, mail and RADIUS clients that are not ours. In network namespaces and a
//! temporary folder of its own.
//!
//! | file | what |
//! |---|---|
//! | [`needs`] | what must be installed |
//! | [`stale`] | removes what a killed run left |
//! | [`space`], [`world`] | network namespaces, and the wires between them |
//! | [`helpers`], [`internet`], [`paystack`], [`phone`], [`radclient`], [`certificate`] | what is around the daemon |
//! | [`site_clock`] | the daemon's clock, which can be moved on |
//! | [`lab`] | all of that with the daemon |
//! | [`browser`], [`form`] | what a person does on pages |
//! | [`journey`], [`online`], [`signup`], [`purchase`], [`kiosk`], [`paid_time`] | the steps: as a NAS sees them, as phones see them |
//! | [`script`] | how they are told |
//!
//! The one rule: nothing stays behind. What a run that was killed left is removed by the next one.

mod browser;
mod certificate;
mod form;
mod helpers;
mod internet;
mod journey;
mod kiosk;
mod lab;
mod needs;
mod online;
mod paid_time;
mod paystack;
mod phone;
mod purchase;
mod radclient;
mod script;
mod signup;
mod site_clock;
mod space;
mod stale;
mod world;

use std::cell::Cell;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Context;
use super::error::CliError;
use super::human;
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
        needs::must_be_there()?;
        stale::remove(&std::env::temp_dir());
        let done = Cell::new(false);
        match runtime()?.block_on(self.played(context, &done)) {
            Err(CliError::Told) if done.get() => Ok(()),
            shown => shown,
        }
    }

    async fn played(&self, context: &Context, done: &Cell<bool>) -> Result<(), CliError> {
        // From here on a signal is waited for, so that what is being made is also removed.
        let signals = Signals::listen()?;
        let mut lab = Lab::build(context)?;
        let shown = tokio::select! {
            shown = show(context, &mut lab, self.once, done) => shown,
            () = signals.any() => Err(CliError::Told),
        };
        if let Err(CliError::NotSo(_) | CliError::Unreachable(_) | CliError::Usage(_)) = &shown {
            context.terminal.note(format_args!("The daemon's last words:\n{}", lab.last_words()));
        }
        shown
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
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Self, CliError> {
        let on = |kind| signal(kind).map_err(|error| CliError::failed("receive signals", &error));
        Ok(Self([on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?]))
    }

    async fn any(self) {
        let [mut interrupt, mut terminate, mut hangup] = self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Addresses and credentials, each as a line that can be pasted.
fn to_try(lab: &Lab, keys: &Keys) -> String {
    let (ports, world) = (lab.ports(), lab.world());
    let program = format!("{} --config {}", lab.program().display(), lab.config().display());
    let phone = format!("ip netns exec {}", world.phone.name());
    let customer = &keys.customer;
    let ahead = lab.site_time().duration_since(lab.clock().now());
    format!(
        "\nThe box stays up until Ctrl-C. Try, as root:\n\
         \n  the portal    http://{gateway}/ on this machine, or by its name with TLS:\
         \n                chromium --host-resolver-rules='MAP {name} {gateway}' --ignore-certificate-errors https://{name}/\
         \n  log in there  {customer_email}  password  {customer_password}\
         \n  pay there as  {buyer_email}  password  {buyer_password}, at https://{name}/pay\
         \n  its mail      {mailbox}/new\
         \n  the phone     {phone} curl -i http://captive.apple.com/hotspot-detect.html\
         \n  its browser   {phone} curl --cacert {ca} https://{name}/status\
         \n  other phones  ip netns exec {buyer}, ip netns exec {guest}\
         \n  their gateway {pages}… (Paystack's stand-in, on the demo's Internet)\
         \n  the clock     the site's is {ahead} ahead of this machine's\
         \n  the gateway   ip netns exec {gate} nft list table inet dotmac_edge\
         \n  the API       http://{admin}/docs\
         \n  log in as     {email}  password  {password}\
         \n  or the agent  {agent_email}  password  {agent_password}\
         \n  RADIUS        {authentication} (authentication), {accounting} (accounting), secret  {secret}\
         \n  subscriber    {login}  password  {network}\
         \n  a login       printf '%s\\n' {secret} {network} | {program} radius test {authentication} --user {login}\
         \n  sessions      {program} session list --all\
         \n  why           {program} why {login}\
         \n  health        ip netns exec {gate} {program} doctor\
         \n  metrics       http://{metrics}/metrics\
         \n  the log       tail -f {log}",
        name = helpers::PORTAL_NAME,
        gateway = lab.nets().gateway(),
        gate = world.gateway.name(),
        customer_email = customer.email,
        customer_password = customer.password,
        buyer_email = purchase::ADA.email,
        buyer_password = purchase::ADA.password,
        buyer = world.buyer.name(),
        guest = world.guest.name(),
        pages = lab.paystack().pages(),
        ahead = human::span(u64::try_from(ahead.as_secs()).unwrap_or(0)),
        agent_email = keys.agent.email,
        agent_password = keys.agent.password,
        mailbox = lab.mailbox().display(),
        ca = lab.folder().join("ca.pem").display(),
        admin = ports.admin,
        email = keys.owner.email,
        password = keys.owner.password,
        authentication = ports.authentication,
        accounting = ports.accounting,
        secret = keys.secret,
        login = customer.login,
        network = customer.network_password,
        metrics = ports.metrics,
        log = lab.log().display(),
    )
}
