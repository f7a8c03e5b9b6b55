//! `[radius]`: RADIUS over UDP, its limits, and what a session gets where its plan says nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::eap::Eap;
use super::fault::Wrong;
use super::kind::{Kind, choose, chosen};
use super::reader::{Applies, Reader, Section, Transport, within};
use super::size::ByteSize;

/// The RADIUS server's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radius {
    /// Where Access-Request and Status-Server are answered.
    pub authentication: Vec<SocketAddr>,
    /// Where Accounting-Request and Status-Server are answered.
    pub accounting: Vec<SocketAddr>,
    /// Threads, each with a socket of its own on every listener.
    pub workers: u32,
    /// Receive buffer asked of the kernel for each socket.
    pub receive_buffer: ByteSize,
    /// How long an Access-Reject is held back, to slow guessing down (RFC 2865 leaves it open).
    pub reject_delay: Duration,
    /// How long a reply is kept for a repeated request (RFC 5080 section 2.2.2).
    pub duplicate_lifetime: Duration,
    /// Replies kept at most, over all NAS.
    pub duplicate_capacity: u32,
    /// Threads that check slow password hashes.
    pub password_threads: u32,
    /// Slow checks that may wait; beyond it a request is dropped and the NAS asks again.
    pub password_queue: u32,
    /// Accounting requests that may wait for the disk; beyond it they are dropped and come again.
    pub accounting_queue: u32,
    /// Acct-Interim-Interval: how often a NAS reports usage (RFC 2869 section 5.16).
    pub interim_interval: Duration,
    /// Session-Timeout where the plan says nothing.
    pub session_timeout: Duration,
    /// Idle-Timeout where the plan says nothing.
    pub idle_timeout: Duration,
    /// How devices may log in by EAP.
    pub eap: Eap,
    /// What a login at a NAS gets whose plan's places are all taken.
    pub devices_full: DevicesFull,
}

impl Radius {
    pub(super) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Self {
        let radius = reader.section(root, "radius", |section| {
            section.tables(&["eap"]);
            Self::read_section(section)
        });
        Self { eap: reader.inner(root, ("radius", "eap", "radius.eap"), Eap::read), ..radius }
    }

    fn read_section(section: &mut Section<'_, '_>) -> Self {
        use Applies::{Live, Restart};
        let any = |port| vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
        let count = |least: u32, most: u32| move |value: &u32| within(value, &least, &most);
        let time = |least, most| {
            move |value: &Duration| within(value, &Duration::from_secs(least), &Duration::from_secs(most))
        };
        Self {
            authentication: section.listeners("authentication", Transport::Udp, any(1812)),
            accounting: section.listeners("accounting", Transport::Udp, any(1813)),
            workers: section.checked("workers", Restart, 2, count(1, 64)),
            receive_buffer: section.checked("receive_buffer", Restart, ByteSize::mebibytes(8), |size| {
                within(size, &ByteSize::mebibytes(1), &ByteSize::mebibytes(256))
            }),
            reject_delay: section.checked("reject_delay", Live, Duration::from_secs(1), time(0, 10)),
            duplicate_lifetime: section.checked(
                "duplicate_lifetime",
                Restart,
                Duration::from_secs(10),
                time(5, 30),
            ),
            duplicate_capacity: section.checked(
                "duplicate_capacity",
                Restart,
                65_536,
                count(1_024, 1_048_576),
            ),
            password_threads: section.checked("password_threads", Restart, 2, count(1, 64)),
            password_queue: section.checked("password_queue", Restart, 256, count(16, 4_096)),
            accounting_queue: section.checked("accounting_queue", Restart, 16_384, count(256, 262_144)),
            interim_interval: section.checked(
                "interim_interval",
                Live,
                Duration::from_secs(300),
                time(60, 3_600),
            ),
            session_timeout: section.checked(
                "session_timeout",
                Live,
                Duration::from_secs(86_400),
                time(60, 2_592_000),
            ),
            idle_timeout: section.checked("idle_timeout", Live, Duration::from_secs(1_800), time(60, 86_400)),
            // It has a table of its own.
            eap: Eap::none(),
            devices_full: section.optional("devices_full", Live, DevicesFull::Refuse),
        }
    }
}

/// What a login gets whose plan's places are all taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevicesFull {
    /// A no.
    Refuse,
    /// A yes; the oldest session ends for it.
    EndOldest,
}

const DEVICES_FULL: &[(&str, DevicesFull)] =
    &[("refuse", DevicesFull::Refuse), ("end-oldest", DevicesFull::EndOldest)];

impl Kind for DevicesFull {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, DEVICES_FULL)
    }

    fn show(&self) -> String {
        chosen(*self, DEVICES_FULL)
    }
}
