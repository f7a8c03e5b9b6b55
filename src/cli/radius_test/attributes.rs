//! Attributes as a person writes them, `Name=value`, by the dictionary.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::cli::error::CliError;
use crate::radius::dictionary::{Definition, Number, ValueType};
use crate::radius::{Dictionary, EncodeError, Writer};

/// An attribute ready to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    number: Number,
    octets: Vec<u8>,
}

/// All of them, or the first that cannot be understood.
pub(super) fn parse(texts: &[String]) -> Result<Vec<Given>, CliError> {
    texts.iter().map(|text| one(text)).collect()
}

/// Appends them to a request.
pub(super) fn write(given: &[Given], writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    given.iter().try_for_each(|one| match one.number {
        Number::Standard(kind) => writer.octets(kind, &one.octets),
        Number::Vendor(kind) => writer.vendor(kind, &one.octets),
    })
}

fn one(text: &str) -> Result<Given, CliError> {
    let wrong = |why: &str| CliError::Usage(format!("--attribute {text:?}: {why}"));
    let (name, value) =
        text.split_once('=').ok_or_else(|| wrong("write NAME=VALUE, as NAS-Port-Type=Ethernet"))?;
    let dictionary = Dictionary::builtin();
    let definition =
        dictionary.by_name(name.trim()).ok_or_else(|| wrong("the dictionary does not know this name"))?;
    let octets =
        octets(dictionary, definition, value.trim()).ok_or_else(|| wrong(expected(definition.value)))?;
    Ok(Given { number: definition.number, octets })
}

fn octets(dictionary: &Dictionary, definition: &Definition, value: &str) -> Option<Vec<u8>> {
    match definition.value {
        ValueType::Text => Some(value.as_bytes().to_vec()),
        ValueType::Octets | ValueType::InterfaceId => hexadecimal(value),
        ValueType::Integer | ValueType::Date => {
            let named = dictionary.value_number(definition.number, value);
            named.or_else(|| value.parse().ok()).map(|number| number.to_be_bytes().to_vec())
        }
        ValueType::Integer64 => value.parse::<u64>().ok().map(|number| number.to_be_bytes().to_vec()),
        ValueType::Ipv4 => value.parse::<Ipv4Addr>().ok().map(|address| address.octets().to_vec()),
        ValueType::Ipv6 => value.parse::<Ipv6Addr>().ok().map(|address| address.octets().to_vec()),
        ValueType::Ipv6Prefix | ValueType::VendorSpecific => None,
    }
}

fn hexadecimal(value: &str) -> Option<Vec<u8>> {
    let digits = value.strip_prefix("0x").unwrap_or(value);
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())).collect()
}

const fn expected(value: ValueType) -> &'static str {
    match value {
        ValueType::Text => "a text is expected",
        ValueType::Octets | ValueType::InterfaceId => "octets in hexadecimal are expected, as 0x01ff",
        ValueType::Integer => "a number or one of its names is expected",
        ValueType::Integer64 => "a number is expected",
        ValueType::Date => "seconds since 1970 are expected",
        ValueType::Ipv4 => "an IPv4 address is expected",
        ValueType::Ipv6 => "an IPv6 address is expected",
        ValueType::Ipv6Prefix | ValueType::VendorSpecific => "this type cannot be given here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::Kind;

    #[test]
    fn attributes_are_read_by_name_and_type() {
        let given = one("nas-port-type = Ethernet").unwrap();
        assert_eq!(given, Given { number: Number::Standard(Kind::NAS_PORT_TYPE), octets: vec![0, 0, 0, 15] });
        assert_eq!(one("Framed-IP-Address=192.0.2.7").unwrap().octets, [192, 0, 2, 7]);
        assert_eq!(one("Class=0x01fF").unwrap().octets, [1, 255]);
        assert_eq!(one("Calling-Station-Id=a=b").unwrap().octets, b"a=b");
    }

    #[test]
    fn what_is_not_understood_says_what_was_expected() {
        let told = |text: &str| one(text).unwrap_err().to_string();
        assert!(told("NAS-Port").contains("NAME=VALUE"));
        assert!(told("No-Such=1").contains("does not know"));
        assert!(told("Framed-IP-Address=x").contains("IPv4"));
        assert!(told("Class=é").contains("hexadecimal"));
    }
}
