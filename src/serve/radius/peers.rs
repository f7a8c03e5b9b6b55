//! What a worker knows of each NAS that speaks to it: its record and its secrets with their keys
//! set up, found by source address with one look-up.
//!
//! Rebuilt from the snapshot whenever the NAS table changes, so NAS come and go live.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::access::{Access, NasEntry, NasView};
use crate::domain::nas::MessageAuthenticatorPolicy;
use crate::radius::SharedSecret;
use crate::radius::exchange::{MessageAuthenticatorRule, NasFacts};

/// A NAS with its secrets ready for use.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) entry: Arc<NasEntry>,
    secret: SharedSecret,
    previous: Option<SharedSecret>,
}

/// The NAS that one worker has met.
pub(super) struct Peers {
    access: Arc<Access>,
    view: Arc<NasView>,
    met: HashMap<IpAddr, Arc<Peer>>,
}

impl Peer {
    fn new(entry: &Arc<NasEntry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            secret: SharedSecret::new(entry.secret.clone()),
            previous: entry.previous.clone().map(SharedSecret::new),
        }
    }

    /// What the protocol must know to judge a datagram at `now`.
    pub(super) fn facts(&self, now: Timestamp) -> NasFacts<'_> {
        let rotation_lasts = self.entry.nas.previous_until.is_some_and(|until| now < until);
        NasFacts {
            secret: &self.secret,
            previous_secret: self.previous.as_ref().filter(|_| rotation_lasts),
            message_authenticator: match self.entry.nas.message_authenticator {
                MessageAuthenticatorPolicy::Require => MessageAuthenticatorRule::Require,
                MessageAuthenticatorPolicy::Allow => MessageAuthenticatorRule::Allow,
            },
        }
    }

    /// The peer's own address, where its record covers a network of NAS.
    pub(super) fn address_within(&self, said: Option<IpAddr>, source: IpAddr) -> Option<IpAddr> {
        let network = self.entry.nas.address;
        let is_one_host = network.prefix_len() == network.max_prefix_len();
        (!is_one_host).then(|| said.unwrap_or(source).to_canonical())
    }
}

impl Peers {
    pub(super) fn new(access: Arc<Access>) -> Self {
        let view = access.snapshot().nas();
        Self { access, view, met: HashMap::new() }
    }

    /// Looks whether the NAS table has changed; once a batch is enough.
    pub(super) fn refresh(&mut self) {
        let view = self.access.snapshot().nas();
        if !Arc::ptr_eq(&view, &self.view) {
            self.view = view;
            self.met.clear();
        }
    }

    /// The NAS behind a source address, if one is configured.
    pub(super) fn find(&mut self, source: IpAddr) -> Option<Arc<Peer>> {
        if let Some(peer) = self.met.get(&source) {
            return Some(Arc::clone(peer));
        }
        let peer = Arc::new(Peer::new(self.view.find(source)?));
        if self.met.len() >= MET {
            self.met.clear();
        }
        self.met.insert(source, Arc::clone(&peer));
        Some(peer)
    }
}

/// Source addresses remembered by a worker: more than the NAS of any one site, and the memory of
/// a network-wide record that many addresses use.
const MET: usize = 4_096;
