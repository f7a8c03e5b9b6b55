//! A private CA for EAP, a server's certificate and a device's, as a small ISP would have them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dotmac_edge::base::secret::Secret;
use dotmac_edge::eap::{Method, Offer, Sessions, TlsParts, TlsServer, TlsVersions};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate and its key, PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// The files of one lab.
pub struct Pki {
    pub dir: tempfile::TempDir,
    pub server: Pair,
    pub ca: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub fn new() -> Self {
        let issuer = ca("The ISP's EAP CA");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        let server = issue(&issuer, "radius.example.net", None, ExtendedKeyUsagePurpose::ServerAuth);
        let other = ca("Another CA");
        std::fs::write(dir.path().join("other-ca.pem"), other.pem()).unwrap();
        let pki = Self { server, ca: issuer.pem(), dir, issuer };
        pki.write("device", &pki.device("ada", "ada@example.net"));
        let stranger = issue(&other, "ada", Some("ada@example.net"), ExtendedKeyUsagePurpose::ClientAuth);
        pki.write("stranger", &stranger);
        pki
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A device's certificate.
    pub fn device(&self, common: &str, mail: &str) -> Pair {
        issue(&self.issuer, common, Some(mail), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Writes a pair as NAME.pem and NAME.key.
    pub fn write(&self, name: &str, pair: &Pair) {
        std::fs::write(self.path(&format!("{name}.pem")), &pair.certificate).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), &pair.key).unwrap();
    }

    /// An offer of these methods that remembers who resumes.
    pub fn offer(&self, methods: &[Method]) -> Offer {
        let tls = TlsServer::new(&TlsParts {
            chain: format!("{}{}", self.server.certificate, self.ca).as_bytes(),
            key: &Secret::from_text(&self.server.key),
            client_ca: Some(self.ca.as_bytes()),
            versions: TlsVersions::Both,
            sessions: Some(Sessions::new(Duration::from_secs(3_600), Instant::now())),
        })
        .unwrap();
        Offer { methods: methods.to_vec(), tls: Some(tls) }
    }
}

fn ca(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn issue(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    common: &str,
    mail: Option<&str>,
    usage: ExtendedKeyUsagePurpose,
) -> Pair {
    let names = if mail.is_some() { vec![] } else { vec![common.to_owned()] };
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, common);
    if let Some(mail) = mail {
        parameters.subject_alt_names.push(SanType::Rfc822Name(Ia5String::try_from(mail).unwrap()));
    }
    parameters.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, issuer).unwrap();
    Pair { certificate: certificate.pem(), key: key.serialize_pem() }
}
