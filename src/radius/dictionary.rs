//! Names for numbers: what an attribute is called, what type it has, what its values mean.
//!
//! For people: logs, `why`, the command line, tests. Code that decides uses the constants of
//! [`super::attribute`]. The tables are files in the form that FreeRADIUS made common, built into
//! the program; [`Dictionary::parse`] reads further ones of that form. Flag `secret`, our own, marks
//! what is not hidden on the wire and yet must not be shown.
//!
//! The one rule: describing an attribute never shows a password, a key, or what proves one.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use super::attribute::{Attribute, Kind, Vendor, VendorAttribute, VendorKind};
use super::packet::Packet;

/// Names, types and values of attributes.
#[derive(Debug, Default)]
pub struct Dictionary {
    by_number: HashMap<Number, Definition>,
    by_name: HashMap<String, Number>,
    vendors: HashMap<String, Vendor>,
    value_names: HashMap<(Number, u32), String>,
    value_numbers: HashMap<(Number, String), u32>,
}

/// One attribute's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The name, in the spelling of its RFC or vendor.
    pub name: String,
    /// The number on the wire.
    pub number: Number,
    /// The type of its value.
    pub value: ValueType,
    /// True where the first octet is a tag (RFC 2868 section 3.1).
    pub tagged: bool,
    /// True where the value must not be shown.
    pub secret: bool,
}

/// An attribute's number: standard, or a vendor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Number {
    /// A standard attribute.
    Standard(Kind),
    /// A vendor's attribute.
    Vendor(VendorKind),
}

/// The types of values (RFC 8044 section 3) that the tables use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Text.
    Text,
    /// Any octets.
    Octets,
    /// A 32-bit number, perhaps with names.
    Integer,
    /// A 64-bit number.
    Integer64,
    /// Seconds since 1970, UTC.
    Date,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An IPv6 prefix.
    Ipv6Prefix,
    /// An IPv6 interface identifier, 8 octets.
    InterfaceId,
    /// Vendor-Specific itself.
    VendorSpecific,
}

/// Why a line is not an entry. The fault of whoever wrote the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {reason}")]
pub struct DictionaryError {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: LineFault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Not a keyword, or not as many words as it needs.
    #[error("not an ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR or END-VENDOR with its words")]
    Form,
    /// A number that is none, or is out of range.
    #[error("{0:?} is not a number in range")]
    Number(String),
    /// A type that is not known.
    #[error("the type {0:?} is not known")]
    Type(String),
    /// A flag that is not known.
    #[error("the flag {0:?} is not known")]
    Flag(String),
    /// A name that no line before has introduced.
    #[error("{0:?} has not been introduced")]
    Unknown(String),
    /// A name or number that a line before has taken.
    #[error("{0:?} or its number is taken already")]
    Taken(String),
}

impl Dictionary {
    /// The tables built into the program.
    #[must_use]
    pub fn builtin() -> &'static Self {
        /// A test holds that the files parse; were they not to, numbers are shown without names.
        static BUILTIN: LazyLock<Dictionary> =
            LazyLock::new(|| Dictionary::parse(&BUILTIN_FILES).unwrap_or_default());
        &BUILTIN
    }

    /// Reads files, each a name and its text, later ones building on earlier ones.
    ///
    /// # Errors
    /// The first line that is not an entry.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, DictionaryError> {
        let mut dictionary = Self::default();
        for (file, text) in files {
            let mut vendor = None;
            for (index, line) in text.lines().enumerate() {
                dictionary.read_line(line, &mut vendor).map_err(|reason| DictionaryError {
                    file: (*file).to_owned(),
                    line: index + 1,
                    reason,
                })?;
            }
        }
        Ok(dictionary)
    }

    /// A standard attribute's entry.
    #[must_use]
    pub fn attribute(&self, kind: Kind) -> Option<&Definition> {
        self.by_number.get(&Number::Standard(kind))
    }

    /// A vendor attribute's entry.
    #[must_use]
    pub fn vendor_attribute(&self, kind: VendorKind) -> Option<&Definition> {
        self.by_number.get(&Number::Vendor(kind))
    }

    /// The entry of a name, in whatever case.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Definition> {
        self.by_name.get(&name.to_ascii_lowercase()).and_then(|number| self.by_number.get(number))
    }

    /// A vendor's number by name, in whatever case.
    #[must_use]
    pub fn vendor(&self, name: &str) -> Option<Vendor> {
        self.vendors.get(&name.to_ascii_lowercase()).copied()
    }

    /// The name of an attribute's value.
    #[must_use]
    pub fn value_name(&self, number: Number, value: u32) -> Option<&str> {
        self.value_names.get(&(number, value)).map(String::as_str)
    }

    /// The number of an attribute's named value, in whatever case.
    #[must_use]
    pub fn value_number(&self, number: Number, name: &str) -> Option<u32> {
        self.value_numbers.get(&(number, name.to_ascii_lowercase())).copied()
    }

    /// All entries, in no order.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.by_number.values()
    }

    /// A packet's attributes as lines "Name = value", for people; secrets are not shown.
    #[must_use]
    pub fn describe(&self, packet: &Packet<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for attribute in packet.attributes() {
            if attribute.kind != Kind::VENDOR_SPECIFIC {
                lines.push(self.describe_attribute(&attribute));
            }
        }
        lines.extend(packet.vendor_attributes().map(|found| self.describe_vendor(&found)));
        lines
    }

    /// A standard attribute as "Name = value"; "Attr-n" where it has no name.
    #[must_use]
    pub fn describe_attribute(&self, attribute: &Attribute<'_>) -> String {
        let number = Number::Standard(attribute.kind);
        self.describe_value(number, attribute.value, || format!("Attr-{}", attribute.kind.0))
    }

    /// A vendor's attribute as "Name = value"; "Vendor-v-Attr-n" where it has no name.
    #[must_use]
    pub fn describe_vendor(&self, found: &VendorAttribute<'_>) -> String {
        let VendorKind { vendor, kind } = found.kind;
        let nameless = || format!("Vendor-{}-Attr-{kind}", vendor.0);
        self.describe_value(Number::Vendor(found.kind), found.value, nameless)
    }

    fn describe_value(&self, number: Number, value: &[u8], nameless: impl Fn() -> String) -> String {
        let Some(definition) = self.by_number.get(&number) else {
            return format!("{} = {}", nameless(), hex(value));
        };
        let shown = if definition.secret { "(hidden)".to_owned() } else { self.show(definition, value) };
        format!("{} = {shown}", definition.name)
    }

    /// The value in its type's form; hexadecimal where it does not have it.
    fn show(&self, definition: &Definition, value: &[u8]) -> String {
        let attribute = Attribute { kind: Kind(0), value };
        let shown = match definition.value {
            // A tag's octet stands where the type expects its own; that is not guessed at.
            _ if definition.tagged => None,
            ValueType::Text => attribute.text().map(|text| format!("{text:?}")),
            ValueType::Integer | ValueType::Date => attribute.u32().map(|value| {
                let name = self.value_name(definition.number, value).map(str::to_owned);
                name.unwrap_or_else(|| value.to_string())
            }),
            ValueType::Integer64 => {
                <[u8; 8]>::try_from(value).ok().map(|octets| u64::from_be_bytes(octets).to_string())
            }
            ValueType::Ipv4 => attribute.ipv4().map(|address| address.to_string()),
            ValueType::Ipv6 => attribute.ipv6().map(|address| address.to_string()),
            ValueType::Ipv6Prefix => {
                attribute.ipv6_prefix().map(|prefix| format!("{}/{}", prefix.address(), prefix.length()))
            }
            ValueType::Octets | ValueType::InterfaceId | ValueType::VendorSpecific => None,
        };
        shown.unwrap_or_else(|| hex(value))
    }

    fn read_line(&mut self, line: &str, vendor: &mut Option<Vendor>) -> Result<(), LineFault> {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => Ok(()),
            ["ATTRIBUTE", name, number, kind] => self.add_attribute(name, number, kind, "", *vendor),
            ["ATTRIBUTE", name, number, kind, flags] => {
                self.add_attribute(name, number, kind, flags, *vendor)
            }
            ["VALUE", attribute, name, number] => self.add_value(attribute, name, number),
            ["VENDOR", name, number] => self.add_vendor(name, number),
            ["BEGIN-VENDOR", name] => {
                let found = self.vendor(name).ok_or_else(|| LineFault::Unknown((*name).to_owned()))?;
                *vendor = Some(found);
                Ok(())
            }
            ["END-VENDOR", _] => {
                *vendor = None;
                Ok(())
            }
            _ => Err(LineFault::Form),
        }
    }

    fn add_attribute(
        &mut self,
        name: &str,
        number: &str,
        kind: &str,
        flags: &str,
        vendor: Option<Vendor>,
    ) -> Result<(), LineFault> {
        let on_wire: u8 = number.parse().map_err(|_| LineFault::Number(number.to_owned()))?;
        let value = ValueType::named(kind).ok_or_else(|| LineFault::Type(kind.to_owned()))?;
        let number = vendor.map_or(Number::Standard(Kind(on_wire)), |vendor| {
            Number::Vendor(VendorKind { vendor, kind: on_wire })
        });
        let (mut tagged, mut secret) = (false, false);
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "has_tag" => tagged = true,
                "encrypt=1" | "encrypt=2" | "secret" => secret = true,
                other => return Err(LineFault::Flag(other.to_owned())),
            }
        }
        let taken = || LineFault::Taken(name.to_owned());
        if self.by_name.insert(name.to_ascii_lowercase(), number).is_some() {
            return Err(taken());
        }
        let definition = Definition { name: name.to_owned(), number, value, tagged, secret };
        if self.by_number.insert(number, definition).is_some() {
            return Err(taken());
        }
        Ok(())
    }

    fn add_value(&mut self, attribute: &str, name: &str, value: &str) -> Result<(), LineFault> {
        let number = self.by_name(attribute).map(|definition| definition.number);
        let number = number.ok_or_else(|| LineFault::Unknown(attribute.to_owned()))?;
        let value: u32 = value.parse().map_err(|_| LineFault::Number(value.to_owned()))?;
        let taken = || LineFault::Taken(name.to_owned());
        if self.value_names.insert((number, value), name.to_owned()).is_some() {
            return Err(taken());
        }
        if self.value_numbers.insert((number, name.to_ascii_lowercase()), value).is_some() {
            return Err(taken());
        }
        Ok(())
    }

    fn add_vendor(&mut self, name: &str, number: &str) -> Result<(), LineFault> {
        let vendor = number.parse().map(Vendor).map_err(|_| LineFault::Number(number.to_owned()))?;
        match self.vendors.insert(name.to_ascii_lowercase(), vendor) {
            None => Ok(()),
            Some(_) => Err(LineFault::Taken(name.to_owned())),
        }
    }
}

impl ValueType {
    fn named(name: &str) -> Option<Self> {
        match name {
            "string" | "text" => Some(Self::Text),
            "octets" => Some(Self::Octets),
            "integer" => Some(Self::Integer),
            "integer64" => Some(Self::Integer64),
            "date" => Some(Self::Date),
            "ipaddr" => Some(Self::Ipv4),
            "ipv6addr" => Some(Self::Ipv6),
            "ipv6prefix" => Some(Self::Ipv6Prefix),
            "ifid" => Some(Self::InterfaceId),
            "vsa" => Some(Self::VendorSpecific),
            _ => None,
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold("0x".to_owned(), |mut text, octet| {
        // Writing to a String does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// The files, in the order in which they build on one another.
const BUILTIN_FILES: [(&str, &str); 16] = [
    ("standard.dict", include_str!("dictionary/standard.dict")),
    ("microsoft.dict", include_str!("dictionary/microsoft.dict")),
    ("wispr.dict", include_str!("dictionary/wispr.dict")),
    ("chillispot.dict", include_str!("dictionary/chillispot.dict")),
    ("mikrotik.dict", include_str!("dictionary/mikrotik.dict")),
    ("cisco.dict", include_str!("dictionary/cisco.dict")),
    ("huawei.dict", include_str!("dictionary/huawei.dict")),
    ("h3c.dict", include_str!("dictionary/h3c.dict")),
    ("zte.dict", include_str!("dictionary/zte.dict")),
    ("erx.dict", include_str!("dictionary/erx.dict")),
    ("juniper.dict", include_str!("dictionary/juniper.dict")),
    ("ruckus.dict", include_str!("dictionary/ruckus.dict")),
    ("aruba.dict", include_str!("dictionary/aruba.dict")),
    ("cambium.dict", include_str!("dictionary/cambium.dict")),
    ("nokia.dict", include_str!("dictionary/nokia.dict")),
    ("pfsense.dict", include_str!("dictionary/pfsense.dict")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::attribute::{NAMED_KINDS, NAMED_VENDOR_KINDS};

    fn fault(text: &str) -> (usize, LineFault) {
        let error = Dictionary::parse(&[("test.dict", text)]).unwrap_err();
        assert_eq!(error.file, "test.dict");
        (error.line, error.reason)
    }

    #[test]
    fn the_built_in_files_parse_and_are_not_empty() {
        let dictionary = Dictionary::parse(&BUILTIN_FILES).unwrap();
        assert!(dictionary.definitions().count() > 1_000);
        for vendor in
            ["Cisco", "Huawei", "H3C", "ZTE", "ERX", "Juniper", "Ruckus", "Aruba", "Cambium", "pfSense"]
        {
            assert!(dictionary.vendor(vendor).is_some(), "{vendor}");
        }
    }

    #[test]
    fn every_constant_has_the_dictionarys_number_under_its_name() {
        for (name, kind) in NAMED_KINDS {
            let definition = Dictionary::builtin().by_name(name).unwrap();
            assert_eq!(definition.number, Number::Standard(*kind), "{name}");
        }
        for (name, kind) in NAMED_VENDOR_KINDS {
            let definition = Dictionary::builtin().by_name(name).unwrap();
            assert_eq!(definition.number, Number::Vendor(*kind), "{name}");
        }
    }

    #[test]
    fn names_and_numbers_are_found_both_ways_in_any_case() {
        let dictionary = Dictionary::builtin();
        assert_eq!(dictionary.attribute(Kind::CLASS).unwrap().name, "Class");
        let rate = dictionary.by_name("mikrotik-rate-limit").unwrap();
        assert_eq!(rate.number, Number::Vendor(VendorKind::MIKROTIK_RATE_LIMIT));
        assert_eq!(dictionary.vendor_attribute(VendorKind::MIKROTIK_RATE_LIMIT), Some(rate));
        assert_eq!(dictionary.vendor("wispr"), Some(Vendor::WISPR));
        let status = Number::Standard(Kind::ACCT_STATUS_TYPE);
        assert_eq!(dictionary.value_name(status, 3), Some("Interim-Update"));
        assert_eq!(dictionary.value_number(status, "interim-update"), Some(3));
    }

    #[test]
    fn describing_never_shows_a_secret() {
        let dictionary = Dictionary::builtin();
        for kind in [Kind::USER_PASSWORD, Kind::CHAP_PASSWORD, Kind::TUNNEL_PASSWORD] {
            let line = dictionary.describe_attribute(&Attribute { kind, value: b"hunter2" });
            assert!(line.ends_with(" = (hidden)"), "{line}");
        }
        let kind = VendorKind::MS_MPPE_SEND_KEY;
        let line = dictionary.describe_vendor(&VendorAttribute { kind, value: b"key" });
        assert_eq!(line, "MS-MPPE-Send-Key = (hidden)");
    }

    #[test]
    fn values_are_described_in_their_types_form() {
        let dictionary = Dictionary::builtin();
        let line = |kind, value: &[u8]| dictionary.describe_attribute(&Attribute { kind, value });
        assert_eq!(line(Kind::USER_NAME, b"al\"ice"), r#"User-Name = "al\"ice""#);
        assert_eq!(line(Kind::ACCT_STATUS_TYPE, &[0, 0, 0, 2]), "Acct-Status-Type = Stop");
        assert_eq!(line(Kind::ACCT_STATUS_TYPE, &[0, 0, 0, 99]), "Acct-Status-Type = 99");
        assert_eq!(line(Kind::FRAMED_IP_ADDRESS, &[10, 0, 0, 7]), "Framed-IP-Address = 10.0.0.7");
        assert_eq!(line(Kind::FRAMED_IP_ADDRESS, &[10]), "Framed-IP-Address = 0x0a");
        let prefix = [0, 48, 0x20, 1, 0xd, 0xb8, 0, 7];
        assert_eq!(line(Kind::DELEGATED_IPV6_PREFIX, &prefix), "Delegated-IPv6-Prefix = 2001:db8:7::/48");
        assert_eq!(line(Kind(250), &[1, 2]), "Attr-250 = 0x0102");
        let kind = VendorKind { vendor: Vendor(99_999), kind: 1 };
        assert_eq!(
            dictionary.describe_vendor(&VendorAttribute { kind, value: b"a" }),
            "Vendor-99999-Attr-1 = 0x61"
        );
    }

    #[test]
    fn a_line_that_is_no_entry_is_named_with_its_number() {
        assert_eq!(fault("# fine\nATTRIBUTE A"), (2, LineFault::Form));
        assert_eq!(fault("ATTRIBUTE A 256 string"), (1, LineFault::Number("256".into())));
        assert_eq!(fault("ATTRIBUTE A 1 float"), (1, LineFault::Type("float".into())));
        assert_eq!(fault("ATTRIBUTE A 1 string x"), (1, LineFault::Flag("x".into())));
        assert_eq!(fault("VALUE A b 1"), (1, LineFault::Unknown("A".into())));
        assert_eq!(fault("BEGIN-VENDOR V"), (1, LineFault::Unknown("V".into())));
        let twice = "ATTRIBUTE A 1 string\nATTRIBUTE B 1 string";
        assert_eq!(fault(twice), (2, LineFault::Taken("B".into())));
    }
}
