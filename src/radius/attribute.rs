//! Attributes as they lie in a packet, and the typed reading of their values.
//!
//! A reader answers `None` where the octets are not of the type asked for; it never guesses, cuts
//! or repairs. Names, for people, are in [`super::dictionary`]; the numbers that code needs are
//! constants here, held against the dictionary by a test.
//!
//! The one rule: a value that does not have exactly its type's form is not that type.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::packet::Packet;

/// An attribute's Type field (RFC 2865 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub u8);

/// A vendor's number, its IANA Private Enterprise Number (RFC 2865 section 5.26).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vendor(pub u32);

/// A type of a vendor's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VendorKind {
    /// Whose type it is.
    pub vendor: Vendor,
    /// The vendor's type number.
    pub kind: u8,
}

/// One attribute in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The Type field.
    pub kind: Kind,
    /// The Value field, 0 to 253 octets.
    pub value: &'a [u8],
}

/// One vendor sub-attribute in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorAttribute<'a> {
    /// Vendor and vendor type.
    pub kind: VendorKind,
    /// The value, 0 to 247 octets.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The attribute at the front of `octets`, and what lies behind it; `None` where its length is
    /// below 2 or reaches behind the end.
    pub(super) fn split(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[kind, length], _) = octets.split_first_chunk::<2>()?;
        let (whole, rest) = octets.split_at_checked(usize::from(length))?;
        let value = whole.get(2..)?;
        Some((Self { kind: Kind(kind), value }, rest))
    }

    /// The value as a 32-bit number.
    #[must_use]
    pub fn u32(&self) -> Option<u32> {
        u32_of(self.value)
    }

    /// The value as an IPv4 address.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.value).ok().map(Ipv4Addr::from)
    }

    /// The value as an IPv6 address (RFC 3162 section 2.1).
    #[must_use]
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        <[u8; 16]>::try_from(self.value).ok().map(Ipv6Addr::from)
    }

    /// The value as an IPv6 prefix (RFC 3162 section 2.3).
    #[must_use]
    pub fn ipv6_prefix(&self) -> Option<Ipv6Prefix> {
        Ipv6Prefix::from_octets(self.value)
    }

    /// The value as text, where it is UTF-8 (RFC 2865 section 5, data type "text").
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok()
    }
}

impl<'a> VendorAttribute<'a> {
    /// The value as a 32-bit number.
    #[must_use]
    pub fn u32(&self) -> Option<u32> {
        u32_of(self.value)
    }

    /// The value as text, where it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok()
    }
}

fn u32_of(value: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(value).ok().map(u32::from_be_bytes)
}

/// Walks the attributes of a packet in their order on the wire.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Walks octets that a packet's decoding has found sound; stops at a broken length.
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (attribute, rest) = Attribute::split(self.rest)?;
        self.rest = rest;
        Some(attribute)
    }
}

/// Walks the sub-attributes of all Vendor-Specific attributes, several to one where a vendor
/// packs them so (RFC 2865 section 5.26).
///
/// A Vendor-Specific attribute whose inside does not follow the recommended form ends at the first
/// octet that does not: RFC 2865 lets vendors put there what they like.
#[derive(Clone, Debug)]
pub struct VendorAttributes<'a> {
    outer: Attributes<'a>,
    vendor: Vendor,
    inner: &'a [u8],
}

impl<'a> VendorAttributes<'a> {
    pub(super) const fn new(outer: Attributes<'a>) -> Self {
        Self { outer, vendor: Vendor(0), inner: &[] }
    }
}

impl<'a> Iterator for VendorAttributes<'a> {
    type Item = VendorAttribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((found, rest)) = Attribute::split(self.inner) {
                self.inner = rest;
                let kind = VendorKind { vendor: self.vendor, kind: found.kind.0 };
                return Some(VendorAttribute { kind, value: found.value });
            }
            let next = self.outer.find(|attribute| attribute.kind == Kind::VENDOR_SPECIFIC)?;
            // An attribute too short for a vendor's number holds nothing to walk.
            let (number, inner) = next.value.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
            self.vendor = Vendor(u32::from_be_bytes(*number));
            self.inner = inner;
        }
    }
}

/// An IPv6 prefix whose bits behind its length are zero (RFC 3162 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv6Prefix {
    address: Ipv6Addr,
    length: u8,
}

impl Ipv6Prefix {
    /// A prefix; `None` where `length` is above 128 or a bit behind it is set.
    #[must_use]
    pub fn new(address: Ipv6Addr, length: u8) -> Option<Self> {
        if length > 128 {
            return None;
        }
        let host_bits = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
        (u128::from(address) & host_bits == 0).then_some(Self { address, length })
    }

    /// The first address of the prefix.
    #[must_use]
    pub const fn address(self) -> Ipv6Addr {
        self.address
    }

    /// Bits, 0 to 128.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Reads the attribute's form: a reserved octet, the length, then as many octets as the peer
    /// cares to send, at least those that the length needs, at most 16.
    #[must_use]
    pub fn from_octets(value: &[u8]) -> Option<Self> {
        let (&[_reserved, length], prefix) = value.split_first_chunk::<2>()?;
        let mut address = [0; 16];
        let given = address.get_mut(..prefix.len())?;
        given.copy_from_slice(prefix);
        if prefix.len() < usize::from(length).div_ceil(8) {
            return None;
        }
        Self::new(Ipv6Addr::from(address), length)
    }

    /// The attribute's form with all 16 octets of the address, which every NAS reads.
    #[must_use]
    pub const fn to_octets(self) -> [u8; 18] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.address.octets();
        [0, self.length, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

/// A 64-bit octet count from its low word and its Gigawords word (RFC 2869 sections 5.1 and 5.2).
///
/// Without a Gigawords attribute the count is the low word alone; without either there is none.
#[must_use]
pub fn octets64(low: Option<u32>, gigawords: Option<u32>) -> Option<u64> {
    match (low, gigawords) {
        (None, None) => None,
        (low, gigawords) => {
            let high = u64::from(gigawords.unwrap_or(0)) << 32;
            Some(high | u64::from(low.unwrap_or(0)))
        }
    }
}

impl Packet<'_> {
    /// The first attribute of a type as a 32-bit number.
    #[must_use]
    pub fn u32(&self, kind: Kind) -> Option<u32> {
        self.first(kind)?.u32()
    }

    /// A counter of 64 bits made of two attributes; see [`octets64`].
    #[must_use]
    pub fn octets64(&self, low: Kind, gigawords: Kind) -> Option<u64> {
        octets64(self.u32(low), self.u32(gigawords))
    }
}

macro_rules! kinds {
    ($($constant:ident = $number:literal $name:literal),+ $(,)?) => {
        /// The standard attribute types that code refers to; their RFCs are in the dictionary.
        impl Kind {
            $(#[doc = $name] pub const $constant: Self = Self($number);)+
        }

        #[cfg(test)]
        pub(super) const NAMED_KINDS: &[(&str, Kind)] = &[$(($name, Kind::$constant)),+];
    };
}

macro_rules! vendor_kinds {
    ($($vendor:ident { $($constant:ident = $number:literal $name:literal),+ $(,)? })+) => {
        /// The vendor types that code refers to.
        impl VendorKind {
            $($(
                #[doc = $name]
                pub const $constant: Self = Self { vendor: Vendor::$vendor, kind: $number };
            )+)+
        }

        #[cfg(test)]
        pub(super) const NAMED_VENDOR_KINDS: &[(&str, VendorKind)] =
            &[$($(($name, VendorKind::$constant)),+),+];
    };
}

impl Vendor {
    /// Cisco.
    pub const CISCO: Self = Self(9);
    /// Huawei.
    pub const HUAWEI: Self = Self(2011);
    /// Juniper's ERX and MX.
    pub const ERX: Self = Self(4874);
    /// Microsoft (RFC 2548).
    pub const MICROSOFT: Self = Self(311);
    /// The Wi-Fi Alliance's WISPr.
    pub const WISPR: Self = Self(14122);
    /// `ChilliSpot` and its heir `CoovaChilli`.
    pub const CHILLISPOT: Self = Self(14559);
    /// `MikroTik`.
    pub const MIKROTIK: Self = Self(14988);
}

kinds! {
    USER_NAME = 1 "User-Name",
    USER_PASSWORD = 2 "User-Password",
    CHAP_PASSWORD = 3 "CHAP-Password",
    NAS_IP_ADDRESS = 4 "NAS-IP-Address",
    NAS_PORT = 5 "NAS-Port",
    SERVICE_TYPE = 6 "Service-Type",
    FRAMED_PROTOCOL = 7 "Framed-Protocol",
    FRAMED_IP_ADDRESS = 8 "Framed-IP-Address",
    FRAMED_IP_NETMASK = 9 "Framed-IP-Netmask",
    FRAMED_ROUTING = 10 "Framed-Routing",
    FILTER_ID = 11 "Filter-Id",
    FRAMED_MTU = 12 "Framed-MTU",
    FRAMED_COMPRESSION = 13 "Framed-Compression",
    LOGIN_IP_HOST = 14 "Login-IP-Host",
    LOGIN_SERVICE = 15 "Login-Service",
    REPLY_MESSAGE = 18 "Reply-Message",
    FRAMED_ROUTE = 22 "Framed-Route",
    STATE = 24 "State",
    CLASS = 25 "Class",
    VENDOR_SPECIFIC = 26 "Vendor-Specific",
    SESSION_TIMEOUT = 27 "Session-Timeout",
    IDLE_TIMEOUT = 28 "Idle-Timeout",
    TERMINATION_ACTION = 29 "Termination-Action",
    CALLED_STATION_ID = 30 "Called-Station-Id",
    CALLING_STATION_ID = 31 "Calling-Station-Id",
    NAS_IDENTIFIER = 32 "NAS-Identifier",
    PROXY_STATE = 33 "Proxy-State",
    ACCT_STATUS_TYPE = 40 "Acct-Status-Type",
    ACCT_DELAY_TIME = 41 "Acct-Delay-Time",
    ACCT_INPUT_OCTETS = 42 "Acct-Input-Octets",
    ACCT_OUTPUT_OCTETS = 43 "Acct-Output-Octets",
    ACCT_SESSION_ID = 44 "Acct-Session-Id",
    ACCT_AUTHENTIC = 45 "Acct-Authentic",
    ACCT_SESSION_TIME = 46 "Acct-Session-Time",
    ACCT_INPUT_PACKETS = 47 "Acct-Input-Packets",
    ACCT_OUTPUT_PACKETS = 48 "Acct-Output-Packets",
    ACCT_TERMINATE_CAUSE = 49 "Acct-Terminate-Cause",
    ACCT_MULTI_SESSION_ID = 50 "Acct-Multi-Session-Id",
    ACCT_LINK_COUNT = 51 "Acct-Link-Count",
    ACCT_INPUT_GIGAWORDS = 52 "Acct-Input-Gigawords",
    ACCT_OUTPUT_GIGAWORDS = 53 "Acct-Output-Gigawords",
    EVENT_TIMESTAMP = 55 "Event-Timestamp",
    CHAP_CHALLENGE = 60 "CHAP-Challenge",
    NAS_PORT_TYPE = 61 "NAS-Port-Type",
    TUNNEL_PASSWORD = 69 "Tunnel-Password",
    CONNECT_INFO = 77 "Connect-Info",
    EAP_MESSAGE = 79 "EAP-Message",
    MESSAGE_AUTHENTICATOR = 80 "Message-Authenticator",
    ACCT_INTERIM_INTERVAL = 85 "Acct-Interim-Interval",
    NAS_PORT_ID = 87 "NAS-Port-Id",
    FRAMED_POOL = 88 "Framed-Pool",
    CHARGEABLE_USER_IDENTITY = 89 "Chargeable-User-Identity",
    NAS_IPV6_ADDRESS = 95 "NAS-IPv6-Address",
    FRAMED_INTERFACE_ID = 96 "Framed-Interface-Id",
    FRAMED_IPV6_PREFIX = 97 "Framed-IPv6-Prefix",
    FRAMED_IPV6_ROUTE = 99 "Framed-IPv6-Route",
    FRAMED_IPV6_POOL = 100 "Framed-IPv6-Pool",
    ERROR_CAUSE = 101 "Error-Cause",
    DELEGATED_IPV6_PREFIX = 123 "Delegated-IPv6-Prefix",
    FRAMED_IPV6_ADDRESS = 168 "Framed-IPv6-Address",
    DELEGATED_IPV6_PREFIX_POOL = 171 "Delegated-IPv6-Prefix-Pool",
    STATEFUL_IPV6_ADDRESS_POOL = 172 "Stateful-IPv6-Address-Pool",
}

vendor_kinds! {
    CISCO {
        CISCO_AVPAIR = 1 "Cisco-AVPair",
    }
    HUAWEI {
        HUAWEI_INPUT_AVERAGE_RATE = 2 "Huawei-Input-Average-Rate",
        HUAWEI_INPUT_PEAK_RATE = 3 "Huawei-Input-Peak-Rate",
        HUAWEI_OUTPUT_AVERAGE_RATE = 5 "Huawei-Output-Average-Rate",
        HUAWEI_OUTPUT_PEAK_RATE = 6 "Huawei-Output-Peak-Rate",
    }
    ERX {
        ERX_COS_SHAPING_PMT_TYPE = 108 "ERX-CoS-Shaping-Pmt-Type",
    }
    MICROSOFT {
        MS_CHAP_RESPONSE = 1 "MS-CHAP-Response",
        MS_CHAP_ERROR = 2 "MS-CHAP-Error",
        MS_MPPE_ENCRYPTION_POLICY = 7 "MS-MPPE-Encryption-Policy",
        MS_MPPE_ENCRYPTION_TYPES = 8 "MS-MPPE-Encryption-Types",
        MS_CHAP_CHALLENGE = 11 "MS-CHAP-Challenge",
        MS_CHAP_MPPE_KEYS = 12 "MS-CHAP-MPPE-Keys",
        MS_MPPE_SEND_KEY = 16 "MS-MPPE-Send-Key",
        MS_MPPE_RECV_KEY = 17 "MS-MPPE-Recv-Key",
        MS_CHAP2_RESPONSE = 25 "MS-CHAP2-Response",
        MS_CHAP2_SUCCESS = 26 "MS-CHAP2-Success",
    }
    WISPR {
        WISPR_LOCATION_ID = 1 "WISPr-Location-ID",
        WISPR_LOCATION_NAME = 2 "WISPr-Location-Name",
        WISPR_LOGOFF_URL = 3 "WISPr-Logoff-URL",
        WISPR_REDIRECTION_URL = 4 "WISPr-Redirection-URL",
        WISPR_BANDWIDTH_MAX_UP = 7 "WISPr-Bandwidth-Max-Up",
        WISPR_BANDWIDTH_MAX_DOWN = 8 "WISPr-Bandwidth-Max-Down",
        WISPR_SESSION_TERMINATE_TIME = 9 "WISPr-Session-Terminate-Time",
    }
    CHILLISPOT {
        CHILLISPOT_MAX_INPUT_OCTETS = 1 "ChilliSpot-Max-Input-Octets",
        CHILLISPOT_MAX_OUTPUT_OCTETS = 2 "ChilliSpot-Max-Output-Octets",
        CHILLISPOT_MAX_TOTAL_OCTETS = 3 "ChilliSpot-Max-Total-Octets",
        CHILLISPOT_BANDWIDTH_MAX_UP = 4 "ChilliSpot-Bandwidth-Max-Up",
        CHILLISPOT_BANDWIDTH_MAX_DOWN = 5 "ChilliSpot-Bandwidth-Max-Down",
        CHILLISPOT_MAX_INPUT_GIGAWORDS = 21 "ChilliSpot-Max-Input-Gigawords",
        CHILLISPOT_MAX_OUTPUT_GIGAWORDS = 22 "ChilliSpot-Max-Output-Gigawords",
        CHILLISPOT_MAX_TOTAL_GIGAWORDS = 23 "ChilliSpot-Max-Total-Gigawords",
    }
    MIKROTIK {
        MIKROTIK_RECV_LIMIT = 1 "Mikrotik-Recv-Limit",
        MIKROTIK_XMIT_LIMIT = 2 "Mikrotik-Xmit-Limit",
        MIKROTIK_GROUP = 3 "Mikrotik-Group",
        MIKROTIK_RATE_LIMIT = 8 "Mikrotik-Rate-Limit",
        MIKROTIK_HOST_IP = 10 "Mikrotik-Host-IP",
        MIKROTIK_RECV_LIMIT_GIGAWORDS = 14 "Mikrotik-Recv-Limit-Gigawords",
        MIKROTIK_XMIT_LIMIT_GIGAWORDS = 15 "Mikrotik-Xmit-Limit-Gigawords",
        MIKROTIK_TOTAL_LIMIT = 17 "Mikrotik-Total-Limit",
        MIKROTIK_TOTAL_LIMIT_GIGAWORDS = 18 "Mikrotik-Total-Limit-Gigawords",
        MIKROTIK_ADDRESS_LIST = 19 "Mikrotik-Address-List",
        MIKROTIK_DELEGATED_IPV6_POOL = 22 "Mikrotik-Delegated-IPv6-Pool",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(value: &[u8]) -> Attribute<'_> {
        Attribute { kind: Kind::CLASS, value }
    }

    #[test]
    fn a_number_or_an_address_of_the_wrong_length_is_none() {
        assert_eq!(attribute(&[0, 0, 1, 0]).u32(), Some(256));
        assert_eq!(attribute(&[10, 0, 0, 1]).ipv4(), Some(Ipv4Addr::new(10, 0, 0, 1)));
        for length in [0, 1, 3, 5, 8] {
            assert_eq!(attribute(&vec![0; length]).u32(), None);
            assert_eq!(attribute(&vec![0; length]).ipv4(), None);
        }
        assert_eq!(attribute(&[0; 15]).ipv6(), None);
        assert_eq!(attribute(&[0; 16]).ipv6(), Some(Ipv6Addr::UNSPECIFIED));
    }

    #[test]
    fn text_that_is_not_utf8_is_none_and_not_repaired() {
        assert_eq!(attribute("Zoë".as_bytes()).text(), Some("Zoë"));
        assert_eq!(attribute(&[b'a', 0xff]).text(), None);
    }

    #[test]
    fn rfc3162_s2_3_a_prefix_may_leave_out_trailing_zero_octets() {
        let short = attribute(&[0, 60, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0x10]).ipv6_prefix().unwrap();
        assert_eq!(short.length(), 60);
        assert_eq!(short.address(), "2001:db8:0:10::".parse::<Ipv6Addr>().unwrap());
        assert_eq!(attribute(&short.to_octets()).ipv6_prefix(), Some(short));
    }

    #[test]
    fn rfc3162_s2_3_a_prefix_with_host_bits_or_too_few_octets_is_none() {
        assert_eq!(attribute(&[0, 60, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0x11]).ipv6_prefix(), None);
        assert_eq!(attribute(&[0, 64, 0x20, 1]).ipv6_prefix(), None);
        assert_eq!(attribute(&[0, 129]).ipv6_prefix(), None);
        assert_eq!(attribute(&[0, 0]).ipv6_prefix().unwrap().length(), 0);
        assert_eq!(attribute(&[0; 19]).ipv6_prefix(), None);
    }

    #[test]
    fn rule_24_octets_705_032_704_and_one_gigaword_are_5_000_000_000() {
        assert_eq!(octets64(Some(705_032_704), Some(1)), Some(5_000_000_000));
        assert_eq!(octets64(Some(0), Some(1)), Some(1 << 32), "a low word of zero is no end of the count");
    }

    #[test]
    fn rfc2869_s5_1_gigawords_are_the_high_word() {
        assert_eq!(octets64(Some(705_032_704), Some(1)), Some(5_000_000_000));
        assert_eq!(octets64(Some(u32::MAX), Some(u32::MAX)), Some(u64::MAX));
        assert_eq!(octets64(Some(7), None), Some(7));
        assert_eq!(octets64(None, Some(1)), Some(4_294_967_296));
        assert_eq!(octets64(None, None), None);
    }

    #[test]
    fn rfc2865_s5_26_several_sub_attributes_in_one_vendor_attribute_are_all_found() {
        let octets = [
            &[26u8, 14, 0, 0, 0x3a, 0x8c, 3, 3, b'g', 8, 5, b'1', b'/', b'2'][..],
            &[1, 3, b'a'],
            &[26, 5, 0, 0, 1],
            &[26, 9, 0, 0, 1, 0x37, 2, 3, b'e'],
        ]
        .concat();
        let found: Vec<_> = VendorAttributes::new(Attributes::new(&octets)).collect();
        assert_eq!(
            found,
            [
                VendorAttribute { kind: VendorKind::MIKROTIK_GROUP, value: b"g" },
                VendorAttribute { kind: VendorKind::MIKROTIK_RATE_LIMIT, value: b"1/2" },
                VendorAttribute { kind: VendorKind::MS_CHAP_ERROR, value: b"e" },
            ]
        );
    }

    #[test]
    fn rfc2865_s5_26_a_vendor_attribute_ends_where_its_form_breaks() {
        let octets = [26u8, 12, 0, 0, 0x3a, 0x8c, 3, 3, b'g', 8, 9, b'x'];
        assert_eq!(VendorAttributes::new(Attributes::new(&octets)).count(), 1);
    }
}
