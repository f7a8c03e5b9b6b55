//! A real supplicant logs in through TLS: every method that runs inside, under TLS 1.2 and 1.3, its keys compared with
//! ours; and what is refused, with the reason that staff read.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock")]

#[path = "support/eap_pki.rs"]
mod eap_pki;
#[path = "support/eapol.rs"]
mod eapol;
#[path = "support/radius_lab.rs"]
mod radius_lab;

use std::time::{Duration, Instant};

use dotmac_edge::base::secret::Secret;
use dotmac_edge::domain::nas::{MessageAuthenticatorPolicy, NasKind};
use dotmac_edge::domain::text::Username;
use dotmac_edge::eap::{Method, Offer, TlsParts, TlsServer, TlsVersions};
use eap_pki::Pki;
use eapol::{Outcome, eapol_test};
use radius_lab::{Lab, PASSWORD, SECRET};

const BOTH: [&str; 2] = ["tls_disable_tlsv1_3=1", "tls_disable_tlsv1_3=0"];
/// The methods inside EAP-TTLS as wpa_supplicant writes them, and as we log them.
const IN_TTLS: [(&str, &str); 7] = [
    ("auth=PAP", "eap-ttls-pap"),
    ("auth=CHAP", "eap-ttls-chap"),
    ("auth=MSCHAP", "eap-ttls-mschapv1"),
    ("auth=MSCHAPV2", "eap-ttls-mschapv2"),
    ("autheap=MSCHAPV2", "eap-ttls-eap-mschapv2"),
    ("autheap=MD5", "eap-ttls-eap-md5"),
    ("autheap=GTC", "eap-ttls-eap-gtc"),
];
const IN_PEAP: [(&str, &str); 2] = [("auth=MSCHAPV2", "eap-peap-mschapv2"), ("auth=GTC", "eap-peap-gtc")];

struct World {
    lab: Lab,
    pki: Pki,
}

impl World {
    fn offering(methods: &[Method]) -> Self {
        let pki = Pki::new();
        let lab = Lab::with_offer(pki.offer(methods));
        lab.put_nas("127.0.0.1/32", NasKind::Generic, MessageAuthenticatorPolicy::Require);
        lab.put_service(1, "ada", PASSWORD);
        Self { lab, pki }
    }

    /// A login through a tunnel; the outer identity says nothing.
    fn tunnel(&self, method: &str, phase1: &str, phase2: &str, password: &str, more: &[&str]) -> Outcome {
        let ca = self.pki.path("ca.pem");
        let network = format!(
            "eap={method}\nidentity=\"ada\"\nanonymous_identity=\"anonymous\"\npassword=\"{password}\"\n\
             ca_cert=\"{}\"\ndomain_match=\"radius.example.net\"\nphase1=\"{phase1}\"\nphase2=\"{phase2}\"",
            ca.display()
        );
        eapol_test(self.lab.authentication, SECRET, &network, more)
    }

    /// A login by certificate.
    fn certificate(&self, who: &str, identity: &str, phase1: &str, more: &[&str]) -> Outcome {
        let path = |name: &str| self.pki.path(name).display().to_string();
        let network = format!(
            "eap=TLS\nidentity=\"{identity}\"\nca_cert=\"{}\"\nclient_cert=\"{}\"\nprivate_key=\"{}\"\n\
             phase1=\"{phase1}\"",
            path("ca.pem"),
            path(&format!("{who}.pem")),
            path(&format!("{who}.key"))
        );
        eapol_test(self.lab.authentication, SECRET, &network, more)
    }

    fn was(&self, method: &str, outcome: &str) -> bool {
        self.lab.answers().iter().any(|(_, m, o)| m == method && o == outcome)
    }
}

fn version(phase1: &str) -> &'static str {
    if phase1.contains("tls_disable_tlsv1_3=1") { "TLSv1.2" } else { "TLSv1.3" }
}

#[track_caller]
fn assert_in(outcome: &Outcome, phase1: &str, what: &str) {
    assert!(outcome.success, "{what}, {phase1}: {}", outcome.said);
    assert!(!outcome.said.contains("PMK mismatch"), "{what}, {phase1}: {}", outcome.said);
    assert!(outcome.said.contains(&format!("Using TLS version {}", version(phase1))), "{what}, {phase1}");
}

#[test]
fn rfc5281_every_method_inside_ttls_logs_in_under_both_versions_of_tls_and_no_wrong_password_does() {
    let world = World::offering(&[Method::Ttls]);
    for phase1 in BOTH {
        for (theirs, ours) in IN_TTLS {
            let right = world.tunnel("TTLS", phase1, theirs, PASSWORD, &[]);
            assert_in(&right, phase1, theirs);
            assert!(world.was(ours, "accepted"), "{ours}: {:?}", world.lab.answers());
            let wrong = world.tunnel("TTLS", phase1, theirs, "not the password", &[]);
            assert!(!wrong.success, "{theirs}");
            assert!(world.was(ours, "wrong_password"), "{ours}: {:?}", world.lab.answers());
        }
    }
}

#[test]
fn ms_peap_both_methods_log_in_bound_to_their_tunnel_and_no_wrong_password_does() {
    let world = World::offering(&[Method::Peap]);
    for phase1 in BOTH {
        for (theirs, ours) in IN_PEAP {
            // 2: the supplicant demands the binding; 0: it knows none.
            for binding in ["crypto_binding=2", "crypto_binding=0"] {
                let phase1 = format!("{phase1} {binding}");
                let right = world.tunnel("PEAP", &phase1, theirs, PASSWORD, &[]);
                assert_in(&right, &phase1, theirs);
            }
            assert!(world.was(ours, "accepted"), "{ours}: {:?}", world.lab.answers());
            let wrong = world.tunnel("PEAP", phase1, theirs, "not the password", &[]);
            assert!(!wrong.success, "{theirs}");
            assert!(world.was(ours, "wrong_password"), "{ours}: {:?}", world.lab.answers());
        }
    }
}

#[test]
fn rfc9190_a_certificate_logs_its_name_in_under_both_versions_of_tls() {
    let world = World::offering(&[Method::Tls]);
    for phase1 in BOTH {
        assert_in(&world.certificate("device", "ada", phase1, &[]), phase1, "by the common name");
        assert_in(&world.certificate("device", "ada", phase1, &["-r1"]), phase1, "twice, never resumed");
    }
    let mail = Username::parse("ada@example.net").unwrap();
    world.lab.change_service(1, |service| service.username = mail);
    assert_in(&world.certificate("device", "ada@example.net", BOTH[1], &[]), BOTH[1], "by the mail address");
    assert_in(
        &world.certificate("device", "@example.net", BOTH[1], &[]),
        BOTH[1],
        "hidden, so the first name",
    );
    let services: Vec<String> = world.lab.answers().into_iter().map(|(name, _, _)| name).collect();
    assert!(services.contains(&"ada".to_owned()) && services.contains(&"ada@example.net".to_owned()));
}

#[test]
fn a_certificate_of_another_ca_or_of_another_name_is_refused_with_its_reason() {
    let world = World::offering(&[Method::Tls]);
    world.pki.write("bob", &world.pki.device("bob", "bob@example.net"));
    for phase1 in BOTH {
        assert!(!world.certificate("stranger", "ada", phase1, &[]).success);
        assert!(world.was("eap-tls", "eap_client_certificate_refused"), "{:?}", world.lab.answers());
        assert!(!world.certificate("bob", "ada", phase1, &[]).success);
        assert!(world.was("eap-tls", "eap_not_of_this_identity"), "{:?}", world.lab.answers());
        assert!(!world.certificate("bob", "bob", phase1, &[]).success);
        assert!(world.was("eap-tls", "unknown_user"), "{:?}", world.lab.answers());
    }
}

#[test]
fn a_device_that_does_not_trust_the_server_tells_staff_so() {
    let world = World::offering(&[Method::Peap]);
    let other = world.pki.path("other-ca.pem");
    for phase1 in BOTH {
        let network = format!(
            "eap=PEAP\nidentity=\"ada\"\npassword=\"{PASSWORD}\"\nca_cert=\"{}\"\nphase1=\"{phase1}\"\n\
             phase2=\"auth=MSCHAPV2\"",
            other.display()
        );
        assert!(!eapol_test(world.lab.authentication, SECRET, &network, &[]).success);
    }
    assert!(world.was("eap-peap", "eap_server_certificate_refused"), "{:?}", world.lab.answers());
}

#[test]
fn a_device_resumes_after_its_password_was_proved_and_keys_are_compared_again() {
    for (method, phase2, tunnel) in
        [("PEAP", "auth=MSCHAPV2", Method::Peap), ("TTLS", "auth=PAP", Method::Ttls)]
    {
        for phase1 in BOTH {
            let world = World::offering(&[tunnel]);
            let twice = world.tunnel(method, phase1, phase2, PASSWORD, &["-r2"]);
            assert_in(&twice, phase1, method);
            let resumed = format!("eap-{}-resumed", method.to_lowercase());
            assert!(world.was(&resumed, "accepted"), "{method} {phase1}: {:?}", world.lab.answers());
        }
    }
}

#[test]
fn who_resumes_is_refused_once_the_password_was_changed() {
    for phase1 in BOTH {
        let world = World::offering(&[Method::Peap]);
        std::thread::scope(|scope| {
            let logins = scope.spawn(|| world.tunnel("PEAP", phase1, "auth=MSCHAPV2", PASSWORD, &["-r200"]));
            wait_for(|| world.was("eap-peap-mschapv2", "accepted"));
            world.lab.put_service(1, "ada", "another password");
            assert!(!logins.join().unwrap().success);
        });
        assert!(world.was("eap-peap-resumed", "wrong_password"), "{phase1}: {:?}", world.lab.answers());
    }
}

/// `dotmac-edge radius test`, with a secret and a password from files.
fn our_own_test(world: &World, method: &str, password: &str, server_name: &str) -> (bool, String) {
    let path = |name: &str| world.pki.path(name).display().to_string();
    std::fs::write(world.pki.path("secret"), SECRET).unwrap();
    std::fs::write(world.pki.path("password"), password).unwrap();
    let server = world.lab.authentication.to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_dotmac-edge"))
        .args(["radius", "test", &server, "--method", method, "--user", "ada"])
        .args(["--secret-file", &path("secret"), "--password-file", &path("password")])
        .args(["--ca-file", &path("ca.pem"), "--server-name", server_name])
        .args(["--certificate-file", &path("device.pem"), "--key-file", &path("device.key")])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn our_own_radius_test_logs_in_by_each_method_compares_keys_and_believes_no_other_server() {
    let all = [Method::Peap, Method::Ttls, Method::Tls, Method::MsChapV2, Method::Md5, Method::Gtc];
    let world = World::offering(&all);
    for method in
        ["eap-md5", "eap-gtc", "eap-mschapv2", "eap-tls", "eap-ttls-pap", "eap-peap-mschapv2", "eap-peap-gtc"]
    {
        let (right, said) = our_own_test(&world, method, PASSWORD, "radius.example.net");
        assert!(right && said.contains(&format!("{method}: Access-Accept in")), "{method}: {said}");
        if method != "eap-tls" {
            let (wrong, said) = our_own_test(&world, method, "not the password", "radius.example.net");
            assert!(!wrong && said.contains("Access-Reject"), "{method}: {said}");
        }
    }
    let (believed, said) = our_own_test(&world, "eap-peap-mschapv2", PASSWORD, "another.example.net");
    assert!(!believed, "{said}");
}

#[test]
fn one_command_makes_a_ca_whose_server_a_device_believes_and_a_second_run_renews_the_server_only() {
    let dir = tempfile::tempdir().unwrap();
    let make = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_dotmac-edge"))
            .args(["radius", "ca", "--server-name", "radius.example.net", "--ssid", "Lekki & Sons"])
            .args(["--device", "ada", "--dir"])
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    make();
    let (ca, server) = (read("ca.pem"), read("server.pem"));
    make();
    assert_eq!(read("ca.pem"), ca, "devices need nothing new");
    assert_ne!(read("server.pem"), server);
    for name in ["ca.key", "server.key", "server.pem", "device.key"] {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(dir.path().join(name)).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // Others' readers find the profiles well made.
    let plist = "import plistlib,sys; p=plistlib.load(open(sys.argv[1],'rb')); \
                 print(p['PayloadContent'][1]['SSID_STR'], \
                 p['PayloadContent'][1]['EAPClientConfiguration']['TLSTrustedServerNames'])";
    let xml = "import xml.dom.minidom,sys; d=xml.dom.minidom.parse(sys.argv[1]); \
               print(d.getElementsByTagName('ServerNames')[0].firstChild.data)";
    for (script, name, expected) in [
        (plist, "eap.mobileconfig", "Lekki & Sons ['radius.example.net']"),
        (xml, "windows-wlan.xml", "radius.example.net"),
    ] {
        let output = std::process::Command::new("/usr/bin/python3")
            .args(["-c", script])
            .arg(dir.path().join(name))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{name}");
    }
    let tls = TlsServer::new(&TlsParts {
        chain: read("server.pem").as_bytes(),
        key: &Secret::from_text(&read("server.key")),
        client_ca: Some(read("ca.pem").as_bytes()),
        versions: TlsVersions::Both,
        sessions: None,
    })
    .unwrap();
    let lab = Lab::with_offer(Offer { methods: vec![Method::Peap, Method::Tls], tls: Some(tls) });
    lab.put_nas("127.0.0.1/32", NasKind::Generic, MessageAuthenticatorPolicy::Require);
    lab.put_service(1, "ada", PASSWORD);
    let path = |name: &str| dir.path().join(name).display().to_string();
    for login in [
        format!("eap=PEAP\npassword=\"{PASSWORD}\"\nphase2=\"auth=MSCHAPV2\""),
        format!("eap=TLS\nclient_cert=\"{}\"\nprivate_key=\"{}\"", path("device.pem"), path("device.key")),
    ] {
        let network = format!(
            "{login}\nidentity=\"ada\"\nca_cert=\"{}\"\ndomain_match=\"radius.example.net\"",
            path("ca.pem")
        );
        let outcome = eapol_test(lab.authentication, SECRET, &network, &[]);
        assert!(outcome.success, "{}", outcome.said);
    }
}

#[test]
fn messages_go_in_fragments_both_ways_as_small_as_the_nas_says() {
    let world = World::offering(&[Method::Peap, Method::Tls]);
    for phase1 in BOTH {
        // Attribute 12 is Framed-MTU.
        let small = world.tunnel("PEAP", phase1, "auth=MSCHAPV2", PASSWORD, &["-N12:d:150"]);
        assert_in(&small, phase1, "ours");
        assert!(small.said.matches("SSL: Building ACK").count() >= 3, "{}", small.said);
        let path = |name: &str| world.pki.path(name).display().to_string();
        let network = format!(
            "eap=TLS\nidentity=\"ada\"\nca_cert=\"{}\"\nclient_cert=\"{}\"\nprivate_key=\"{}\"\n\
             phase1=\"{phase1}\"\nfragment_size=150",
            path("ca.pem"),
            path("device.pem"),
            path("device.key")
        );
        let theirs = eapol_test(world.lab.authentication, SECRET, &network, &["-N12:d:200"]);
        assert_in(&theirs, phase1, "theirs");
    }
}

#[test]
fn devices_at_once_are_all_let_in_and_a_plain_login_does_not_wait_for_them() {
    let world = World::offering(&[Method::Peap]);
    std::thread::scope(|scope| {
        let logins: Vec<_> = (0..4)
            .map(|number| {
                let station = format!("-M02:00:00:00:00:{number:02x}");
                let world = &world;
                scope.spawn(move || {
                    // Without resumption each is a full handshake.
                    let phase1 = "tls_disable_session_ticket=1 tls_disable_tlsv1_3=1";
                    (0..5)
                        .map(|_| world.tunnel("PEAP", phase1, "auth=MSCHAPV2", PASSWORD, &[&station]))
                        .all(|login| login.success)
                })
            })
            .collect();
        let began = Instant::now();
        let attributes =
            format!("User-Name = ada\nUser-Password = \"{PASSWORD}\"\nMessage-Authenticator = 0x00\n");
        let (accepted, said) = world.lab.radclient("auth", SECRET, &attributes);
        assert!(accepted, "{said}");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(logins.into_iter().all(|login| login.join().unwrap()));
    });
}

#[track_caller]
fn wait_for(mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < until, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}
