//! The API as the daemon serves it, on a port of its own, over a real store in memory and with a
//! clock that the test moves.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use dotmac_edge::base::clock::{Clock, ManualClock};
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::health::Health;
use dotmac_edge::catalogue::Catalogue;
use dotmac_edge::catalogue::provision::Prover;
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::provisioning::Proof;
use dotmac_edge::domain::service::Service;
use dotmac_edge::notify::{Carrier, Post, Rules};
use dotmac_edge::people::People;
use dotmac_edge::people::password::{Cost, Passwords};
use dotmac_edge::people::subscribers::Subscribers;
use dotmac_edge::serve::api::{self, App, Parts, Route, Site};
use dotmac_edge::serve::control::{self, Place};
use dotmac_edge::serve::http::server::{self, Listener};
use dotmac_edge::store::vault::Vault;
use dotmac_edge::store::{Store, tables};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::desk::{self, Rooms};
use super::http::Client;

/// No NAS speaks to this API, so no session is open and nothing runs under an old answer.
pub struct NoNetwork;

impl Prover for NoNetwork {
    fn proof<'a>(&'a self, _: &'a Service) -> Pin<Box<dyn Future<Output = Proof> + Send + 'a>> {
        Box::pin(std::future::ready(Proof::NothingToEnforce))
    }
}

/// A running API.
pub struct Edge {
    pub app: App,
    pub client: Client,
    /// As the command line on the box.
    pub console: Client,
    pub hand: Arc<ManualClock>,
    pub address: SocketAddr,
    pub post: Post,
    pub stop: CancellationToken,
    _folder: tempfile::TempDir,
}

pub const PASSWORD: &str = "correct horse battery";

impl Edge {
    /// The API with its own routes.
    pub async fn start() -> Self {
        Self::with(Vec::new(), None).await
    }

    /// The API with more routes and perhaps a tenant.
    pub async fn with(more: Vec<Route>, tenant: Option<&str>) -> Self {
        Self::built(more, tenant, None).await
    }

    /// The API whose mail goes to a server on this port, with provisioning at work.
    pub async fn with_mail(port: u16) -> Self {
        let edge = Self::built(Vec::new(), None, Some(port)).await;
        let (provisioning, clock) = (edge.app.catalogue.provisioning.clone(), edge.app.clock.clone());
        let stop = edge.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(provisioning.work(&clock)).await });
        edge
    }

    /// The API of a site that asks a second factor of all staff.
    pub async fn demanding_a_second_factor() -> Self {
        Self::built_with(Vec::new(), None, Vec::new(), true).await
    }

    async fn built(more: Vec<Route>, tenant: Option<&str>, mail: Option<u16>) -> Self {
        Self::built_with(more, tenant, mail.map(desk::mail).into_iter().collect(), false).await
    }

    /// The API whose messages go by these.
    pub async fn with_carriers(carriers: Vec<Carrier>) -> Self {
        Self::built_with(Vec::new(), None, carriers, false).await
    }

    async fn built_with(
        more: Vec<Route>,
        tenant: Option<&str>,
        carriers: Vec<Carrier>,
        demands_second_factor: bool,
    ) -> Self {
        let (clock, hand) = Clock::manual("2026-03-01T08:00:00Z".parse().unwrap());
        let store = Store::memory(clock.clone(), &tables::all(), Arc::new(())).unwrap();
        Self::assembled((store, clock, hand), more, tenant, carriers, demands_second_factor).await
    }

    /// The API over a store that is there already.
    pub async fn over(store: Store, clock: Clock, hand: Arc<ManualClock>) -> Self {
        Self::assembled((store, clock, hand), Vec::new(), None, Vec::new(), false).await
    }

    async fn assembled(
        (store, clock, hand): (Store, Clock, Arc<ManualClock>),
        more: Vec<Route>,
        tenant: Option<&str>,
        carriers: Vec<Carrier>,
        demands_second_factor: bool,
    ) -> Self {
        let (vault, entropy) = (Vault::with_key([7; 32]), Entropy::System);
        let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
        let passwords = Passwords::start(cost, 2, 256, entropy.clone()).unwrap();
        let currency = Currency::parse("NGN").unwrap();
        let zone = TimeZone::get("Africa/Lagos").unwrap();
        let catalogue = Catalogue::new(&store, &entropy, &vault, currency, &zone, Arc::new(NoNetwork));
        let subscribers = Subscribers::new(store.clone(), entropy.clone(), passwords.clone());
        let people = People::new(store.clone(), &vault, entropy.clone(), passwords);
        let post = desk::post_by(&store, &vault, carriers, Rules::default());
        let rooms = Rooms {
            store: &store,
            vault: &vault,
            clock: &clock,
            people: &people,
            subscribers: &subscribers,
            catalogue: &catalogue,
            post: &post,
        };
        let reception = desk::reception(rooms).await;
        let app = App::new(Parts {
            billing: reception.billing().clone(),
            reception,
            catalogue,
            subscribers,
            people,
            store,
            vault,
            clock,
            entropy,
            health: Health::new(),
            site: Site {
                name: "Lekki POP 1".into(),
                tenant: tenant.map(str::to_owned),
                currency,
                timezone: zone,
                demands_second_factor,
            },
        });
        Self::serve(app, more, hand, post).await
    }

    async fn serve(app: App, more: Vec<Route>, hand: Arc<ManualClock>, post: Post) -> Self {
        let mut routes = api::routes();
        routes.extend(more);
        let router = api::router(&app, routes).unwrap();
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let control = control::bind(&Place { path: socket.clone(), group: None }).unwrap();
        for listener in [Listener::Tcp(listener), control] {
            let settings = api::door(&app, None);
            tokio::spawn(server::serve(listener, router.clone(), settings, stop.clone()));
        }
        let (client, console) = (Client::tcp(address), Client::unix(socket));
        Self { app, client, console, hand, address, post, stop, _folder: folder }
    }

    /// An account made on the box, logged in: the login's answer and a client with its token.
    pub async fn staff(&self, email: &str, role: &str) -> (Value, Client) {
        let body = json!({ "email": email, "name": "Ada Obi", "role": role, "password": PASSWORD });
        self.console.post("/api/v1/users", body).await.expect(201);
        self.login(email).await
    }

    /// A subscriber, logged in: their record and a client with their token.
    pub async fn customer(&self, email: &str) -> (Value, Client) {
        let body = json!({ "email": email, "first_name": "Ada", "last_name": "Obi" });
        let made = self.console.post("/api/v1/customers", body).await.expect(201);
        let login = json!({ "email": email, "password": made["portal_password"] });
        let login = self.client.post("/api/v1/auth/customer/login", login).await.expect(200);
        let client = self.client.token(login["access_token"].as_str().unwrap());
        (made, client)
    }

    /// A login of an account that [`Edge::staff`] made.
    pub async fn login(&self, email: &str) -> (Value, Client) {
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = self.client.post("/api/v1/auth/login", body).await.expect(200);
        let client = self.client.token(answer["access_token"].as_str().unwrap());
        (answer, client)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
