//! The whole daemon on ports of its own: from an empty folder to a subscriber who is let in, and
//! through a restart.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing)]

#[path = "support/http.rs"]
mod http;
#[path = "support/radius_lab.rs"]
mod radius_lab;

use std::path::Path;

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::config;
use dotmac_edge::daemon::{self, Running};
use http::Client;
use radius_lab::radclient;
use serde_json::{Value, json};

fn configuration(dir: &Path) -> config::Config {
    let dir = dir.display();
    let text = format!(
        "development = true\n\
         [site]\nname = \"Test\"\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"\n\
         [store]\npath = \"{dir}/store\"\nballast = \"1 MiB\"\n\
         [http]\nadmin = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:0\"\n\
         [radius]\nauthentication = [\"127.0.0.1:0\"]\naccounting = [\"127.0.0.1:0\"]\nreject_delay = \"1s\"\n\
         [control]\nsocket = \"{dir}/control.sock\"\n\
         [secrets]\nkey = \"file:{dir}/box.key\"\n"
    );
    config::parse(&text, Path::new("test.toml")).unwrap()
}

async fn start(dir: &Path) -> Running {
    daemon::start(configuration(dir), Clock::System, Entropy::System).await.unwrap()
}

/// Claims the box and logs in; gives a client that may do everything.
async fn owner(running: &Running) -> Client {
    let client = Client::tcp(running.admin());
    let claim = running.claim().expect("a box without staff offers a claim");
    let code = std::fs::read_to_string(&claim.file).unwrap();
    let account = json!({
        "claim": code.trim(), "email": "owner@example.net", "name": "Owner", "password": "a long pass phrase"
    });
    client.post("/api/v1/auth/create-admin", account).await.expect(201);
    log_in(&client).await
}

async fn log_in(client: &Client) -> Client {
    let login = json!({ "email": "owner@example.net", "password": "a long pass phrase" });
    let said = client.post("/api/v1/auth/login", login).await.expect(200);
    client.token(said["access_token"].as_str().unwrap())
}

async fn furnish(owner: &Client) -> (Value, Value) {
    let plan = json!({
        "plan_code": "home-20", "name": "Home 20", "service_type": "internet", "monthly_price": "17500.00",
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps"
    });
    owner.post("/api/v1/service-plans", plan).await.expect(201);
    let customer = json!({
        "customer_number": "C-77", "email": "ada@example.net", "first_name": "Ada", "last_name": "Obi",
        "phone": "+2348012345678",
        "billing_address": { "street": "1 Marina", "city": "Lagos", "state": "LA", "zip": "101001" }
    });
    let customer = owner.post("/api/v1/customers", customer).await.expect(201);
    let service = json!({
        "customer_id": customer["id"], "plan_code": "home-20", "username": "ada", "password": "open sesame 42"
    });
    let service = owner.post("/api/v1/services", service).await.expect(201);
    let nas = json!({
        "name": "tower-1", "address": "127.0.0.1", "kind": "mikrotik", "secret": radius_lab::SECRET
    });
    owner.post("/api/v1/nas-devices", nas).await.expect(201);
    (customer, service)
}

async fn provision(owner: &Client, customer: &Value, service: &Value) {
    let path = format!("/api/v1/services/{}/provision", service["id"].as_str().unwrap());
    let begun = owner.post(&path, json!({})).await;
    assert!(matches!(begun.status, 200 | 202), "{begun:?}");
    let status = format!("/api/v1/provisioning/status/{}", customer["id"].as_str().unwrap());
    for _ in 0..100 {
        let said = owner.get(&status).await.expect(200);
        if said["status"] == "ready" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("not provisioned: {}", owner.get(&status).await.json());
}

const LOGIN: &str = "User-Name = ada\nUser-Password = \"open sesame 42\"\nMessage-Authenticator = 0x00\n";

async fn login(running: &Running) -> (bool, String) {
    let to = running.radius_authentication()[0];
    tokio::task::spawn_blocking(move || radclient(to, "auth", radius_lab::SECRET, LOGIN, 2)).await.unwrap()
}

async fn account(running: &Running, attributes: &'static str) {
    let to = running.radius_accounting()[0];
    let say = move || radclient(to, "acct", radius_lab::SECRET, attributes, 3);
    let (answered, said) = tokio::task::spawn_blocking(say).await.unwrap();
    assert!(answered, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_empty_folder_to_a_subscriber_who_is_let_in_and_through_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let staff = owner(&running).await;
    let (customer, service) = furnish(&staff).await;

    let (accepted, said) = login(&running).await;
    assert!(!accepted, "not provisioned yet: {said}");
    provision(&staff, &customer, &service).await;
    let (accepted, said) = login(&running).await;
    assert!(accepted && said.contains("Mikrotik-Rate-Limit = \"5M/20M\""), "{said}");

    account(
        &running,
        "Acct-Status-Type = Start\nAcct-Session-Id = 81\nUser-Name = ada\nCalling-Station-Id = 02-00-00-00-00-01\n",
    )
    .await;
    account(
        &running,
        "Acct-Status-Type = Interim-Update\nAcct-Session-Id = 81\nUser-Name = ada\nAcct-Session-Time = 60\n\
         Acct-Output-Octets = 705032704\nAcct-Output-Gigawords = 1\nAcct-Input-Octets = 7\n",
    )
    .await;
    let sessions = staff.get("/api/v1/sessions?open=true").await.expect(200);
    assert_eq!(sessions["total"], 1, "{sessions}");
    running.stop().await;

    let running = start(dir.path()).await;
    assert!(running.claim().is_none(), "the box is claimed");
    let staff = log_in(&Client::tcp(running.admin())).await;
    assert_eq!(running.access().open_sessions(), 1, "read back from the store");
    account(
        &running,
        "Acct-Status-Type = Stop\nAcct-Session-Id = 81\nUser-Name = ada\nAcct-Session-Time = 120\n\
         Acct-Output-Octets = 705032704\nAcct-Output-Gigawords = 1\nAcct-Input-Octets = 9\n",
    )
    .await;
    let sessions = staff.get("/api/v1/sessions").await.expect(200);
    let session = &sessions["items"][0];
    assert_eq!(sessions["total"], 1);
    assert!(session.to_string().contains("5000000000"), "{session}");

    let why = staff.get("/api/v1/why?who=ada").await.expect(200);
    assert_eq!(why["services"][0]["may_be_online"], true, "{why}");
    assert_eq!(why["services"][0]["usage"]["down_octets"], 5_000_000_000_u64, "{why}");
    let path = format!("/api/v1/services/{}/suspend", service["id"].as_str().unwrap());
    staff.post(&path, json!({ "reason": "admin" })).await.expect(200);
    let (accepted, said) = login(&running).await;
    assert!(!accepted, "suspended a moment ago: {said}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_socket_may_what_an_owner_may_and_takes_a_verified_backup() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let console = Client::unix(dir.path().join("control.sock"));
    let staff = json!({ "email": "tech@example.net", "name": "Tech", "role": "owner", "password": "a long pass phrase" });
    console.post("/api/v1/users", staff).await.expect(201);
    let report = console.post("/api/v1/system/store-check", json!({})).await.expect(200);
    assert_eq!(report["damaged"], json!([]));
    let file = dir.path().join("backup.db");
    let backup = console.post("/api/v1/system/backup", json!({ "file": file })).await.expect(200);
    assert_eq!(backup["manifest"]["records"]["staff"], 1, "{backup}");
    let over_tcp = Client::tcp(running.admin());
    over_tcp.post("/api/v1/system/backup", json!({ "file": file })).await.expect(403);
    let health = console.get("/api/v1/system/health").await.expect(200);
    assert_eq!(health["ready"], true, "{health}");
    let metrics = Client::tcp(running.metrics()).get("/metrics").await;
    assert_eq!(metrics.status, 200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let second = daemon::start(configuration(dir.path()), Clock::System, Entropy::System).await;
    let Err(refused) = second else { panic!("two daemons on one store") };
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    running.stop().await;
}

/// The routes that the wiring adds to the API's table are held to the same roles as all others.
#[tokio::test(flavor = "multi_thread")]
async fn the_daemons_own_routes_admit_exactly_the_roles_that_may() {
    use dotmac_edge::domain::role::{Permission, Role};
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let console = Client::unix(dir.path().join("control.sock"));
    let password = "a long pass phrase";
    for role in [Role::Owner].into_iter().chain(Role::ALL.into_iter().filter(|role| *role != Role::Owner)) {
        let email = format!("{}@example.net", role.name());
        let account =
            json!({ "email": email, "name": role.name(), "role": role.name(), "password": password });
        console.post("/api/v1/users", account).await.expect(201);
    }
    let anonymous = Client::tcp(running.admin());
    for path in ["/api/v1/why?who=ada", "/api/v1/system/health"] {
        assert_eq!(anonymous.get(path).await.status, 401, "{path}");
    }
    for role in Role::ALL {
        let login = json!({ "email": format!("{}@example.net", role.name()), "password": password });
        let said = anonymous.post("/api/v1/auth/login", login).await.expect(200);
        let staff = anonymous.token(said["access_token"].as_str().unwrap());
        let expected = |permission| if role.may(permission) { 200 } else { 403 };
        let why = staff.get("/api/v1/why?who=ada").await;
        assert_eq!(why.status, expected(Permission::SessionsRead), "{role:?}");
        let health = staff.get("/api/v1/system/health").await;
        assert_eq!(health.status, expected(Permission::SystemRead), "{role:?}");
        for console_only in ["/api/v1/system/backup", "/api/v1/system/store-check"] {
            assert_eq!(staff.post(console_only, json!({})).await.status, 403, "{role:?} {console_only}");
        }
    }
    running.stop().await;
}
