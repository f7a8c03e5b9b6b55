//! What differs by maker of NAS: one [`Grant`] in, the attributes that this NAS understands out.
//!
//! Each vendor is one file in `vendor/` and one line in [`write_accept`]. The one rule: nothing is
//! clamped or dropped silently; what a NAS cannot be told is returned as [`Untold`], so that the
//! operator hears of it. No store, no sockets, no clock.

pub mod change;
mod stack_text;
pub mod vendor;

use crate::domain::entitlement::{Access, Entitlement};
use crate::domain::nas::NasKind;
use crate::domain::service::Addresses;
use crate::radius::{EncodeError, Kind, Writer};

/// Everything an Access-Accept says about a service, in the product's words.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// Rates and limits.
    pub entitlement: &'a Entitlement,
    /// Fixed addresses.
    pub addresses: &'a Addresses,
    /// Our own token, which the NAS repeats in accounting (RFC 2865 section 5.25).
    pub class: &'a [u8],
    /// Seconds between interim updates (RFC 2869 section 5.16).
    pub interim_secs: u32,
    /// Whether the NAS asked for PPP framing, which is then confirmed (RFC 2865 section 5.7).
    pub framed_ppp: bool,
}

/// What a NAS of this kind could not be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Untold {
    /// The rate does not fit the vendor's attribute, or the kind has none.
    pub rates: bool,
    /// The kind has no attribute for a data limit; we enforce it from accounting alone.
    pub quota: bool,
}

/// Whether a NAS of this kind can hold a subscriber in the walled garden. Where it cannot, a
/// captive subscriber is refused: a full accept would give access that is not paid for.
#[must_use]
pub const fn can_be_captive(kind: NasKind) -> bool {
    match kind {
        NasKind::Mikrotik => true,
        NasKind::Wispr
        | NasKind::Coova
        | NasKind::Cisco
        | NasKind::Huawei
        | NasKind::Juniper
        | NasKind::Ubiquiti
        | NasKind::AccelPpp
        | NasKind::Generic => false,
    }
}

/// Writes what this NAS is to be told with an accept.
///
/// # Errors
/// When the packet is full or a value does not fit an attribute.
pub fn write_accept(kind: NasKind, grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    write_common(grant, to)?;
    write_own(kind, grant, to)
}

/// What is said in the vendor's own attributes.
fn write_own(kind: NasKind, grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    match kind {
        NasKind::Mikrotik => vendor::mikrotik::write(grant, to),
        // EdgeRouter and UniFi read the attributes of WISPr.
        NasKind::Wispr | NasKind::Ubiquiti => vendor::wispr::write(grant, to),
        NasKind::Coova => vendor::coova::write(grant, to),
        NasKind::Cisco => vendor::cisco::write(grant, to),
        NasKind::Huawei => vendor::huawei::write(grant, to),
        NasKind::Juniper => vendor::juniper::write(grant, to),
        NasKind::AccelPpp => vendor::accel_ppp::write(grant, to),
        NasKind::Generic => Ok(vendor::generic::untold(grant)),
    }
}

/// What the RFCs alone can say, the same for every NAS.
fn write_common(grant: &Grant<'_>, to: &mut Writer<'_>) -> Result<(), EncodeError> {
    if grant.framed_ppp {
        to.u32(Kind::SERVICE_TYPE, SERVICE_TYPE_FRAMED)?;
        to.u32(Kind::FRAMED_PROTOCOL, FRAMED_PROTOCOL_PPP)?;
    }
    if let Some(secs) = grant.entitlement.session_secs {
        to.u32(Kind::SESSION_TIMEOUT, secs)?;
    }
    if let Some(secs) = grant.entitlement.idle_secs {
        to.u32(Kind::IDLE_TIMEOUT, secs)?;
    }
    to.u32(Kind::ACCT_INTERIM_INTERVAL, grant.interim_secs)?;
    write_addresses(grant.addresses, to)?;
    to.octets(Kind::CLASS, grant.class)
}

fn write_addresses(addresses: &Addresses, to: &mut Writer<'_>) -> Result<(), EncodeError> {
    if let Some(address) = addresses.ipv4 {
        to.ipv4(Kind::FRAMED_IP_ADDRESS, address)?;
    } else if let Some(pool) = &addresses.pool {
        to.text(Kind::FRAMED_POOL, pool.as_str())?;
    }
    if let Some(prefix) = addresses.ipv6_prefix.and_then(on_wire) {
        to.ipv6_prefix(Kind::FRAMED_IPV6_PREFIX, prefix)?;
    }
    if let Some(prefix) = addresses.delegated_prefix.and_then(on_wire) {
        to.ipv6_prefix(Kind::DELEGATED_IPV6_PREFIX, prefix)?;
    }
    for route in &addresses.routes {
        to.text(Kind::FRAMED_ROUTE, route)?;
    }
    Ok(())
}

fn on_wire(prefix: crate::domain::service::Ipv6Prefix) -> Option<crate::radius::Ipv6Prefix> {
    crate::radius::Ipv6Prefix::new(prefix.address, prefix.length)
}

/// Whether the grant holds the subscriber captive.
const fn is_captive(grant: &Grant<'_>) -> bool {
    match grant.entitlement.access {
        Access::Captive { .. } => true,
        Access::Full => false,
    }
}

/// RFC 2865 section 5.6: Framed.
const SERVICE_TYPE_FRAMED: u32 = 2;
/// RFC 2865 section 5.7: PPP.
const FRAMED_PROTOCOL_PPP: u32 = 1;

#[cfg(test)]
mod tests;
