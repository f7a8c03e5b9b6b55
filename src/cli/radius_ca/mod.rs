//! `radius ca`: a private CA for EAP, the server's certificate, and what devices are told of them.
//!
//! Run again on the same folder it keeps the CA and issues a new server certificate, so that devices need nothing
//! new. The one rule: keys are readable by their owner alone, and no file of a CA is ever written over.

mod profile;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use super::Context;
use super::error::CliError;
use profile::Profile;

/// What to make.
#[derive(Debug, Args)]
pub(super) struct Ca {
    /// The folder for everything; made where it is not there
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// The name in the server's certificate, which devices insist on, as radius.example.net
    #[arg(long, value_name = "NAME")]
    server_name: String,
    /// The wireless network that the profiles are for; without it, for wires only
    #[arg(long, value_name = "NAME")]
    ssid: Option<String>,
    /// Issue a certificate for a device too, which logs in by EAP-TLS with this login
    #[arg(long, value_name = "LOGIN")]
    device: Option<String>,
}

impl Ca {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        self.check()?;
        let now = context.clock.now();
        std::fs::create_dir_all(&self.dir).map_err(|error| self.failed("make the folder", &error))?;
        let authority = self.authority(now)?;
        let server = self.issue(&authority, Subject::Server(&self.server_name), now)?;
        self.replace("server.pem", &format!("{}{}", server.certificate, authority.pem), PRIVATE)?;
        self.replace("server.key", &server.key, PRIVATE)?;
        if let Some(login) = &self.device {
            let device = self.issue(&authority, Subject::Device(login), now)?;
            self.replace("device.pem", &device.certificate, PUBLIC)?;
            self.replace("device.key", &device.key, PRIVATE)?;
        }
        let profile = Profile {
            server_name: &self.server_name,
            ssid: self.ssid.as_deref(),
            ca_pem: &authority.pem,
            ids: [self.id(context)?, self.id(context)?, self.id(context)?],
        };
        let written = profile.files().map_err(|error| self.failed("write the profiles", &error))?;
        for (name, text) in &written {
            self.replace(name, text, PUBLIC)?;
        }
        self.tell(context, &written);
        Ok(())
    }

    fn check(&self) -> Result<(), CliError> {
        let is_name = self.server_name.contains('.')
            && self.server_name.split('.').all(|label| !label.is_empty())
            && self.server_name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-.".contains(&octet));
        if !is_name {
            let what = format!("--server-name {:?} is no name, as radius.example.net", self.server_name);
            return Err(CliError::Usage(what));
        }
        match &self.ssid {
            Some(ssid) if ssid.is_empty() || ssid.len() > 32 => {
                Err(CliError::Usage("--ssid has 1 to 32 octets".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The CA of before, or a new one.
    fn authority(&self, now: Timestamp) -> Result<Authority, CliError> {
        let (certificate, key) = (self.dir.join("ca.pem"), self.dir.join("ca.key"));
        let parameters = self.authority_parameters(now)?;
        if certificate.exists() && key.exists() {
            let read = |path: &Path| {
                std::fs::read_to_string(path)
                    .map_err(|error| CliError::failed(&format!("read {}", path.display()), &error))
            };
            let (pem, key) = (read(&certificate)?, zeroize::Zeroizing::new(read(&key)?));
            let key = KeyPair::from_pem(&key).map_err(|error| self.failed("read the CA's key", &error))?;
            return Ok(Authority { pem, issuer: Issuer::new(parameters, key) });
        }
        if certificate.exists() || key.exists() {
            let what = format!("{} has half of a CA; bring ca.pem and ca.key together", self.dir.display());
            return Err(CliError::Usage(what));
        }
        let made = |error: rcgen::Error| self.failed("make the CA", &error);
        let key = KeyPair::generate().map_err(made)?;
        let text = zeroize::Zeroizing::new(key.serialize_pem());
        let issuer = CertifiedIssuer::self_signed(parameters, key).map_err(made)?;
        self.create("ca.key", &text, PRIVATE)?;
        self.create("ca.pem", &issuer.pem(), PUBLIC)?;
        let again = KeyPair::from_pem(&text).map_err(made)?;
        Ok(Authority { pem: issuer.pem(), issuer: Issuer::new(self.authority_parameters(now)?, again) })
    }

    /// The CA is for one server's name, so nothing else of its is believed by a device that trusts it.
    fn authority_parameters(&self, now: Timestamp) -> Result<CertificateParams, CliError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, format!("EAP CA of {}", self.server_name));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lasts(&mut parameters, now, CA_LASTS);
        Ok(parameters)
    }

    fn issue(&self, authority: &Authority, subject: Subject<'_>, now: Timestamp) -> Result<Issued, CliError> {
        let made = |error: rcgen::Error| self.failed("issue a certificate", &error);
        let (name, usage) = match subject {
            Subject::Server(name) => (name, ExtendedKeyUsagePurpose::ServerAuth),
            Subject::Device(name) => (name, ExtendedKeyUsagePurpose::ClientAuth),
        };
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let alternative = Ia5String::try_from(name).map_err(made)?;
        match subject {
            Subject::Server(_) => parameters.subject_alt_names.push(SanType::DnsName(alternative)),
            Subject::Device(login) if login.contains('@') => {
                parameters.subject_alt_names.push(SanType::Rfc822Name(alternative));
            }
            Subject::Device(_) => {}
        }
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![usage];
        parameters.use_authority_key_identifier_extension = true;
        lasts(&mut parameters, now, CERTIFICATE_LASTS);
        let key = KeyPair::generate().map_err(made)?;
        let certificate = parameters.signed_by(&key, &authority.issuer).map_err(made)?;
        Ok(Issued { certificate: certificate.pem(), key: zeroize::Zeroizing::new(key.serialize_pem()) })
    }

    fn id(&self, context: &Context) -> Result<uuid::Uuid, CliError> {
        context.entropy.uuid_v7(context.clock.now()).map_err(|error| self.failed("make an id", &error))
    }

    /// Writes a file that must not be there yet.
    fn create(&self, name: &str, text: &str, mode: u32) -> Result<(), CliError> {
        let path = self.dir.join(name);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let written =
            file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| CliError::failed(&format!("write {}", path.display()), &error))
    }

    /// Writes a file whole or not at all, in the place of an earlier one.
    fn replace(&self, name: &str, text: &str, mode: u32) -> Result<(), CliError> {
        let fresh = format!(".{name}.new");
        let _left_by_a_crash = std::fs::remove_file(self.dir.join(&fresh));
        self.create(&fresh, text, mode)?;
        std::fs::rename(self.dir.join(&fresh), self.dir.join(name))
            .map_err(|error| self.failed(&format!("write {name}"), &error))
    }

    fn failed(&self, what: &str, error: &(dyn std::error::Error + 'static)) -> CliError {
        CliError::failed(&format!("{what} in {}", self.dir.display()), error)
    }

    fn tell(&self, context: &Context, profiles: &[(&'static str, String)]) {
        let dir = self.dir.display();
        let terminal = &context.terminal;
        if terminal.wants_json() {
            let profiles: Vec<_> = profiles.iter().map(|(name, _)| format!("{dir}/{name}")).collect();
            terminal.json(&serde_json::json!({
                "ca": format!("{dir}/ca.pem"),
                "certificate": format!("{dir}/server.pem"),
                "private_key": format!("{dir}/server.key"),
                "profiles": profiles,
            }));
            return;
        }
        terminal.line(format_args!(
            "[radius.eap]\ncertificate = \"file:{dir}/server.pem\"\nprivate_key = \"file:{dir}/server.key\""
        ));
        if self.device.is_some() {
            terminal.line(format_args!("client_ca = \"{dir}/ca.pem\""));
        }
        for (name, _) in profiles {
            terminal.line(format_args!("# for devices: {dir}/{name}"));
        }
        terminal.note(format_args!(
            "Write the lines above into the configuration, give server.pem and server.key to the daemon's user, and \
             keep ca.key in a safe: who has it can be your server to every device."
        ));
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

struct Issued {
    certificate: String,
    key: zeroize::Zeroizing<String>,
}

#[derive(Clone, Copy)]
enum Subject<'a> {
    Server(&'a str),
    Device(&'a str),
}

fn lasts(parameters: &mut CertificateParams, now: Timestamp, long: Duration) {
    let start = std::time::SystemTime::from(now);
    // Devices whose clock is a little slow must not see one from the future.
    parameters.not_before = start.checked_sub(DAY).unwrap_or(start).into();
    parameters.not_after = (start + long).into();
}

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const DAY: Duration = Duration::from_secs(86_400);
/// Devices must be told of a new CA by hand, so it lasts longer than they do.
const CA_LASTS: Duration = Duration::from_secs(3_650 * 86_400);
/// Apple's devices believe no certificate that lasts more than 825 days.
const CERTIFICATE_LASTS: Duration = Duration::from_secs(730 * 86_400);
