//! Attribute-value pairs inside EAP-TTLS (RFC 5281 section 10): Diameter's form of RADIUS' attributes.

/// One pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avp<'a> {
    /// 0 for RADIUS' own attributes.
    pub(super) vendor: u32,
    pub(super) code: u32,
    /// The peer must not go on where this one is not understood.
    pub(super) mandatory: bool,
    pub(super) value: &'a [u8],
}

/// Reads all pairs; `None` where their lengths do not fit, or there are too many.
pub(super) fn read(mut octets: &[u8]) -> Option<Vec<Avp<'_>>> {
    let mut found = Vec::new();
    while !octets.is_empty() {
        if found.len() >= MOST_PAIRS {
            return None;
        }
        let (&[a, b, c, d, flags, high, middle, low], _) = octets.split_first_chunk::<8>()?;
        let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
        let whole = octets.get(..length)?;
        let rest = whole.get(8..)?;
        let (vendor, value) = if flags & VENDOR == 0 {
            (0, rest)
        } else {
            let (vendor, value) = rest.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*vendor), value)
        };
        found.push(Avp {
            vendor,
            code: u32::from_be_bytes([a, b, c, d]),
            mandatory: flags & MANDATORY != 0,
            value,
        });
        // The last pair's padding may be left out.
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

/// One pair, mandatory, padded.
pub(super) fn write(vendor: u32, code: u32, value: &[u8]) -> Vec<u8> {
    let mut octets = code.to_be_bytes().to_vec();
    let head = if vendor == 0 { 8 } else { 12 };
    // Nothing we write comes near 16 MiB.
    let length = u32::try_from(head + value.len()).unwrap_or(0);
    let [_, high, middle, low] = length.to_be_bytes();
    let flags = if vendor == 0 { MANDATORY } else { MANDATORY | VENDOR };
    octets.extend_from_slice(&[flags, high, middle, low]);
    if vendor != 0 {
        octets.extend_from_slice(&vendor.to_be_bytes());
    }
    octets.extend_from_slice(value);
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

const VENDOR: u8 = 0x80;
const MANDATORY: u8 = 0x40;
/// A login has five or so.
const MOST_PAIRS: usize = 32;

#[cfg(test)]
mod rfc5281_s10_tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_padded_or_not() {
        let octets = [write(0, 1, b"ada"), write(311, 25, &[7; 50])].concat();
        assert_eq!(octets.len() % 4, 0);
        let expected = [
            Avp { vendor: 0, code: 1, mandatory: true, value: b"ada" },
            Avp { vendor: 311, code: 25, mandatory: true, value: &[7; 50] },
        ];
        assert_eq!(read(&octets).unwrap(), expected);
        // 12 and 50 octets: two of padding at the very end.
        assert_eq!(read(&octets[..octets.len() - 2]).unwrap(), expected);
        assert_eq!(read(&[]).unwrap(), []);
    }

    #[test]
    fn lengths_that_do_not_fit_are_no_pairs() {
        for bad in [
            &[0, 0, 0, 1, 0, 0, 0][..],
            &[0, 0, 0, 1, 0, 0, 0, 7],
            &[0, 0, 0, 1, 0, 0, 0, 9],
            &[0, 0, 0, 1, 0x80, 0, 0, 11, 1, 2, 3],
            &[0, 0, 0, 1, 0, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(&write(0, 1, b"").repeat(33)), None);
        assert_eq!(read(&write(0, 1, b"").repeat(32)).unwrap().len(), 32);
    }
}
