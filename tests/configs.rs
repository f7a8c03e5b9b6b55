//! The shipped configuration and the program say the same, and a wrong file is refused with the line,
//! the key and the remedy.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use dotmac_edge::config::{self, Applies, Config, Fault, Origin};
use proptest::prelude::*;

const SHIPPED: &str = include_str!("../configs/edge.toml");
const SMALLEST: &str = "[site]\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"\n";

fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    config::parse(text, Path::new("edge.toml"))
}

/// The shipped file with every default taken out of its comment.
fn uncommented() -> String {
    let open = |line: &str| match line.strip_prefix("# ") {
        Some(setting) if is_setting(setting) => setting.to_owned(),
        _ => line.to_owned(),
    };
    SHIPPED.lines().map(open).collect::<Vec<_>>().join("\n")
}

fn is_setting(line: &str) -> bool {
    line.split_once(" = ")
        .is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

#[test]
fn the_shipped_configuration_is_accepted_as_it_is() {
    let config = parse(SHIPPED).unwrap();
    assert_eq!(config.site.currency.code(), "NGN");
    assert_eq!(config.site.timezone.iana_name(), Some("Africa/Lagos"));
}

#[test]
fn every_default_in_the_shipped_configuration_is_the_programs_default() {
    let (written, defaults) = (parse(&uncommented()).unwrap(), parse(SMALLEST).unwrap());
    for (said, is) in written.effective().iter().zip(defaults.effective()) {
        assert_eq!((&said.key, &said.value), (&is.key, &is.value));
    }
}

#[test]
fn the_shipped_configuration_shows_every_setting_there_is() {
    let config = parse(&uncommented()).unwrap();
    let hidden: Vec<_> = config.effective().iter().filter(|s| s.origin == Origin::Default).collect();
    assert!(hidden.is_empty(), "not in configs/edge.toml: {hidden:?}");
}

#[test]
fn the_shipped_configuration_marks_what_needs_a_restart() {
    let text = uncommented();
    let lines: Vec<&str> = text.lines().collect();
    for setting in parse(&text).unwrap().effective() {
        let Origin::File { line } = setting.origin else { panic!("{} is not in the file", setting.key) };
        let comment: Vec<&str> =
            lines[..line - 1].iter().rev().take_while(|above| above.starts_with('#')).copied().collect();
        let marked = comment.iter().any(|above| above.contains("[restart]"));
        assert_eq!(marked, setting.applies == Applies::Restart, "{}", setting.key);
        assert!(!comment.is_empty(), "{} has no reason", setting.key);
    }
}

/// Line, column, key, a part of what is said, a part of the remedy.
type Expected = (usize, usize, &'static str, &'static str, &'static str);

/// A wrong file and its faults.
type Case = (&'static str, &'static [Expected]);

/// Each stands below the three lines of `SMALLEST` unless it begins with `!`.
const WRONG: &[Case] = &[
    ("[radius]\nworker = 2", &[(5, 1, "radius.worker", "unknown key", "did you mean `workers`?")]),
    ("[radius]\nworkers = 0", &[(5, 11, "radius.workers", "0 is out of range", "from 1 to 64")]),
    ("[radius]\nworkers = \"2\"", &[(5, 11, "radius.workers", "not a string", "write for example 4")]),
    ("[radius]\nworkers = -1", &[(5, 11, "radius.workers", "-1 is out of range", "from 0 to")]),
    ("[radius]\nworkers = 99999999999999999999", &[(5, 11, "radius.workers", "out of range", "from 0 to")]),
    ("[radius]\nworkers = 2.0", &[(5, 11, "radius.workers", "not a float", "write for example 4")]),
    ("[radius]\nreject_delay = 1", &[(5, 16, "radius.reject_delay", "not an integer", "\"10s\"")]),
    ("[radius]\nreject_delay = \"1 sec\"", &[(5, 16, "radius.reject_delay", "not a duration", "\"10s\"")]),
    (
        "[radius]\nreject_delay = \"11s\"",
        &[(5, 16, "radius.reject_delay", "out of range", "\"0s\" to \"10s\"")],
    ),
    (
        "[radius]\ninterim_interval = \"10s\"",
        &[(5, 20, "radius.interim_interval", "out of range", "\"1m\" to \"1h\"")],
    ),
    (
        "[radius]\nauthentication = \"0.0.0.0:1812\"",
        &[(5, 18, "radius.authentication", "a list is expected", "[")],
    ),
    ("[radius]\nauthentication = []", &[(5, 18, "radius.authentication", "empty", "at least one")]),
    (
        "[radius]\nauthentication = [\"0.0.0.0:1812\", \"localhost:1812\"]",
        &[(5, 35, "radius.authentication[1]", "not an address", "names are not looked up")],
    ),
    (
        "[radius]\nauthentication = [\"0.0.0.0:0\"]",
        &[(5, 18, "radius.authentication", "port 0", "development")],
    ),
    (
        "[radius.eap]\nmethods = [\"peap\", \"pap\"]",
        &[(5, 20, "radius.eap.methods[1]", "not among the choices", "\"")],
    ),
    ("[radius.eap]\nmethods = [\"peap\", \"peap\"]", &[(5, 11, "radius.eap.methods", "twice", "each once")]),
    ("[radius.eap]\ntls_versions = []", &[(5, 16, "radius.eap.tls_versions", "empty", "1.3")]),
    ("[radius.eap]\nresume_for = \"25h\"", &[(5, 14, "radius.eap.resume_for", "out of range", "1d")]),
    (
        "[radius.eap]\ncertificate = \"file:/a.pem\"",
        &[(5, 15, "radius.eap.certificate", "without radius.eap.private_key", "both, or neither")],
    ),
    (
        "[radius.eap]\nclient_ca = \"/ca.pem\"",
        &[(5, 13, "radius.eap.client_ca", "without radius.eap.certificate", "EAP-TLS")],
    ),
    (
        "[radius]\nradsec = [\"0.0.0.0:2083\"]",
        &[(5, 1, "radius.radsec", "not supported by this version", "remove")],
    ),
    ("[radius]\nreceive_buffer = \"8 MB\"", &[(5, 18, "radius.receive_buffer", "not a size", "MiB")]),
    ("[billing]\nlarge_refund = \"much\"", &[(5, 16, "billing.large_refund", "not an amount", "50000.00")]),
    ("[billing]\nlarge_refund = 5000", &[(5, 16, "billing.large_refund", "an amount in quotes", "50000.00")]),
    (
        "[billing]\nlarge_refund = \"1.005\"",
        &[(5, 16, "billing.large_refund", "decimals", "in the site's currency")],
    ),
    ("[portal]\nname = \"p\"", &[(5, 8, "portal.name", "not a host's name", "portal.example.net")]),
    (
        "[portal]\nhttp = \"0.0.0.0:80\"\nhttps = \"[::]:443\"",
        &[(4, 1, "portal.name", "no name", "resolver")],
    ),
    (
        "[portal]\nname = \"p.example\"\nhttp = \"0.0.0.0:80\"",
        &[(4, 1, "portal.https", "TLS", "0.0.0.0:443")],
    ),
    (
        "[portal]\nname = \"p.example\"\ncertificate = \"file:/c\"",
        &[(6, 15, "portal.certificate", "without portal.private_key", "both")],
    ),
    (
        "[portal]\nname = \"p.example\"\nhttps = \"0.0.0.0:443\"",
        &[(6, 9, "portal.https", "without TLS first", "0.0.0.0:80")],
    ),
    (
        "[portal]\nname = \"p.example\"\nhttp = [\"0.0.0.0:80\", \"[::]:8080\"]\nhttps = \"[::]:443\"",
        &[(6, 8, "portal.http", "different ports", "one port")],
    ),
    (
        "[portal]\nname = \"p.example\"\nhttp = \"[::]:80\"\nhttps = [\"0.0.0.0:443\", \"[::]:8443\"]",
        &[(7, 9, "portal.https", "different ports", "one port")],
    ),
    (
        "[mail]\nserver = \"smtp.example.net:587\"\nfrom = \"Lekki WiFi\"",
        &[(6, 8, "mail.from", "no address", "Name <")],
    ),
    (
        "[mail]\nserver = \"smtp.example.net:25\"\nfrom = \"a@example.net\"\nsecurity = \"none\"\n\
         username = \"a\"\npassword = \"file:/p\"",
        &[(7, 12, "mail.security", "in clear", "starttls")],
    ),
    ("[gateway]\nenabled = true", &[(5, 11, "gateway.enabled", "listeners", "[portal]")]),
    ("[gateway]\naccess = [\"lan 0\"]", &[(5, 11, "gateway.access[0]", "interface name", "ip link")]),
    (
        "[gateway]\ngarden = [\"bank.example:8443\"]",
        &[(5, 11, "gateway.garden[0]", "not an address", "no others")],
    ),
    (
        "[portal]\nname = \"p.example\"\nhttp = \"0.0.0.0:80\"\nhttps = \"0.0.0.0:443\"\n\
         [gateway]\nenabled = true\naccess = \"lan0\"\nuplink = \"lan0\"",
        &[(10, 10, "gateway.access", "cannot be both", "edge.toml")],
    ),
    ("[mail]\nserver = \"smtp.example.net\"", &[(5, 10, "mail.server", "its port", ":587")]),
    ("[mail]\nserver = \"smtp.example.net:587\"", &[(4, 1, "mail.from", "no sender", "Name <")]),
    ("[platform]", &[(4, 2, "platform", "not supported by this version", "remove")]),
    ("[radios]", &[(4, 2, "radios", "unknown key", "did you mean `radius`?")]),
    ("[colours]", &[(4, 2, "colours", "unknown key", "known here: development, site")]),
    ("[store]\nengine = \"memory\"", &[(5, 10, "store.engine", "forgets", "development = true")]),
    (
        "[store]\nengine = \"postgres\"",
        &[(5, 10, "store.engine", "not supported by this version", "embedded")],
    ),
    ("[store]\nengine = \"embeded\"", &[(5, 10, "store.engine", "not among", "did you mean \"embedded\"?")]),
    ("[store]\npath = \"store\"", &[(5, 8, "store.path", "does not start with /", "whole path")]),
    ("[store]\nballast = \"5 GiB\"", &[(5, 11, "store.ballast", "out of range", "\"4 GiB\"")]),
    ("[http]\nadmin = \"8080\"", &[(5, 9, "http.admin", "not an address", "1812")]),
    (
        "[http]\nadmin = \"127.0.0.1:9812\"",
        &[(5, 9, "http.admin", "taken by http.metrics", "its own address")],
    ),
    (
        "[radius]\nauthentication = [\"0.0.0.0:1812\", \"10.0.0.1:1812\"]",
        &[(5, 18, "radius.authentication", "taken by radius.authentication", "its own address")],
    ),
    (
        "[radius]\naccounting = [\"10.0.0.1:1812\"]",
        &[(5, 14, "radius.accounting", "taken by radius.authentication", "its own address")],
    ),
    ("[log]\nlevel = \"inf\"", &[(5, 9, "log.level", "not among", "did you mean \"info\"?")]),
    ("[log]\nlevel = true", &[(5, 9, "log.level", "not a boolean", "error, warn")]),
    ("[secrets]\nkey = \"env:KEY\"", &[(5, 7, "secrets.key", "visible to child processes", "file:/path")]),
    ("[secrets]\nkey = \"file:box.key\"", &[(5, 7, "secrets.key", "a reference", "file:/path")]),
    ("[control]\ngroup = \"\"", &[(5, 9, "control.group", "empty", "one short line")]),
    ("[site.extra]\na = 1", &[(4, 7, "site.extra", "unknown key", "remove it")]),
    ("[[radius]]", &[(4, 1, "radius", "not an array", "[radius]")]),
    ("development = 1", &[(4, 1, "site.development", "unknown key", "top of the file")]),
    (
        "!development = \"yes\"\n[site]\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"",
        &[(1, 15, "development", "not a string", "true")],
    ),
    (
        "!store = 1\n[site]\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"",
        &[(1, 9, "store", "a table is expected", "[store]")],
    ),
    (
        "!",
        &[
            (1, 1, "site.timezone", "required and missing", "Africa/Lagos"),
            (1, 1, "site.currency", "required and missing", "NGN"),
        ],
    ),
    ("![site]\ncurrency = \"NGN\"", &[(1, 1, "site.timezone", "required and missing", "Africa/Lagos")]),
    (
        "!site = { timezone = \"Lagos\", currency = \"ngn\", tax_rate = 7.5 }",
        &[
            (1, 21, "site.timezone", "\"Lagos\" is not a time zone", "Area/City"),
            (1, 41, "site.currency", "\"ngn\" is not a currency", "did you mean \"NGN\"?"),
            (1, 59, "site.tax_rate", "not a float", "\"7.5%\""),
        ],
    ),
    ("[log]\nlevel = info", &[(5, 9, "", "this is not TOML", "double quotes")]),
    ("[log]\nlevel = \"info\"\nlevel = \"warn\"", &[(6, 1, "", "duplicate key", "each key once")]),
];

#[test]
fn a_wrong_configuration_names_line_column_key_and_remedy() {
    let mut broken = Vec::new();
    for (text, expected) in WRONG {
        let whole = text
            .strip_prefix('!')
            .map_or_else(|| format!("{SMALLEST}{text}\n"), |alone| format!("{alone}\n"));
        let faults = parse(&whole).expect_err(text);
        let agrees = |(fault, (line, column, key, problem, remedy)): (&Fault, &Expected)| {
            (fault.line, fault.column, fault.key.as_str()) == (*line, *column, *key)
                && fault.problem.contains(problem)
                && fault.remedy.contains(remedy)
        };
        if faults.len() != expected.len() || !faults.iter().zip(*expected).all(agrees) {
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            broken.push(format!("{text}\n  expected {expected:?}\n  told {told:?}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn all_faults_are_told_together_in_the_order_of_the_lines() {
    let text = "[site]\ntimezone = \"Mars/Base\"\n[radius]\nworkers = 0\ncolour = 1\n[store]\nengine = [\n[log]\nlevel = \"loud\"\n";
    let lines: Vec<_> = parse(text).unwrap_err().iter().map(|fault| fault.line).collect();
    assert!(lines.is_sorted());
    for line in [1, 2, 4, 5] {
        assert!(lines.contains(&line), "line {line} of {lines:?}");
    }
}

#[test]
fn a_secret_written_into_the_file_is_refused_without_repeating_it() {
    for line in
        ["[secrets]\nkey = \"hunter2\"", "[radius]\nsecret = \"hunter2\"", "[secrets]\nkey = [\"hunter2\"]"]
    {
        let faults = parse(&format!("{SMALLEST}{line}\n")).unwrap_err();
        assert_eq!(faults[0].line, 5);
        assert!(!format!("{faults:?}").contains("hunter2"), "{faults:?}");
    }
}

#[test]
fn development_opens_the_shortcuts_and_nothing_else() {
    let text = format!(
        "development = true\n{SMALLEST}[store]\nengine = \"memory\"\n[http]\nadmin = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:0\"\n[secrets]\nkey = \"env:KEY\"\n"
    );
    assert!(parse(&text).unwrap().development);
    assert!(parse(&format!("{text}literal = 1\n")).is_err());
}

#[test]
fn a_mail_server_nearby_may_be_told_the_password_in_clear() {
    for host in ["127.0.0.1", "10.0.0.9", "localhost", "[::1]", "[fd00::9]"] {
        let text = format!(
            "{SMALLEST}[mail]\nserver = \"{host}:25\"\nfrom = \"Lekki <a@example.net>\"\nsecurity = \"none\"\n\
             username = \"a\"\npassword = \"file:/p\"\n"
        );
        parse(&text).unwrap();
    }
}

#[test]
fn one_port_serves_udp_and_tcp_side_by_side_and_both_families() {
    let text = format!(
        "{SMALLEST}[http]\nadmin = \"0.0.0.0:1812\"\n[radius]\nauthentication = [\"0.0.0.0:1812\", \"[::]:1812\"]\n"
    );
    parse(&text).unwrap();
}

proptest! {
    #[test]
    fn an_unknown_key_is_refused_wherever_it_stands(
        key in "[a-z][a-z0-9_]{0,20}",
        after in 0usize..200,
        value in prop_oneof![Just("1"), Just("\"x\""), Just("[]"), Just("{ a = 1 }")],
    ) {
        let whole = uncommented();
        let known: Vec<_> = parse(&whole).unwrap().effective().iter().map(|s| s.key.clone()).collect();
        prop_assume!(!known.iter().any(|path| path.rsplit('.').next() == Some(key.as_str())));
        prop_assume!(!["site", "store", "http", "radius", "control", "log", "secrets"].contains(&key.as_str()));
        let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
        let at = after.min(lines.len());
        lines.insert(at, format!("{key} = {value}"));
        let faults = parse(&lines.join("\n")).unwrap_err();
        prop_assert_eq!(faults.len(), 1);
        prop_assert_eq!(faults[0].line, at + 1);
        prop_assert!(faults[0].key.ends_with(&key));
    }

    #[test]
    fn no_text_whatever_brings_the_reader_down(text in "\\PC{0,400}") {
        let _read = parse(&text);
    }

    #[test]
    fn no_mutation_of_a_good_file_brings_the_reader_down(at in 0usize..6000, symbol in any::<char>()) {
        let mut text = uncommented();
        let at = (0..=at.min(text.len())).rev().find(|place| text.is_char_boundary(*place)).unwrap();
        text.insert(at, symbol);
        if let Err(faults) = parse(&text) {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.line > 0 && !fault.remedy.is_empty()));
        }
    }
}
