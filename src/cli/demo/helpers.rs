//! The programs around the daemon, all from Debian's packages: dnsmasq on the gateway (DHCP, router
//! advertisements, DNS), another as the Internet's name server, and a mail server.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use super::needs::PYTHON;
use super::world::{GATEWAY6, LAN6, PAYMENT6, WEB4, WEB6, World};
use crate::cli::error::CliError;

/// Running helpers; they end with the value.
#[derive(Debug, Default)]
pub(super) struct Helpers(Vec<Child>);

impl Helpers {
    /// Starts all of them; returns when each does its work.
    pub(super) async fn start(world: &World, folder: &Path) -> Result<Self, CliError> {
        let mut helpers = Self::default();
        let gateway = write(folder, "gateway-dnsmasq.conf", &gateway_names(world, folder))?;
        let internet = write(folder, "internet-dnsmasq.conf", &internet_names(world, folder))?;
        let mailbox = mailbox(folder);
        helpers.add(world.internet.command("dnsmasq").arg("-k").arg(configured(&internet)), folder)?;
        helpers.add(world.gateway.command("dnsmasq").arg("-k").arg(configured(&gateway)), folder)?;
        let mut mail = world.internet.command(PYTHON);
        mail.args(["-m", "aiosmtpd", "-n", "-l", &format!("{WEB4}:25"), "-c", "aiosmtpd.handlers.Mailbox"]);
        helpers.add(mail.arg(&mailbox), folder)?;
        for (space, port) in [(&world.internet, 53), (&world.internet, 25), (&world.gateway, 53)] {
            helpers.until_it_listens(space, port, folder).await?;
        }
        // The gateway asks its own resolver, as a box of an ISP does.
        world.gateway.write_etc("resolv.conf", "nameserver 127.0.0.1\n")?;
        world.gateway.write_etc("nsswitch.conf", DNS_ONLY)?;
        for device in [&world.phone, &world.buyer, &world.guest] {
            device.write_etc("nsswitch.conf", DNS_ONLY)?;
        }
        Ok(helpers)
    }

    fn add(&mut self, command: &mut Command, folder: &Path) -> Result<(), CliError> {
        let failed = |error: std::io::Error| CliError::failed("start a helper of the demo", &error);
        let log = OpenOptions::new().append(true).create(true).open(log(folder)).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        // Of its own group, so that Ctrl-C is ours to answer.
        let child = command.stdout(log).stderr(errors).process_group(0).spawn().map_err(failed)?;
        self.0.push(child);
        Ok(())
    }

    async fn until_it_listens(
        &mut self,
        space: &super::space::Space,
        port: u16,
        folder: &Path,
    ) -> Result<(), CliError> {
        let gone = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        for _ in 0..LOOKS {
            if self.0.iter_mut().any(gone) {
                break;
            }
            let mut listening = Command::new("ss");
            listening.args(["-N", space.name(), "-Hltn", "sport", "=", &format!(":{port}")]);
            if !super::space::output(&mut listening)?.trim().is_empty() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        let said = std::fs::read_to_string(log(folder)).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        Err(CliError::NotSo(format!(
            "nothing listens on port {port} in {}: {}",
            space.name(),
            last.join("; ")
        )))
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The mail server's folder (a Maildir).
pub(super) fn mailbox(folder: &Path) -> PathBuf {
    folder.join("mailbox")
}

/// The newest letter to an address; empty when there is none.
pub(super) fn letter(folder: &Path, to: &str) -> String {
    let Ok(entries) = std::fs::read_dir(mailbox(folder).join("new")) else { return String::new() };
    let dated = |entry: std::fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
    let mut letters: Vec<_> = entries.filter_map(Result::ok).filter_map(dated).collect();
    letters.sort();
    let texts = letters.into_iter().rev().filter_map(|(_, path)| std::fs::read_to_string(path).ok());
    texts.into_iter().find(|text| text.contains(to)).unwrap_or_default()
}

fn gateway_names(world: &World, folder: &Path) -> String {
    let (nets, folder) = (world.nets, folder.display());
    let (gateway, (first, last)) = (nets.gateway(), nets.pool());
    format!(
        "user=root\nno-hosts\nno-resolv\nbind-dynamic\nlog-facility={folder}/gateway-dnsmasq.log\npid-file=\n\
         # Names: the portal is this box, everything else is asked of the Internet, truthfully.\n\
         interface=lan0\ninterface=lo\nserver={WEB4}\n\
         host-record={PORTAL_NAME},{gateway},{GATEWAY6}\n\
         # Addresses, and where the portal is (RFC 8910), by DHCPv4 and by DHCPv6.\n\
         dhcp-authoritative\ndhcp-leasefile={folder}/leases\nno-ping\n\
         dhcp-range={first},{last},255.255.255.0,1h\n\
         dhcp-range={LAN6},ra-stateless,64,1h\nenable-ra\nra-param=lan0,10,600\n\
         dhcp-option=114,{CAPPORT}\ndhcp-option=option6:103,{CAPPORT}\n\
         dhcp-option=option6:dns-server,[{GATEWAY6}]\n"
    )
}

/// Every name of the little Internet is the same machine, but for the payment gateway: what its name leads to is
/// in the walled garden.
fn internet_names(world: &World, folder: &Path) -> String {
    let (payment, folder) = (world.nets.payment(), folder.display());
    format!(
        "user=root\nno-hosts\nno-resolv\nbind-interfaces\nlisten-address={WEB4}\npid-file=\n\
         log-facility={folder}/internet-dnsmasq.log\naddress=/#/{WEB4}\naddress=/#/{WEB6}\n\
         address=/paystack.com/paystack.co/{payment}\naddress=/paystack.com/paystack.co/{PAYMENT6}\n"
    )
}

fn configured(file: &Path) -> String {
    format!("--conf-file={}", file.display())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, CliError> {
    let path = folder.join(name);
    let written =
        File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|error| CliError::failed(&format!("write {}", path.display()), &error))?;
    Ok(path)
}

fn log(folder: &Path) -> PathBuf {
    folder.join("helpers.log")
}

/// The portal's name.
pub(super) const PORTAL_NAME: &str = "portal.demo.example";
/// The portal's address for programs (RFC 8908).
pub(super) const CAPPORT: &str = "https://portal.demo.example/capport/api";
/// Names come from DNS alone, whatever the host is set up for.
pub(super) const DNS_ONLY: &str = "hosts: files dns\n";
const LOOK: Duration = Duration::from_millis(50);
/// Python takes half a second to start, and ten on a machine that is busy.
const LOOKS: u32 = 300;
