//! The API on a port of its own over a real store on disk, for tests that speak HTTP to it.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "desk.rs"]
mod desk;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::health::Health;
use dotmac_edge::catalogue::Catalogue;
use dotmac_edge::catalogue::provision::Prover;
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::provisioning::Proof;
use dotmac_edge::domain::role::Role;
use dotmac_edge::domain::service::Service;
use dotmac_edge::domain::text::{Email, Line};
use dotmac_edge::people::People;
use dotmac_edge::people::password::{Cost, Passwords};
use dotmac_edge::people::staff::{By, NewStaff};
use dotmac_edge::people::subscribers::Subscribers;
use dotmac_edge::serve::api::{self, App, Parts, Site};
use dotmac_edge::serve::http::server::{Listener, serve};
use dotmac_edge::store::{Options, Store, Vault, tables};
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub const EMAIL: &str = "owner@example.net";
pub const PASSWORD: &str = "a long enough pass phrase";

/// What enforcement can prove, as the test says.
#[derive(Default)]
pub struct Proofs(pub Mutex<Option<String>>);

impl Prover for Proofs {
    fn proof<'a>(
        &'a self,
        _service: &'a Service,
    ) -> std::pin::Pin<Box<dyn Future<Output = Proof> + Send + 'a>> {
        let owed = self.0.lock().unwrap().clone();
        Box::pin(async move { owed.map_or(Proof::NothingToEnforce, |what| Proof::Owed { what }) })
    }
}

pub struct Lab {
    pub store: Store,
    pub catalogue: Catalogue,
    pub proofs: Arc<Proofs>,
    pub address: SocketAddr,
    pub token: String,
    stop: CancellationToken,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Value,
}

pub fn open_store(dir: &Path) -> (Store, Vault) {
    let vault = Vault::with_key([7; 32]);
    let options = Options::new(dir, vault.seal_key(), Clock::System, Entropy::System);
    (Store::open(&options, &tables::all(), Arc::new(())).unwrap(), vault)
}

pub fn catalogue(store: &Store, vault: &Vault, proofs: &Arc<Proofs>) -> Catalogue {
    let zone = TimeZone::get("Africa/Lagos").unwrap();
    let currency = Currency::parse("NGN").unwrap();
    Catalogue::new(store, &Entropy::System, vault, currency, &zone, Arc::<Proofs>::clone(proofs))
}

impl Lab {
    pub async fn open(dir: &Path) -> Self {
        let (store, vault) = open_store(dir);
        let proofs = Arc::new(Proofs::default());
        let catalogue = catalogue(&store, &vault, &proofs);
        let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
        let passwords = Passwords::start(cost, 1, 256, Entropy::System).unwrap();
        let people = People::new(store.clone(), &vault, Entropy::System, passwords.clone());
        hire(&people, &store, EMAIL, Role::Owner).await;
        hire(&people, &store, "cashier@example.net", Role::Cashier).await;
        let subscribers = Subscribers::new(store.clone(), Entropy::System, passwords);
        let rooms = desk::Rooms {
            store: &store,
            vault: &vault,
            clock: &Clock::System,
            people: &people,
            subscribers: &subscribers,
            catalogue: &catalogue,
            post: &desk::post(&store, &vault, None),
        };
        let reception = desk::reception(rooms).await;
        let app = App::new(Parts {
            store: store.clone(),
            billing: reception.billing().clone(),
            reception,
            vault,
            people,
            catalogue: catalogue.clone(),
            subscribers,
            clock: Clock::System,
            entropy: Entropy::System,
            health: Health::new(),
            site: Site {
                name: "Lab".into(),
                tenant: None,
                currency: Currency::parse("NGN").unwrap(),
                timezone: TimeZone::get("Africa/Lagos").unwrap(),
                demands_second_factor: false,
            },
        });
        let router = api::router(&app, api::routes()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = api::door(&app, None);
        let stop = CancellationToken::new();
        tokio::spawn(serve(Listener::Tcp(listener), router, settings, stop.clone()));
        let mut lab = Self { store, catalogue, proofs, address, token: String::new(), stop };
        lab.token = lab.log_in(EMAIL).await;
        lab
    }

    pub async fn log_in(&self, email: &str) -> String {
        let body = format!(r#"{{"email":"{email}","password":"{PASSWORD}"}}"#);
        let reply = self.send("POST", "/api/v1/auth/login", &[], &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    /// With the owner's token.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        let token = format!("Bearer {}", self.token);
        self.send(method, path, &[("authorization", &token), ("content-type", "application/json")], body)
            .await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "").await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply {
            status,
            head: head.to_lowercase(),
            body: serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())),
        }
    }

    /// A plan, a customer and a service; the service's id and the customer's.
    pub async fn contract(&self, number: u32) -> (String, String) {
        let plan = r#"{"plan_code":"home-20","name":"Home 20","monthly_price":17500,"download_speed":20,
            "upload_speed":5,"bandwidth_unit":"mbps","validity_days":30}"#;
        let made = self.call("POST", "/api/v1/service-plans", plan).await;
        assert!(matches!(made.status, 201 | 409), "{made:?}");
        let customer = format!(r#"{{"customer_number":"N{number}","first_name":"Ada","last_name":"Obi"}}"#);
        let customer = self.call("POST", "/api/v1/customers", &customer).await;
        assert_eq!(customer.status, 201, "{customer:?}");
        let customer = customer.body["id"].as_str().unwrap().to_owned();
        let service = format!(r#"{{"customer_id":"{customer}","plan_code":"home-20"}}"#);
        let service = self.call("POST", "/api/v1/services", &service).await;
        assert_eq!(service.status, 201, "{service:?}");
        (service.body["id"].as_str().unwrap().to_owned(), customer)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn hire(people: &People, store: &Store, email: &str, role: Role) {
    let verifier = people.hash_password(PASSWORD, email).await.unwrap();
    let new =
        NewStaff { email: Email::parse(email).unwrap(), name: Line::parse("Olu").unwrap(), role, verifier };
    let actor = Actor::system();
    let by = By { actor: &actor, role: Role::Owner, now: Clock::System.now() };
    let draft = people.create_from_console(by, &new).await.unwrap();
    store.commit(draft.unit).await.unwrap();
}
