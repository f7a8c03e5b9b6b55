//! What the dashboards' calls cost with 100,000 customers: processor time (user and system, of the whole process, so
//! that of the client that asks too) of each call over HTTP, as a mean of many. Prints a table and says what is over
//! 5 ms; judges nothing.
//!
//! `DASHBOARD_CUSTOMERS=100000` says how many customers there are, each with a service, three invoices, two payments
//! and two sessions.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic, dead_code, unreachable_pub)]
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
#![allow(clippy::cast_possible_wrap, clippy::large_futures)]

#[path = "../tests/support/books.rs"]
mod books;
#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Instant;

use books::{Books, at, ngn, terms};
use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::billing::{Settings, Window};
use dotmac_edge::domain::ids::{InvoiceId, PaymentId, PlanId, ServiceId, SessionId, SubscriberId};
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::payment::{Payment, PaymentStatus};
use dotmac_edge::domain::session::Session;
use dotmac_edge::domain::subscriber::Subscriber;
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::tables::money::{InvoiceStandings, Invoices, Payments};
use dotmac_edge::store::tables::{Services, Sessions, Subscribers, UsageDay, UsageDays};
use dotmac_edge::store::{Options, SealKey, Store, tables};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use support::edge::Edge;
use support::http::Client;
use uuid::Uuid;

/// What a call may cost.
const MOST_MS: f64 = 5.0;
/// Calls that are measured of each kind; the first three of them fill what is kept in memory.
const CALLS: u32 = 40;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let count = std::env::var("DASHBOARD_CUSTOMERS").map_or(100_000, |text| text.parse().unwrap());
    runtime.block_on(measure(count));
}

async fn measure(count: usize) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let (clock, hand) = Clock::manual(at("2026-03-01T08:00:00Z"));
    let options = Options::new(dir.path(), SealKey::new([7; 32]), clock.clone(), Entropy::System);
    let store = Store::open(&options, &tables::all(), Arc::new(())).unwrap();
    let began = Instant::now();
    let home = fill(&store, count).await;
    println!("{count} customers filled in {:.0} s", began.elapsed().as_secs_f64());
    let edge = Edge::over(store, clock, hand).await;
    let (staff, customer) = clients(&edge, home).await;
    println!("call | cpu ms | first call, cpu ms | total");
    let mut over = Vec::new();
    for (who, path) in calls(count, home) {
        let client = if who == "staff" { &staff } else { &customer };
        let first = cpu_of(client, &path, 1).await.0;
        cpu_of(client, &path, 2).await;
        let (cpu, total) = cpu_of(client, &path, CALLS).await;
        println!("{who} {path} | {cpu:.2} | {first:.2} | {total}");
        if cpu > MOST_MS {
            over.push(format!("{who} {path}: {cpu:.2} ms"));
        }
    }
    println!("over {MOST_MS} ms: {}", if over.is_empty() { "none".to_owned() } else { over.join("; ") });
}

/// One of the customers, for their own calls and for filters.
#[derive(Clone, Copy)]
struct Home {
    subscriber: SubscriberId,
    service: ServiceId,
}

fn calls(count: usize, home: Home) -> Vec<(&'static str, String)> {
    let deep = |all: usize| format!("limit=50&offset={}", all.saturating_sub(60));
    let middle = |all: usize| format!("limit=50&offset={}", all / 2);
    let staff = [
        "customers?limit=50".to_owned(),
        format!("customers?{}", middle(count)),
        format!("customers?{}", deep(count)),
        "customers?search=Obi&limit=50".to_owned(),
        format!("customers?search=K-{:06}", count / 2),
        "customers?search=nobody+here".to_owned(),
        "customers?status=active&limit=50".to_owned(),
        format!("customers?status=active&{}", deep(count)),
        "customers?status=suspended&limit=50".to_owned(),
        format!("customers/{}", home.subscriber),
        format!("customers/{}/wallet", home.subscriber),
        "services?limit=50".to_owned(),
        format!("services?{}", deep(count)),
        "services?phase=active&limit=50".to_owned(),
        format!("services?search=line{}", count / 2),
        format!("services?plan=home-20&{}", deep(count)),
        format!("services/{}", home.service),
        "invoices?limit=50".to_owned(),
        format!("invoices?{}", deep(count * 3)),
        "invoices?status=overdue&limit=50".to_owned(),
        "invoices?status=paid&limit=50".to_owned(),
        "invoices?search=INV-2026-000017".to_owned(),
        format!("invoices?customer_id={}", home.subscriber),
        "payments?limit=50".to_owned(),
        format!("payments?{}", deep(count * 2)),
        "payments?status=succeeded&limit=50".to_owned(),
        "payments?status=pending&limit=50".to_owned(),
        "orders?limit=50".to_owned(),
        "subscriptions?limit=50".to_owned(),
        "ledger/postings?limit=50".to_owned(),
        "sessions?limit=50".to_owned(),
        format!("sessions?{}", deep(count * 2)),
        "sessions?open=true&limit=50".to_owned(),
        format!("sessions?customer_id={}", home.subscriber),
        "messages?limit=50".to_owned(),
        "audit?limit=50".to_owned(),
        "auth-events?limit=50".to_owned(),
        "system/status".to_owned(),
        "pending-changes".to_owned(),
    ];
    let own = [
        "dashboard",
        "profile",
        "service",
        "usage",
        "sessions",
        "wallet",
        "invoices",
        "payments",
        "orders",
        "devices",
    ];
    let staff = staff.into_iter().map(|path| ("staff", format!("/api/v1/{path}")));
    staff.chain(own.map(|path| ("customer", format!("/api/v1/customer/{path}")))).collect()
}

/// Processor time of a call in ms, as a mean, and the total that it says.
async fn cpu_of(client: &Client, path: &str, times: u32) -> (f64, String) {
    let before = cpu();
    let mut said = Value::Null;
    for _ in 0..times {
        let reply = client.get(path).await;
        assert!(reply.status == 200 || reply.status == 404, "{path}: {}", reply.status);
        said = reply.json();
        if reply.status == 404 {
            return (0.0, "there is no such call".to_owned());
        }
    }
    ((cpu() - before) / f64::from(times), said["total"].to_string())
}

/// User and system time of this process, ms.
fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let ms = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    ms(usage.user_time()) + ms(usage.system_time())
}

async fn clients(edge: &Edge, home: Home) -> (Client, Client) {
    let (_, staff) = edge.staff("owner@example.net", "owner").await;
    let path = format!("/api/v1/customers/{}/reset-portal-password", home.subscriber);
    let made = edge.console.post(&path, json!({})).await.expect(200);
    let number = made["customer_number"].clone();
    let login = json!({ "email": number, "username": number, "password": made["portal_password"] });
    let login = edge.client.post("/api/v1/auth/customer/login", login).await.expect(200);
    (staff, edge.client.token(login["access_token"].as_str().unwrap()))
}

/// Customers with what belongs to them, made as records; every twentieth owes its last invoice.
async fn fill(store: &Store, count: usize) -> Home {
    let zone = TimeZone::get("Africa/Lagos").unwrap();
    let settings = Settings::plain(Currency::parse("NGN").unwrap(), zone);
    let books = Books::over(store.clone(), &settings);
    let began = at("2026-01-01T10:00:00Z");
    let plan = books.plan("home-20", terms(10_000, None), began).await;
    let forms = Forms::made(&books, plan, began).await;
    let mut home = None;
    let mut made = 0;
    while made < count {
        let mut unit = Unit::natural();
        let until = count.min(made + TOGETHER);
        for number in made..until {
            let now = began + SignedDuration::from_millis(number as i64);
            let one;
            (unit, one) = forms.one(unit, number, now);
            home = Some(one);
        }
        made = until;
        store.commit(unit).await.unwrap();
    }
    books.billing.till.adopt(None, at("2026-02-28T10:00:00Z")).await.unwrap();
    home.unwrap()
}

/// Customers in one commit.
const TOGETHER: usize = 40;

/// One of each kind, as the program itself makes them.
struct Forms {
    plan: PlanId,
    subscriber: Subscriber,
    service: dotmac_edge::domain::service::Service,
    invoice: dotmac_edge::domain::invoice::Invoice,
    standing: dotmac_edge::domain::invoice::InvoiceStanding,
    payment: Payment,
}

impl Forms {
    async fn made(books: &Books, plan: PlanId, began: Timestamp) -> Self {
        let all = books.crowd(1, &terms(10_000, None), began).await;
        let (id, service_id) = all[0];
        let subscriber = books.store.get::<Subscribers>(&id).await.unwrap().unwrap().body;
        let service = books.service_of(service_id).await;
        let due = at("2026-02-01T11:00:00Z");
        books.billing.till.run_cycle(due).await.unwrap();
        let window = Window { offset: 0, limit: 1 };
        let listed = books.billing.till.invoices(&Default::default(), window, due).await.unwrap();
        let document = listed.items.into_iter().next().unwrap();
        let payment = books.attempt(id, None, ngn(10_000), began).await;
        let standing = document.standing.unwrap();
        Self { plan, subscriber, service, invoice: document.invoice, standing, payment }
    }

    fn one(&self, mut unit: Unit, number: usize, now: Timestamp) -> (Unit, Home) {
        let id = SubscriberId(Uuid::now_v7());
        let service_id = ServiceId(Uuid::now_v7());
        let mut subscriber = self.subscriber.clone();
        subscriber.id = id;
        subscriber.customer_number = format!("K-{number:06}").parse_code();
        subscriber.portal_id = format!("Q{number:07}").parse_code();
        let mut service = self.service.clone();
        (service.id, service.subscriber_id, service.plan_id) = (service_id, id, self.plan);
        service.service_number = format!("T-{number}").parse_code();
        service.username = dotmac_edge::domain::text::Username::parse(&format!("line{number}")).unwrap();
        unit = unit.create::<Subscribers>(&id, &subscriber).unwrap();
        unit = unit.create::<Services>(&service_id, &service).unwrap();
        for month in 0..3 {
            unit = self.invoice(
                unit,
                (id, service_id),
                number * 3 + month,
                number.is_multiple_of(20) && month == 2,
                now,
            );
        }
        for kind in 0..2 {
            unit = self.payment(unit, id, number * 2 + kind, now);
            unit = session(
                unit,
                (id, service_id),
                number * 2 + kind,
                number.is_multiple_of(10) && kind == 1,
                now,
            );
        }
        let day = UsageDay { service_id, period: None, day: now.to_zoned(TimeZone::UTC).date() };
        unit = unit.put_counted::<UsageDays>(&day.key(), &day, vec![1 << 30, 1 << 20, 3_600, 0]).unwrap();
        (unit, Home { subscriber: id, service: service_id })
    }

    fn invoice(
        &self,
        unit: Unit,
        (of, service): (SubscriberId, ServiceId),
        number: usize,
        owes: bool,
        now: Timestamp,
    ) -> Unit {
        let id = InvoiceId(Uuid::now_v7());
        let mut invoice = self.invoice.clone();
        (invoice.id, invoice.subscriber_id, invoice.created_at) = (id, of, now);
        invoice.number = Some(format!("INV-2026-{:06}", number + 10));
        let mut standing = self.standing.clone();
        (standing.invoice_id, standing.subscriber_id, standing.services) = (id, of, vec![service]);
        standing.next_dunning_at = None;
        if !owes {
            standing.paid = standing.total.minor;
        }
        let unit = unit.create::<Invoices>(&id, &invoice).unwrap();
        unit.create::<InvoiceStandings>(&id, &standing).unwrap()
    }

    fn payment(&self, unit: Unit, of: SubscriberId, number: usize, now: Timestamp) -> Unit {
        let id = PaymentId(Uuid::now_v7());
        let mut payment = self.payment.clone();
        (payment.id, payment.subscriber_id, payment.created_at) = (id, Some(of), now);
        payment.reference = format!("k-{number}");
        payment.status = PaymentStatus::Succeeded;
        unit.create::<Payments>(&id, &payment).unwrap()
    }
}

fn session(
    unit: Unit,
    (of, service): (SubscriberId, ServiceId),
    number: usize,
    is_open: bool,
    now: Timestamp,
) -> Unit {
    let id = SessionId(Uuid::now_v7());
    let mut said = json!({
        "id": id, "nas_id": Uuid::from_u128(9), "acct_session_id": format!("s-{number}"), "service_id": service,
        "subscriber_id": of, "username": format!("line{number}"), "calling_station": "02-00-00-00-00-01",
        "reported_from": "10.0.0.1", "opened_at": now, "opened_by": "start",
    });
    if !is_open {
        said["closed_at"] = json!(now + SignedDuration::from_hours(1));
        said["closed_why"] = json!({ "why": "stop", "cause": 1 });
    }
    let session: Session = serde_json::from_value(said).unwrap();
    unit.put_counted::<Sessions>(&id, &session, vec![0; COUNTERS]).unwrap()
}

const COUNTERS: usize = dotmac_edge::domain::session::Counters::NAMES.len();

trait ParseCode {
    fn parse_code(&self) -> dotmac_edge::domain::text::Code;
}

impl ParseCode for String {
    fn parse_code(&self) -> dotmac_edge::domain::text::Code {
        dotmac_edge::domain::text::Code::parse(self).unwrap()
    }
}
