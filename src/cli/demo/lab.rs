//! The lab: a folder, a world of network namespaces with its helpers, a configuration, and the daemon as
//! a child process of the same program inside of the gateway. Dropping it ends and removes all of it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use hyper::Method;
use jiff::Timestamp;

use super::helpers::{self, Helpers, PORTAL_NAME};
use super::internet::Internet;
use super::paystack::Paystack;
use super::phone::Phone;
use super::site_clock::SiteClock;
use super::space::Space;
use super::world::{Nets, WEB4, World};
use super::{certificate, stale};
use crate::base::clock::Clock;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::talk::{Load, Talk};
use crate::cli::terminal::Terminal;

/// A box of one's own, and what is around it.
pub(super) struct Lab {
    folder: PathBuf,
    program: PathBuf,
    world: World,
    helpers: Option<Helpers>,
    internet: Option<Internet>,
    paystack: Paystack,
    site_clock: Option<SiteClock>,
    daemon: Option<Child>,
    terminal: Terminal,
    clock: Clock,
}

/// Where its doors are, on the management network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) admin: SocketAddr,
    pub(super) metrics: SocketAddr,
    pub(super) authentication: SocketAddr,
    pub(super) accounting: SocketAddr,
}

impl Lab {
    /// Makes folder, world and configuration; starts nothing.
    pub(super) fn build(context: &Context) -> Result<Self, CliError> {
        let demo = std::process::id();
        let folder = std::env::temp_dir().join(format!("{PREFIX}{demo}"));
        let doing = format!("make {}", folder.display());
        let program =
            std::env::current_exe().map_err(|error| CliError::failed("find this program's file", &error))?;
        // Of a demo with our number that is long gone.
        stale::remove_of(demo, &folder);
        DirBuilder::new().mode(0o700).create(&folder).map_err(|error| CliError::failed(&doing, &error))?;
        let world = World::build(demo).inspect_err(|_| {
            let _ = fs::remove_dir_all(&folder);
        })?;
        let key = context.entropy.readable(KEY_LENGTH);
        let key = key.map_err(|error| CliError::failed("make the payment gateway's key", &error))?;
        let paystack = Paystack::new(format!("http://{}", world.nets.payment()), key.clone());
        let lab = Self {
            folder,
            program,
            world,
            helpers: None,
            internet: None,
            paystack,
            site_clock: None,
            daemon: None,
            terminal: context.terminal,
            clock: context.clock.clone(),
        };
        lab.write(PAYMENT_KEY, &key)?;
        let pem = certificate::make(PORTAL_NAME, context.clock.now())?;
        lab.write("ca.pem", &pem.authority)?;
        lab.write("portal.pem", &pem.certificate)?;
        lab.write("portal.key", &pem.private_key)?;
        let text = lab.configuration()?;
        lab.write("edge.toml", &text)?;
        Ok(lab)
    }

    /// Starts what is around the daemon: names and addresses, mail, the web.
    pub(super) async fn start_helpers(&mut self) -> Result<(), CliError> {
        self.internet = Some(Internet::start(&self.world.internet, &self.paystack)?);
        self.helpers = Some(Helpers::start(&self.world, &self.folder).await?);
        Ok(())
    }

    /// A phone, by where it is.
    pub(super) fn phone(&self, place: &Space) -> Phone {
        Phone::new(place, &self.folder, &self.clock)
    }

    /// The stand-in for the payment gateway.
    pub(super) const fn paystack(&self) -> &Paystack {
        &self.paystack
    }

    /// Lets the next daemon have a clock that can be moved on.
    pub(super) fn take_the_clock(&mut self) -> Result<(), CliError> {
        self.site_clock = Some(SiteClock::new(&self.folder, &self.clock)?);
        Ok(())
    }

    /// Moves the daemon's clock on to a moment.
    pub(super) fn go_on_to(&mut self, moment: Timestamp) -> Result<(), CliError> {
        self.site_clock.as_mut().map_or(Ok(()), |clock| clock.go_on_to(moment))
    }

    /// What the daemon's clock says.
    pub(super) fn site_time(&self) -> Timestamp {
        self.site_clock.as_ref().map_or_else(|| self.clock.now(), SiteClock::now)
    }

    /// The world's places and networks.
    pub(super) const fn world(&self) -> &World {
        &self.world
    }

    pub(super) const fn nets(&self) -> Nets {
        self.world.nets
    }

    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The newest letter to an address; empty when there is none.
    pub(super) fn letter(&self, to: &str) -> String {
        helpers::letter(&self.folder, to)
    }

    pub(super) fn mailbox(&self) -> PathBuf {
        helpers::mailbox(&self.folder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn ports(&self) -> Ports {
        let at = |port| SocketAddr::from((self.nets().management(), port));
        Ports { admin: at(8080), metrics: at(9090), authentication: at(1812), accounting: at(1813) }
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("edge.toml")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// A way to the daemon as the box's own console.
    pub(super) fn console(&self) -> Talk {
        Talk::control(self.socket(), self.terminal)
    }

    /// A way to the daemon as a program on the network.
    pub(super) fn api(&self) -> Talk {
        Talk::http(self.ports().admin, self.terminal)
    }

    /// A private file in the folder.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, CliError> {
        let path = self.folder.join(name);
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = made.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(|error| CliError::failed(&format!("write {}", path.display()), &error))?;
        Ok(path)
    }

    /// Starts the daemon and waits until it is ready; gives its process id.
    pub(super) async fn start(&mut self) -> Result<u32, CliError> {
        let failed = |error: std::io::Error| CliError::failed("start the daemon", &error);
        let log =
            OpenOptions::new().append(true).create(true).mode(0o600).open(self.log()).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let mut program = self.world.gateway.command(&self.program);
        if let Some(clock) = &self.site_clock {
            clock.give_to(&mut program);
        }
        let child = program
            .arg("--config")
            .arg(self.config())
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .env("NO_COLOR", "1")
            // Of its own group, so that Ctrl-C is ours to answer.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pid = child.id();
        self.daemon = Some(child);
        self.until_ready().await?;
        Ok(pid)
    }

    /// Ends the daemon as a power cut would, as far as a process can be cut.
    pub(super) fn cut(&mut self) -> Result<(), CliError> {
        let Some(mut child) = self.daemon.take() else { return Ok(()) };
        let ended = child.kill().and_then(|()| child.wait());
        ended.map(drop).map_err(|error| CliError::failed("kill the daemon", &error))
    }

    /// Waits for as long as the daemon lives.
    pub(super) async fn until_it_ends(&mut self) -> Result<(), CliError> {
        while !self.has_ended() {
            tokio::time::sleep(LOOK).await;
        }
        Err(CliError::NotSo("the daemon ended by itself".to_owned()))
    }

    /// The end of the daemon's log.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
        last.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    }

    async fn until_ready(&mut self) -> Result<(), CliError> {
        let waiting = async {
            loop {
                if self.has_ended() {
                    return Err(CliError::NotSo("the daemon ended before it was ready".to_owned()));
                }
                let answer = self.api().send(Method::GET, "/ready", Load::Nothing).await;
                if answer.is_ok_and(|answer| answer.status.is_success()) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let waited = tokio::time::timeout(START_LIMIT, waiting).await;
        waited.unwrap_or_else(|_| {
            Err(CliError::NotSo(format!("the daemon was not ready within {} s", START_LIMIT.as_secs())))
        })
    }

    fn has_ended(&mut self) -> bool {
        self.daemon.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    fn configuration(&self) -> Result<String, CliError> {
        let folder = self.folder.display().to_string();
        if folder.contains(['\'', '\n']) {
            return Err(CliError::Usage(format!("set TMPDIR to another folder than {folder:?}")));
        }
        let group = nix::unistd::Group::from_gid(nix::unistd::getegid()).ok().flatten();
        let group = group.map_or_else(String::new, |group| format!("group = '{}'\n", group.name));
        let Ports { admin, metrics, authentication, accounting } = self.ports();
        Ok(format!(
            "# Made by `dotmac-edge demo`; it goes with the demo.\n\
             [site]\nname = \"Demo POP\"\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"\n\n\
             [store]\npath = '{folder}/store'\n\n\
             [http]\nadmin = \"{admin}\"\nmetrics = \"{metrics}\"\n\n\
             [portal]\nname = \"{PORTAL_NAME}\"\n\
             http = [\"0.0.0.0:80\", \"[::]:80\"]\nhttps = [\"0.0.0.0:443\", \"[::]:443\"]\n\
             certificate = 'file:{folder}/portal.pem'\nprivate_key = 'file:{folder}/portal.key'\n\n\
             [gateway]\nenabled = true\naccess = \"lan0\"\nuplink = \"wan0\"\n\n\
             [mail]\nserver = \"{WEB4}:25\"\nsecurity = \"none\"\nfrom = \"Demo POP <wifi@demo.example>\"\n\n\
             [radius]\nauthentication = [\"{authentication}\"]\naccounting = [\"{accounting}\"]\n\n\
             [control]\nsocket = '{socket}'\n{group}\n\
             [log]\nformat = \"console\"\n\n\
             {payments}\n\
             [secrets]\nkey = 'file:{folder}/box.key'\n",
            payments = self.paystack.settings(&self.folder.join(PAYMENT_KEY)),
            socket = self.socket().display(),
        ))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // An end that fails leaves things that the next demo removes. The world goes by its own drop.
        let _ = self.cut();
        self.helpers = None;
        self.internet = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder's name before the demo's process id.
pub(super) const PREFIX: &str = "dotmac-edge-demo-";
/// The file with the key for the payment gateway.
const PAYMENT_KEY: &str = "paystack.key";
/// As long as such keys are.
const KEY_LENGTH: usize = 40;
/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_millis(20);
/// Opening a store takes well under a second; a slow machine gets its time.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What a person reads of a log.
const LAST_LINES: usize = 20;
