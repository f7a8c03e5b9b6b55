//! Stripe's own library and ours agree on signatures, and an independent imitation of Stripe takes one payment from
//! our calls to a webhook that we accept: signer and verifier are never both ours.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/mock_gateway.rs"]
mod mock_gateway;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dotmac_edge::base::secret::Secret;
use dotmac_edge::billing::provider::sign;
use jiff::Timestamp;

/// Python with Stripe's library and `localstripe`; `.ci/deps` makes it, and so does the first test without it.
fn python() -> PathBuf {
    static MADE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = MADE.lock();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/stripe");
    let python = root.join("bin/python");
    if !python.exists() || !root.join("bin/localstripe").exists() {
        let made = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".ci/deps")).status().unwrap();
        assert!(made.success(), "Stripe's library could not be installed; run .ci/deps");
    }
    python
}

/// What a program in Python prints.
fn run(program: &str, arguments: &[&str]) -> String {
    let said = Command::new(python()).args(["-c", program]).args(arguments).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

const BODY: &str =
    r#"{"id":"evt_1","object":"event","type":"checkout.session.completed","data":{"object":{}}}"#;

#[test]
fn what_stripes_own_library_signs_is_accepted_and_what_we_sign_it_accepts() {
    let now = Timestamp::now();
    let secret = "whsec_of_a_test";
    let sign = "import sys, stripe\n\
        secret, at, body = sys.argv[1:4]\n\
        print('t=%s,v1=%s' % (at, stripe.WebhookSignature._compute_signature('%s.%s' % (at, body), secret)))";
    let at = now.as_second().to_string();
    let header = run(sign, &[secret, &at, BODY]);
    assert!(sign::is_stripe(&Secret::from_text(secret), BODY.as_bytes(), &header, now), "{header}");
    assert!(!sign::is_stripe(&Secret::from_text("whsec_other"), BODY.as_bytes(), &header, now));
    assert!(!sign::is_stripe(&Secret::from_text(secret), b"{}", &header, now));

    let check = "import sys, stripe\n\
        secret, header, body = sys.argv[1:4]\n\
        try:\n    print(stripe.Webhook.construct_event(body, header, secret).id)\n\
        except stripe.SignatureVerificationError:\n    print('refused')";
    let ours = mock_gateway::stripe_signature(secret, u64::try_from(now.as_second()).unwrap(), BODY);
    assert_eq!(run(check, &[secret, &ours, BODY]), "evt_1");
    assert_eq!(run(check, &["whsec_other", &ours, BODY]), "refused");
    // Both refuse what is too old.
    let old = now.as_second() - 301;
    let stale = mock_gateway::stripe_signature(secret, u64::try_from(old).unwrap(), BODY);
    assert_eq!(run(check, &[secret, &stale, BODY]), "refused");
    assert!(!sign::is_stripe(&Secret::from_text(secret), BODY.as_bytes(), &stale, now));
}

/// `localstripe` listens on every address, so it runs in a network namespace of its own; it knows no Checkout, so this
/// is a PaymentIntent by Stripe's library, and its webhook against our verifier.
#[test]
fn a_webhook_of_an_independent_imitation_of_stripe_is_accepted() {
    let script = r#"
import http.server, json, subprocess, sys, threading, time, urllib.request
import stripe
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
got = []
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        got.append((self.headers["Stripe-Signature"], body))
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 9100), Hook)
threading.Thread(target=server.serve_forever, daemon=True).start()
api = subprocess.Popen([sys.argv[1], "--port", "8420", "--from-scratch"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(100):
        try:
            urllib.request.urlopen("http://127.0.0.1:8420/", timeout=1); break
        except urllib.error.HTTPError: break
        except OSError: time.sleep(0.1)
    form = "url=http%3A%2F%2F127.0.0.1%3A9100%2F&secret=whsec_local"
    urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:8420/_config/webhooks/edge", form.encode()))
    stripe.api_key, stripe.api_base = "sk_test_12345", "http://127.0.0.1:8420"
    customer = stripe.Customer.create(email="ada@example.net")
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    method = stripe.PaymentMethod.create(type="card", card=card)
    stripe.PaymentMethod.attach(method.id, customer=customer.id)
    intent = stripe.PaymentIntent.create(amount=50000, currency="ngn", customer=customer.id, payment_method=method.id, confirm=True)
    assert intent.status == "succeeded", intent.status
    for _ in range(100):
        if any(json.loads(body)["type"] == "payment_intent.succeeded" for _, body in got): break
        time.sleep(0.1)
    for signature, body in got:
        print(json.dumps({"signature": signature, "body": body}))
finally:
    api.terminate()
"#;
    let python = python();
    let localstripe = python.with_file_name("localstripe");
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(&python)
        .args(["-c", script])
        .arg(&localstripe)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let mut kinds = Vec::new();
    for line in &lines {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        let (header, body) = (told["signature"].as_str().unwrap(), told["body"].as_str().unwrap());
        let now = Timestamp::now();
        assert!(sign::is_stripe(&Secret::from_text("whsec_local"), body.as_bytes(), header, now), "{header}");
        assert!(!sign::is_stripe(&Secret::from_text("whsec_wrong"), body.as_bytes(), header, now));
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        kinds.push(event["type"].as_str().unwrap().to_owned());
    }
    assert!(kinds.iter().any(|kind| kind == "payment_intent.succeeded"), "{kinds:?}");
}
