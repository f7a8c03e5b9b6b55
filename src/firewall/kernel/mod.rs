//! The gateway as the kernel has it: [`Gateway`] installs the rules, carries out changes of subscribers,
//! reads back what is in force, says what is wrong, and removes what is ours. The only files of the room
//! that touch `nft`, netlink and processes. Every call blocks: microseconds for elements, milliseconds
//! for the rules; call it from a thread that may. It remembers nothing that the kernel does not say,
//! except what it installed, to see foreign edits.
//!
//! Connections of a subscriber who is revoked are not deleted from connection tracking: the rules look
//! the subscriber up on every packet before they accept what is established, so the next packet is
//! refused without it, and a deletion by mark would walk the whole table (54 ms for 60,000 connections).
//! What follows for the portal: a connection that was redirected to it stays redirected until it is
//! closed, so the plain portal must answer `Connection: close`.
//!
//! The one rule: whatever fails, an interface of subscribers is closed rather than open; routing rules
//! come first at the installation and go last at the removal.

mod elements;
mod fault;
mod neighbours;
pub mod netlink;
mod nft;
mod rules;
mod survey;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

pub use fault::GatewayError;
pub use neighbours::Neighbour;
use netlink::route::Family;
use netlink::socket::Socket;
pub use nft::PROGRAM;
use nft::{Mode, Nft};
pub use rules::ClosingRule;
use survey::Fingerprint;
pub use survey::{ForeignChain, Survey, TableState};
pub use watch::{Event, Watch};

use super::admission::{Count, Identity, InForce, Number, Reading};
use super::change::{Change, Outcome};
use super::name::{InterfaceName, Mac};
use super::policy::Policy;
use super::ruleset;

/// How an installation went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// The rules were made or renewed beside the subscribers in force.
    Beside,
    /// The table was of another make and was replaced: nobody is admitted until the next changes, and
    /// counters since the last reading are lost.
    Anew,
}

/// The hands on this machine's firewall, in the network namespace they were opened in.
#[derive(Debug)]
pub struct Gateway {
    nft: Nft,
    netfilter: Socket,
    route: Socket,
    installed: Option<Fingerprint>,
}

impl Gateway {
    /// Opens what is needed; changes nothing. `nft` is the program's absolute path, as [`PROGRAM`].
    ///
    /// # Errors
    /// When the kernel has no netlink for the firewall or for routing.
    pub fn open(nft: &Path) -> Result<Self, GatewayError> {
        const ATTEMPT: &str = "open the firewall";
        Ok(Self {
            nft: Nft::new(nft),
            netfilter: Socket::netfilter().map_err(GatewayError::socket(ATTEMPT))?,
            route: Socket::route().map_err(GatewayError::socket(ATTEMPT))?,
            installed: None,
        })
    }

    /// Whether `nft` and the kernel would take this policy; changes nothing.
    ///
    /// # Errors
    /// When they would not, or `nft` or the right to use it is missing: then also for every installation.
    pub fn check(&self, policy: &Policy) -> Result<(), GatewayError> {
        self.nft.run(&ruleset::render(policy), Mode::Check)
    }

    /// Puts the policy in force: the closing routing rules, then the table in one transaction. Subscribers
    /// in force, their counters and their connections stay. An access interface that is not there yet is
    /// no error; install again when it has come.
    ///
    /// # Errors
    /// When it is not in force; then what was in force before still is.
    pub fn install(&mut self, policy: &Policy) -> Result<Installed, GatewayError> {
        self.close_interfaces(policy)?;
        let installed = match self.nft.run(&ruleset::render(policy), Mode::Commit) {
            Ok(()) => Installed::Beside,
            Err(GatewayError::NftRefused(said)) if is_of_another_make(&said) => {
                self.nft.run(&ruleset::render_anew(policy), Mode::Commit)?;
                Installed::Anew
            }
            Err(error) => return Err(error),
        };
        self.installed = survey::fingerprint(&mut self.netfilter)?;
        Ok(installed)
    }

    /// Opens the walled garden to these addresses for an hour; the rest of it stays as it is.
    ///
    /// # Errors
    /// When the rules are not installed, or `nft` does not take it.
    pub fn open_garden(&self, addresses: &[IpAddr]) -> Result<(), GatewayError> {
        if addresses.is_empty() {
            return Ok(());
        }
        self.nft.run(&ruleset::garden(addresses), Mode::Commit)
    }

    /// Makes the closing routing rules those of the access interfaces that exist; to be called when an
    /// interface comes or goes and a pattern of the policy ends in `*`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn close_interfaces(&mut self, policy: &Policy) -> Result<(), GatewayError> {
        rules::set(&mut self.route, &closing_rules(policy)?)
    }

    /// Carries out the changes; the outcomes are in the same order. A change that the kernel refuses fails
    /// alone, with the reason.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<Outcome> {
        elements::apply(&mut self.netfilter, changes)
    }

    /// Every subscriber in force. Takes 60 ms for 10,000 and a second for 100,000.
    ///
    /// # Errors
    /// When the table is not there or the kernel cannot be asked.
    pub fn dump(&mut self) -> Result<InForce, GatewayError> {
        elements::dump(&mut self.netfilter)
    }

    /// What is in force for one subscriber and these devices, without a listing.
    ///
    /// # Errors
    /// As [`Gateway::dump`], but that a table that is not there reads as nothing in force.
    pub fn find(&mut self, number: Number, devices: &BTreeSet<Identity>) -> Result<InForce, GatewayError> {
        elements::find(&mut self.netfilter, number, devices)
    }

    /// The counters of all subscribers, each direction for itself.
    ///
    /// # Errors
    /// As [`Gateway::dump`].
    pub fn counters(&mut self) -> Result<Vec<(Number, Reading)>, GatewayError> {
        elements::counters(&mut self.netfilter)
    }

    /// What the rules counted as a whole, by name: `redirected`, `refused`, `spoofed` and so on.
    ///
    /// # Errors
    /// As [`Gateway::dump`].
    pub fn tallies(&mut self) -> Result<BTreeMap<String, Count>, GatewayError> {
        let list = survey::tallies(&mut self.netfilter)?;
        Ok(list.into_iter().map(|(name, octets, packets)| (name, Count { octets, packets })).collect())
    }

    /// Compares what is in force with the policy, subscribers aside (for those, compare [`Gateway::dump`]
    /// by [`super::change::between`]).
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn verify(&mut self, policy: &Policy) -> Result<Survey, GatewayError> {
        let table = match (survey::fingerprint(&mut self.netfilter)?, self.installed) {
            (None, _) => TableState::Missing,
            (Some(_), None) => TableState::NotInstalledByUs,
            (Some(found), Some(installed)) if found == installed => TableState::Ours,
            (Some(_), Some(_)) => TableState::Changed,
        };
        let in_force = rules::in_force(&mut self.route)?;
        let open_interfaces = closing_rules(policy)?.difference(&in_force).cloned().collect();
        Ok(Survey { table, open_interfaces, foreign: survey::foreign(&mut self.netfilter)? })
    }

    /// The device that has this address on an access interface of the policy: who a connection is from.
    /// Several when several interfaces know the address.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn locate(&mut self, policy: &Policy, address: IpAddr) -> Result<Vec<Neighbour>, GatewayError> {
        let mut access = neighbours::interfaces()?;
        access.retain(|interface| policy.is_access(interface));
        neighbours::with_address(&mut self.route, &access, address)
    }

    /// The addresses of both families that a device has on an interface, as far as the kernel knows.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn addresses_of(&mut self, interface: &InterfaceName, mac: Mac) -> Result<Vec<IpAddr>, GatewayError> {
        neighbours::of_device(&mut self.route, interface, mac)
    }

    /// Removes the table and the routing rules of ours, and nothing else. The machine then routes what
    /// its other rules let through.
    ///
    /// # Errors
    /// When something of ours is still in force.
    pub fn teardown(&mut self) -> Result<(), GatewayError> {
        self.nft.run(&ruleset::removal(), Mode::Commit)?;
        self.installed = None;
        rules::set(&mut self.route, &BTreeSet::new())
    }
}

/// Whether a refusal comes of sets of our names and another form, as of another version. Our text is
/// constant, so a complaint of `nft` itself, which compares it with what is in force, can be of nothing
/// else; of the kernel's complaints only this one is.
fn is_of_another_make(said: &str) -> bool {
    said.contains("File exists") || !said.contains("Could not process rule")
}

/// A rule for each family and each access interface: those named, also before they exist, and those that
/// exist and are meant by a pattern.
fn closing_rules(policy: &Policy) -> Result<BTreeSet<ClosingRule>, GatewayError> {
    use super::name::InterfacePattern;
    let named = policy.access().iter().filter_map(|pattern| match pattern {
        InterfacePattern::Exactly(name) => Some(name.clone()),
        InterfacePattern::BeginsWith(_) => None,
    });
    let mut interfaces: BTreeSet<InterfaceName> = named.collect();
    interfaces.extend(neighbours::interfaces()?.into_iter().filter(|name| policy.is_access(name)));
    let both = |name: InterfaceName| Family::BOTH.map(|family| (family, name.clone()));
    Ok(interfaces.into_iter().flat_map(both).collect())
}
