//! The names in a device's certificate that a login may have (RFC 5216 section 5.2).

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Every name, the likeliest first: mail address and user principal name of the alternative names, host names, then
/// the common name of the subject.
pub(super) fn names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> = Vec::new();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names).take(MOST_NAMES) {
        if let GeneralName::RFC822Name(text) | GeneralName::DNSName(text) = name {
            names.push((*text).to_owned());
        }
        if let GeneralName::OtherName(oid, value) = name
            && oid.to_id_string() == USER_PRINCIPAL_NAME
        {
            names.extend(principal(value));
        }
    }
    let common = certificate.subject().iter_common_name().take(MOST_NAMES);
    names.extend(common.filter_map(|name| name.as_str().ok().map(str::to_owned)));
    names
}

/// `[0] EXPLICIT UTF8String`, as Microsoft writes it.
fn principal(value: &[u8]) -> Option<String> {
    let inner = match value {
        [0xa0, length, rest @ ..] if rest.len() == usize::from(*length) => rest,
        other => other,
    };
    match inner {
        [0x0c, length, text @ ..] if text.len() == usize::from(*length) => {
            std::str::from_utf8(text).ok().map(str::to_owned)
        }
        _ => None,
    }
}

/// Microsoft's user principal name.
const USER_PRINCIPAL_NAME: &str = "1.3.6.1.4.1.311.20.2.3";
/// Names of a kind that are looked at.
const MOST_NAMES: usize = 16;
