//! The portal's certificate, from an authority of the demo's own that the phone is told to trust: as
//! with a real one, its programs check name, chain and dates.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::cli::error::CliError;

/// All of it as PEM.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) authority: String,
    pub(super) certificate: String,
    pub(super) private_key: String,
}

/// Makes both, good from yesterday on for three months.
pub(super) fn make(name: &str, now: Timestamp) -> Result<Certificates, CliError> {
    made(name, now).map_err(|error| CliError::failed("make the portal's certificate", &error))
}

fn made(name: &str, now: Timestamp) -> Result<Certificates, rcgen::Error> {
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "DotMac Edge demo authority");
    root.key_usages.extend([KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]);
    dated(&mut root, now);
    let root_key = KeyPair::generate()?;
    let authority = root.self_signed(&root_key)?.pem();

    let mut leaf = CertificateParams::new(vec![name.to_owned()])?;
    leaf.distinguished_name.push(DnType::CommonName, name);
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages.push(KeyUsagePurpose::DigitalSignature);
    leaf.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    dated(&mut leaf, now);
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &Issuer::new(root, root_key))?.pem();
    Ok(Certificates { authority, certificate, private_key: key.serialize_pem() })
}

fn dated(params: &mut CertificateParams, now: Timestamp) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| {
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    params.not_before = day(today.saturating_sub(1.day()));
    params.not_after = day(today.saturating_add(90.days()));
}
