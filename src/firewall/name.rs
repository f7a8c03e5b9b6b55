//! Names of interfaces and hardware addresses, parsed once at the border. No name that passes here
//! means anything else to `nft` or to the kernel than itself: not a wildcard, not a variable, not a
//! quote, not a host to resolve. The one rule: a name that is not plain is refused, never escaped.

use std::fmt;
use std::str::FromStr;

/// IFNAMSIZ without the closing NUL.
const LONGEST_NAME: usize = 15;

/// Why a text is not the name of an interface, or not a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or longer than the kernel keeps.
    #[error("an interface name has 1 to {LONGEST_NAME} characters, {0:?} has not")]
    Length(String),
    /// A character that a name may have for the kernel but not for us.
    #[error("an interface name is made of letters, digits, '.', '_', '-', and {0:?} is not")]
    Character(String),
    /// `*` alone would make the uplink an access interface.
    #[error("a pattern needs letters or digits before its '*', {0:?} has none")]
    Everything(String),
    /// Not six pairs of hexadecimal digits.
    #[error("a hardware address is six pairs of hexadecimal digits with ':' between, {0:?} is not")]
    Mac(String),
    /// Zero, or a group of devices.
    #[error("{0} is not the hardware address of one device")]
    NotOneDevice(Mac),
}

/// The name of one interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that the kernel reported.
    ///
    /// # Errors
    /// When it is none that we would have accepted from a person.
    pub fn from_octets(octets: &[u8]) -> Result<Self, NameError> {
        let name = octets.split(|octet| *octet == 0).next().unwrap_or(&[]);
        String::from_utf8_lossy(name).parse()
    }
}

impl FromStr for InterfaceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > LONGEST_NAME {
            return Err(NameError::Length(text.to_owned()));
        }
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-');
        // "." and ".." are no names to the kernel, and a leading "-" is an option to every program.
        let stands_alone = !text.bytes().all(|octet| octet == b'.') && !text.starts_with('-');
        if !text.bytes().all(plain) || !stands_alone {
            return Err(NameError::Character(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One interface, or all whose names begin alike (`vlan*`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfacePattern {
    /// This one.
    Exactly(InterfaceName),
    /// Every one whose name begins so, also those that come later.
    BeginsWith(InterfaceName),
}

impl InterfacePattern {
    /// Whether the interface is meant.
    #[must_use]
    pub fn matches(&self, name: &InterfaceName) -> bool {
        match self {
            Self::Exactly(this) => this == name,
            Self::BeginsWith(start) => name.as_str().starts_with(start.as_str()),
        }
    }

    /// Whether some name could be meant by both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (pattern, Self::Exactly(name)) | (Self::Exactly(name), pattern) => pattern.matches(name),
            (Self::BeginsWith(a), Self::BeginsWith(b)) => {
                a.as_str().starts_with(b.as_str()) || b.as_str().starts_with(a.as_str())
            }
        }
    }
}

impl FromStr for InterfacePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.strip_suffix('*') {
            Some("") => Err(NameError::Everything(text.to_owned())),
            Some(start) => Ok(Self::BeginsWith(start.parse()?)),
            None => Ok(Self::Exactly(text.parse()?)),
        }
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(name) => write!(f, "{name}"),
            Self::BeginsWith(start) => write!(f, "{start}*"),
        }
    }
}

/// The hardware address of one device: neither zero nor a group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address with these octets.
    ///
    /// # Errors
    /// When it is zero, or a group address (its lowest bit of the first octet is set).
    pub fn new(octets: [u8; 6]) -> Result<Self, NameError> {
        let [first, ..] = octets;
        if octets == [0; 6] || first & 1 == 1 {
            return Err(NameError::NotOneDevice(Self(octets)));
        }
        Ok(Self(octets))
    }

    /// Its octets, in the order they are sent.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for Mac {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Mac(text.chars().take(40).collect());
        let mut octets = [0; 6];
        let mut pairs = text.split(':');
        for octet in &mut octets {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or_else(wrong)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *octet = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        if pairs.next().is_some() {
            return Err(wrong());
        }
        Self::new(octets)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_names() {
        for good in ["lan0", "eth0.100", "br-lan", "wlan0_guest", "a", "abcdefghijklmno"] {
            assert_eq!(good.parse::<InterfaceName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "abcdefghijklmnop",
            "lan*",
            "*",
            "a b",
            "a\"b",
            "a;b",
            "@set",
            "$x",
            "..",
            ".",
            "-x",
            "a/b",
            "a\n",
            "ä",
            "{",
            "lan0\\*",
        ] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pattern_ends_in_one_star_and_never_means_everything() {
        let vlan: InterfacePattern = "vlan*".parse().unwrap();
        assert!(vlan.matches(&"vlan7".parse().unwrap()));
        assert!(!vlan.matches(&"lan7".parse().unwrap()));
        assert!("*".parse::<InterfacePattern>().is_err());
        assert!("v*n*".parse::<InterfacePattern>().is_err());
        assert!("vlan**".parse::<InterfacePattern>().is_err());
        assert!(vlan.overlaps(&"vlan7".parse().unwrap()));
        assert!(vlan.overlaps(&"vlan1*".parse().unwrap()));
        assert!(!vlan.overlaps(&"eth0".parse().unwrap()));
    }

    #[test]
    fn a_hardware_address_is_of_one_device() {
        let mac: Mac = "02:AB:00:00:00:0f".parse().unwrap();
        assert_eq!(mac.to_string(), "02:ab:00:00:00:0f");
        for bad in [
            "",
            "02:ab:00:00:00",
            "02:ab:00:00:00:0f:11",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "01:00:5e:00:00:01",
            "2:ab:0:0:0:f",
            "+2:ab:00:00:00:0f",
            "02-ab-00-00-00-0f",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad:?}");
        }
    }
}
