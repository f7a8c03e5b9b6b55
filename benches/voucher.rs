//! What the first use of a voucher costs among a thousand of them and among a million, durable on disk with the
//! subscriber and the service that it makes. Prints a table and the ratio of the medians; judges nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic, dead_code, unreachable_pub)]
#![allow(clippy::cast_precision_loss)]

#[path = "../tests/support/desk.rs"]
mod desk;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::billing::voucher::batch::BatchWish;
use dotmac_edge::catalogue::Catalogue;
use dotmac_edge::catalogue::provision::Prover;
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::ids::PlanId;
use dotmac_edge::domain::money::Currency;
use dotmac_edge::domain::plan::Plan;
use dotmac_edge::domain::provisioning::Proof;
use dotmac_edge::domain::service::Service;
use dotmac_edge::domain::text::Line;
use dotmac_edge::domain::voucher_code::VoucherCode;
use dotmac_edge::people::People;
use dotmac_edge::people::password::{Cost, Passwords};
use dotmac_edge::people::subscribers::Subscribers;
use dotmac_edge::reception::{Reception, Redeemer, nothing};
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::tables::{self, Plans};
use dotmac_edge::store::{Options, Store, Vault};
use jiff::tz::TimeZone;
use serde_json::json;
use uuid::Uuid;

/// Uses that are measured in each store.
const USES: usize = 1_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("vouchers | made in s | made/s | first use: median us | 99th us");
    let mut medians = Vec::new();
    for count in [1_000u32, 1_000_000] {
        medians.push(runtime.block_on(measure(count)));
    }
    let ratio = medians[1].as_secs_f64() / medians[0].as_secs_f64();
    println!("among 1,000,000 against among 1,000: {ratio:.2}");
}

async fn measure(count: u32) -> Duration {
    // In the working directory: a temporary one may be in memory, where syncing costs nothing.
    let dir = tempfile::tempdir_in(".").unwrap();
    let (store, reception) = open(dir.path()).await;
    let began = Instant::now();
    let mut codes = Vec::new();
    for first in (0..count).step_by(100_000) {
        codes.extend(batch(&store, &reception, (count - first).min(100_000)).await);
    }
    let took = began.elapsed();
    let step = codes.len() / USES;
    let mut times = Vec::with_capacity(USES);
    for (n, code) in codes.iter().step_by(step.max(1)).take(USES).enumerate() {
        let (code, source) = (VoucherCode::parse(code).unwrap(), n.to_string());
        let who = Redeemer { subscriber: None, device: None, source: &source, begins_visit: false };
        let began = Instant::now();
        let used = reception.redeem(&code, who, &nothing, &Actor::system(), Clock::System.now()).await;
        times.push(began.elapsed());
        assert!(used.unwrap().is_first);
    }
    times.sort_unstable();
    let (median, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "{count} | {:.1} | {:.0} | {} | {}",
        took.as_secs_f64(),
        f64::from(count) / took.as_secs_f64(),
        median.as_micros(),
        late.as_micros()
    );
    store.close().await;
    median
}

async fn batch(store: &Store, reception: &Reception, count: u32) -> Vec<String> {
    let (vouchers, now) = (reception.vouchers(), Clock::System.now());
    let wish = BatchWish {
        name: Line::parse("Bench").unwrap(),
        plan: "day".to_owned(),
        count,
        for_sale: false,
        prefix: None,
        price: None,
        validity: None,
        device_limit: None,
        data_allowance: None,
        redeem_by: None,
    };
    let draft = vouchers.begin_batch(&Actor::system(), wish, now).await.unwrap();
    store.commit(draft.unit).await.unwrap();
    vouchers.make_all(draft.value.id, now).await.unwrap();
    let opened = vouchers.open_envelope(&Actor::system(), &draft.value.id.to_string(), now).await.unwrap();
    opened.cards.into_iter().map(|card| card.code).collect()
}

/// No NAS, so nothing runs under an old answer.
struct NoNetwork;

impl Prover for NoNetwork {
    fn proof<'a>(&'a self, _: &'a Service) -> Pin<Box<dyn Future<Output = Proof> + Send + 'a>> {
        Box::pin(std::future::ready(Proof::NothingToEnforce))
    }
}

async fn open(dir: &std::path::Path) -> (Store, Reception) {
    let (vault, entropy) = (Vault::with_key([7; 32]), Entropy::System);
    let options = Options::new(dir, vault.seal_key(), Clock::System, entropy.clone());
    let store = Store::open(&options, &tables::all(), Arc::new(())).unwrap();
    let zero = json!({ "minor": 0, "currency": "NGN" });
    let plan: Plan = serde_json::from_value(json!({
        "id": Uuid::from_u128(1), "code": "day", "is_active": true, "is_public": true,
        "created_at": Clock::System.now(), "updated_at": Clock::System.now(),
        "terms": {
            "version": 1, "name": "Day", "service_type": "internet", "monthly_price": zero, "setup_fee": zero,
            "cancellation_fee": zero, "rates": { "down": 1_000_000, "up": 1_000_000 }, "device_limit": 1,
            "validity": { "count": 24, "unit": "hours" },
        },
    }))
    .unwrap();
    let unit = Unit::natural().put::<Plans>(&PlanId(Uuid::from_u128(1)), &plan).unwrap();
    store.commit(unit).await.unwrap();
    let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let passwords = Passwords::start(cost, 1, 16, entropy.clone()).unwrap();
    let (currency, zone) = (Currency::parse("NGN").unwrap(), TimeZone::get("Africa/Lagos").unwrap());
    let catalogue = Catalogue::new(&store, &entropy, &vault, currency, &zone, Arc::new(NoNetwork));
    let subscribers = Subscribers::new(store.clone(), entropy.clone(), passwords.clone());
    let people = People::new(store.clone(), &vault, entropy.clone(), passwords);
    let post = desk::post(&store, &vault, None);
    let rooms = desk::Rooms {
        store: &store,
        vault: &vault,
        clock: &Clock::System,
        people: &people,
        subscribers: &subscribers,
        catalogue: &catalogue,
        post: &post,
    };
    let reception = desk::reception(rooms).await;
    (store, reception)
}
