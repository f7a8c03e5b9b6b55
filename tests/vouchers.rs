//! Vouchers over the API as the daemon serves it: batches and their codes, first uses at once, agents and their
//! floats, drawers and their counts.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use dotmac_edge::base::secret::Secret;
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::ids::SubscriberId;
use dotmac_edge::domain::message::Kind;
use dotmac_edge::domain::voucher::VoucherRefusal;
use dotmac_edge::domain::voucher_code::VoucherCode;
use dotmac_edge::notify;
use dotmac_edge::notify::sms::http::{Content, Http, Method};
use dotmac_edge::notify::sms::{Provider, Sms};
use dotmac_edge::reception::{RedeemError, Redeemed, Redeemer, nothing};
use dotmac_edge::store::contract::{Page as StorePage, Range};
use dotmac_edge::store::tables::Messages;
use serde_json::{Value, json};
use support::edge::Edge;
use support::http::Client;

const BATCHES: &str = "/api/v1/voucher-batches";
const SALES: &str = "/api/v1/voucher-sales";

async fn plan(edge: &Edge, code: &str, more: &Value) {
    let mut plan = json!({
        "plan_code": code, "name": code, "service_type": "internet", "monthly_price": "5.00",
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps", "validity_hours": 24,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        plan[name] = value.clone();
    }
    edge.console.post("/api/v1/service-plans", plan).await.expect(201);
}

/// A batch under a plan, made to its end; its view and its codes.
async fn batch(edge: &Edge, wish: Value) -> (Value, Vec<String>) {
    let made = edge.console.post(BATCHES, wish).await.expect(201);
    let path = format!("{BATCHES}/{}", made["id"].as_str().unwrap());
    edge.app.reception.vouchers().carry_on(edge.app.clock.now()).await.unwrap();
    let ready = edge.console.get(&path).await.expect(200);
    assert_eq!(ready["status"], "ready");
    if ready["count"] == 0 {
        return (ready, Vec::new());
    }
    let opened = edge.console.post(&format!("{path}/codes"), json!({})).await.expect(200);
    let codes = opened["codes"].as_array().unwrap().iter();
    (ready, codes.map(|card| card["code"].as_str().unwrap().to_owned()).collect())
}

async fn use_code(
    edge: &Edge,
    code: &str,
    subscriber: Option<SubscriberId>,
    source: &str,
) -> Result<Redeemed, RedeemError> {
    let code = VoucherCode::parse(code).unwrap();
    let who = Redeemer { subscriber, device: None, source, begins_visit: false };
    edge.app.reception.redeem(&code, who, &nothing, &Actor::system(), edge.app.clock.now()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_23_fifty_strangers_at_once_use_one_code_once() {
    let edge = Edge::start().await;
    plan(&edge, "day", &json!({})).await;
    let (_, codes) = batch(&edge, json!({ "name": "Kiosk", "plan": "day", "count": 3 })).await;
    let tries = (0..50).map(|n| {
        let (edge, code) = (&edge, &codes[0]);
        async move { use_code(edge, code, None, &format!("device-{n}")).await.unwrap() }
    });
    let used: Vec<Redeemed> = futures(tries).await;
    assert_eq!(used.iter().filter(|one| one.is_first).count(), 1);
    let services: HashSet<_> = used.iter().map(|one| one.service).collect();
    assert_eq!(services.len(), 1, "all of them are the login of one service");
    let service = edge.console.get(&format!("/api/v1/services/{}", used[0].service)).await.expect(200);
    assert_eq!(service["status"], "active", "{service}");
    assert_eq!((used[0].until - used[0].from).get_seconds(), 86_400);
    let all = edge.console.get("/api/v1/services").await.expect(200);
    assert_eq!(all["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_23_fifty_customers_at_once_get_one_code_once() {
    let edge = Edge::start().await;
    plan(&edge, "day", &json!({})).await;
    let (_, codes) = batch(&edge, json!({ "name": "Kiosk", "plan": "day", "count": 1 })).await;
    let mut customers = Vec::new();
    for n in 0..50 {
        let body = json!({ "customer_number": format!("N{n}"), "first_name": "Ada", "last_name": "Obi" });
        let made = edge.console.post("/api/v1/customers", body).await.expect(201);
        customers.push(made["id"].as_str().unwrap().parse::<SubscriberId>().unwrap());
    }
    let tries = customers.iter().map(|customer| {
        let (edge, code) = (&edge, &codes[0]);
        async move { use_code(edge, code, Some(*customer), &customer.to_string()).await }
    });
    let answers = futures(tries).await;
    let (took, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(took.len(), 1);
    assert!(refused.iter().all(|one| matches!(one, Err(RedeemError::Refused(VoucherRefusal::Used)))));
    let owner = took[0].as_ref().unwrap().subscriber;
    let again = use_code(&edge, &codes[0], Some(owner), "again").await.unwrap();
    assert!(!again.is_first, "a repeat of whoever has it answers the same");
    let all = edge.console.get("/api/v1/services").await.expect(200);
    assert_eq!(all["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_voucher_extends_what_is_paid_and_another_plans_queues() {
    let edge = Edge::start().await;
    plan(&edge, "day", &json!({})).await;
    plan(&edge, "week", &json!({ "validity_hours": 168 })).await;
    let (_, days) = batch(&edge, json!({ "name": "Days", "plan": "day", "count": 2 })).await;
    let (_, weeks) = batch(&edge, json!({ "name": "Weeks", "plan": "week", "count": 1 })).await;
    let (customer, client) = edge.customer("ada@example.net").await;
    let redeem = |code: &str| {
        let (client, body) = (client.clone(), json!({ "code": code.to_lowercase().replace('-', " ") }));
        async move { client.post("/api/v1/vouchers/redeem", body).await.expect(200) }
    };
    let first = redeem(&days[0]).await;
    assert_eq!((&first["first_use"], &first["customer_id"]), (&json!(true), &customer["id"]));
    assert_eq!(first["until"], "2026-03-02T08:00:00.000Z");
    let second = redeem(&days[1]).await;
    assert_eq!((&second["from"], &second["service_id"]), (&first["until"], &first["service_id"]));
    assert_eq!(second["until"], "2026-03-03T08:00:00.000Z");
    let queued = redeem(&weeks[0]).await;
    assert_eq!(queued["from"], second["until"]);
    assert_ne!(queued["service_id"], first["service_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_handed_out_for_a_short_time_and_then_nobody_knows_them() {
    let edge = Edge::start().await;
    plan(&edge, "day", &json!({ "name": "=Day" })).await;
    let wish = json!({ "name": "+cmd|' /C calc'!A0", "plan": "day", "count": 12, "prefix": "lekki",
        "redeem_by": "2026-06-01T00:00" });
    let (ready, codes) = batch(&edge, wish).await;
    assert_eq!(ready["redeem_by"], "2026-05-31T23:00:00.000Z");
    assert!(codes.iter().all(|code| code.starts_with("LEKKI-") && code.len() == 20), "{codes:?}");
    let path = format!("{BATCHES}/{}", ready["code"].as_str().unwrap());
    let csv = edge.console.post(&format!("{path}/codes?format=csv"), json!({})).await;
    let text = String::from_utf8(csv.body.clone()).unwrap();
    assert_eq!((csv.status, text.lines().count()), (200, 13));
    assert!(text.contains(&codes[11]) && text.contains("'=Day") && text.contains("'+cmd|"), "{text}");
    let pdf = edge.console.post(&format!("{path}/codes?format=pdf"), json!({})).await;
    assert!(pdf.status == 200 && pdf.body.starts_with(b"%PDF-"));
    let html = edge.console.post(&format!("{path}/codes?format=html&from=2&to=3"), json!({})).await;
    let page = String::from_utf8(html.body.clone()).unwrap();
    assert!(page.contains(&codes[1]) && page.contains(&codes[2]) && !page.contains(&codes[0]), "{page}");

    let shown = edge.console.get(&path).await.expect(200).to_string();
    let of_batch = format!("/api/v1/vouchers?batch={}", ready["id"].as_str().unwrap());
    let listed = edge.console.get(&of_batch).await.expect(200);
    let audit = edge.console.get("/api/v1/audit").await.expect(200);
    for code in &codes {
        let bare = VoucherCode::parse(code).unwrap();
        for text in [&shown, &listed.to_string(), &audit.to_string()] {
            assert!(!text.contains(code.as_str()) && !text.contains(bare.canonical()));
        }
    }
    edge.hand.advance(Duration::from_secs(15 * 60));
    let late = edge.console.post(&format!("{path}/codes"), json!({})).await;
    assert_eq!(late.refusal(422), "business_rule_violation");
    edge.app.reception.vouchers().carry_on(edge.app.clock.now()).await.unwrap();
    assert_eq!(edge.console.get(&path).await.expect(200)["codes_until"], Value::Null);
    use_code(&edge, &codes[3], None, "a device").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shelf_life_validity_and_revocation_are_told_apart() {
    let edge = Edge::start().await;
    plan(&edge, "day", &json!({})).await;
    let wish = json!({ "name": "Kiosk", "plan": "day", "count": 4, "redeem_by": "2026-03-01T10:00:00" });
    let (ready, codes) = batch(&edge, wish).await;
    let refusal = |answer: Result<Redeemed, RedeemError>| match answer {
        Err(RedeemError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    // It is 09:00 in Lagos; one second before the end of the shelf life.
    edge.hand.advance(Duration::from_secs(3_599));
    let used = use_code(&edge, &codes[0], None, "a").await.unwrap();
    assert_eq!(used.until.to_string(), "2026-03-02T08:59:59Z");
    edge.hand.advance(Duration::from_secs(1));
    assert_eq!(refusal(use_code(&edge, &codes[1], None, "b").await), VoucherRefusal::Expired);
    let path = format!("/api/v1/vouchers?batch={}&state=active", ready["code"].as_str().unwrap());
    let active = edge.console.get(&path).await.expect(200);
    assert_eq!((&active["total"], &active["items"][0]["serial"]), (&json!(1), &json!(used.serial)));

    let revoke = format!("/api/v1/vouchers/{}/revoke", used.serial);
    let taken = edge.console.post(&revoke, json!({ "reason": "given out by mistake" })).await.expect(200);
    assert_eq!(taken["state"], "revoked");
    assert_eq!(refusal(use_code(&edge, &codes[0], None, "c").await), VoucherRefusal::Revoked);
    let service = edge.console.get(&format!("/api/v1/services/{}", used.service)).await.expect(200);
    assert_eq!(service["status"], "restricted", "{service}");
    let audit = edge.console.get("/api/v1/audit").await.expect(200).to_string();
    assert!(audit.contains("voucher.revoke") && audit.contains("given out by mistake"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_taken_back_takes_back_what_it_gave() {
    let edge = Edge::start().await;
    plan(&edge, "day", &json!({})).await;
    let (ready, codes) = batch(&edge, json!({ "name": "Stolen", "plan": "day", "count": 250 })).await;
    for (n, code) in codes.iter().take(120).enumerate() {
        assert!(use_code(&edge, code, None, &n.to_string()).await.unwrap().is_first);
    }
    let path = format!("{BATCHES}/{}/revoke", ready["id"].as_str().unwrap());
    assert_eq!(edge.console.post(&path, json!({})).await.expect(200)["status"], "revoked");
    let services = edge.console.get("/api/v1/services?limit=500").await.expect(200);
    let items = services["items"].as_array().unwrap();
    assert_eq!(items.len(), 120);
    assert!(items.iter().all(|service| service["status"] == "restricted"));
    for code in [&codes[0], &codes[200]] {
        let refused = use_code(&edge, code, None, "x").await;
        assert!(matches!(refused, Err(RedeemError::Refused(VoucherRefusal::Revoked))), "{refused:?}");
    }
    edge.console.post(&path, json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_locked_out_for_whoever_guesses_and_told_with_a_wait() {
    let edge = Edge::start().await;
    plan(&edge, "day", &json!({})).await;
    let (_, codes) = batch(&edge, json!({ "name": "Kiosk", "plan": "day", "count": 1 })).await;
    let (_, client) = edge.customer("ada@example.net").await;
    let redeem = |code: &str| {
        let (client, body) = (client.clone(), json!({ "code": code }));
        async move { client.post("/api/v1/vouchers/redeem", body).await }
    };
    for last in ["A", "B", "C", "D", "E"] {
        let wrong = redeem(&format!("ABCD-EFGH-JKM{last}")).await;
        assert_eq!(wrong.refusal(404), "not_found");
        edge.hand.advance(Duration::from_secs(1));
    }
    let locked = redeem(&codes[0]).await;
    assert_eq!(locked.refusal(429), "rate_limit_exceeded");
    let wait: u64 = locked.header("retry-after").unwrap().parse().unwrap();
    assert!((290..=300).contains(&wait), "{wait}");
    assert!(use_code(&edge, "ABCD-EFGH-JKMF", None, "another device").await.is_err());
    edge.hand.advance(Duration::from_secs(wait));
    redeem(&codes[0]).await.expect(200);
    assert_eq!(redeem("not a code").await.refusal(422), "validation_error");
    let stranger = edge.client.post("/api/v1/vouchers/redeem", json!({ "code": codes[0] })).await;
    assert_eq!(
        stranger.refusal(422),
        "business_rule_violation",
        "from elsewhere nobody starts a voucher's time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_code_is_replaced_once_shown_once_and_the_old_one_is_dead() {
    let edge = Edge::start().await;
    plan(&edge, "day", &json!({})).await;
    let (ready, codes) = batch(&edge, json!({ "name": "Kiosk", "plan": "day", "count": 3 })).await;
    let number = |n: u32| format!("{}-{n:06}", ready["code"].as_str().unwrap());
    let replace = |number: String, key: &'static str| {
        let console = edge.console.header("idempotency-key", key);
        async move {
            console.post(&format!("/api/v1/vouchers/{number}/replace"), json!({ "reason": "wet" })).await
        }
    };
    let new = replace(number(1), "a-replacement-key").await.expect(201);
    assert_eq!((&new["serial"], &new["replaces"]), (&json!(number(4)), &json!(number(1))), "{new}");
    // A lost answer is given again, and makes no third code.
    assert_eq!(replace(number(1), "a-replacement-key").await.expect(201), new);
    assert_eq!(replace(number(1), "another-key-for-it").await.refusal(422), "business_rule_violation");
    let old = edge.console.get(&format!("/api/v1/vouchers/{}", number(1))).await.expect(200);
    assert_eq!((&old["state"], &old["replaced_by"]), (&json!("revoked"), &new["id"]), "{old}");
    let dead = use_code(&edge, &codes[0], None, "finder").await;
    assert!(matches!(dead, Err(RedeemError::Refused(VoucherRefusal::Revoked))), "{dead:?}");
    let code = new["code"].as_str().unwrap();
    let used = use_code(&edge, code, None, "owner").await.unwrap();
    assert!(used.is_first && used.serial == number(4));

    // The stranger loses the card that they use: the new code is the login of the same service, for the same time.
    let again = replace(number(4), "a-card-in-use").await.expect(201);
    assert_eq!(
        (&again["state"], &again["until"]),
        (&json!("active"), &json!(rfc3339(used.until))),
        "{again}"
    );
    let dead = use_code(&edge, code, None, "finder").await;
    assert!(matches!(dead, Err(RedeemError::Refused(VoucherRefusal::Revoked))), "{dead:?}");
    let back = use_code(&edge, again["code"].as_str().unwrap(), None, "owner").await.unwrap();
    assert_eq!((back.is_first, back.service, back.until), (false, used.service, used.until));
    // Taking the new one back takes back what the first gave.
    let path = format!("/api/v1/vouchers/{}/revoke", again["serial"].as_str().unwrap());
    edge.console.post(&path, json!({})).await.expect(200);
    let service = edge.console.get(&format!("/api/v1/services/{}", used.service)).await.expect(200);
    assert_eq!(service["status"], "restricted", "{service}");

    // What a customer's service got needs no code any more.
    let (customer, _) = edge.customer("ada@example.net").await;
    let ada = customer["id"].as_str().unwrap().parse().unwrap();
    use_code(&edge, &codes[1], Some(ada), "ada").await.unwrap();
    assert_eq!(replace(number(2), "of-a-customer").await.refusal(422), "business_rule_violation");
    let shown = edge.console.get("/api/v1/audit").await.expect(200).to_string();
    let listed = edge.console.get("/api/v1/vouchers").await.expect(200).to_string();
    assert!(shown.contains("voucher.replace") && shown.contains("wet"));
    for text in [shown, listed] {
        assert!(!text.contains(code) && !text.contains(again["code"].as_str().unwrap()), "{text}");
    }
}

fn rfc3339(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An agent with 10 % and this float, logged in; their id and client.
async fn agent(edge: &Edge, email: &str, float: &str) -> (String, Client) {
    let (login, client) = edge.staff(email, "agent").await;
    let id = login["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/agents/{id}");
    edge.console.put(&path, json!({ "commission_ppm": 100_000 })).await.expect(200);
    let (_, cashier) = match edge
        .client
        .post(
            "/api/v1/auth/login",
            json!({ "email": "till@example.net",
        "password": support::edge::PASSWORD }),
        )
        .await
    {
        reply if reply.status == 200 => {
            let token = reply.json()["access_token"].as_str().unwrap().to_owned();
            (Value::Null, edge.client.token(&token))
        }
        _ => edge.staff("till@example.net", "cashier").await,
    };
    if float != "0" {
        cashier.post(&format!("{path}/deposits"), json!({ "amount": float })).await.expect(201);
    }
    (id, client)
}

async fn first_owner(edge: &Edge) {
    edge.staff("owner@example.net", "owner").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_18_an_agent_pays_450_of_500_and_keeps_50() {
    let edge = Edge::start().await;
    first_owner(&edge).await;
    plan(&edge, "day", &json!({})).await;
    let (ready, _) = batch(&edge, json!({ "name": "Till", "plan": "day", "for_sale": true })).await;
    let (id, ada) = agent(&edge, "ada@example.net", "20.00").await;
    let offers = ada.get("/api/v1/voucher-offers").await.expect(200);
    assert_eq!(offers["items"][0]["id"], ready["id"]);
    let key = ada.header("idempotency-key", "sale-1");
    let sold = key.post(SALES, json!({ "batch": ready["code"] })).await.expect(201);
    assert_eq!(
        (&sold["price"], &sold["commission"], &sold["charged"]),
        (&json!("5.00"), &json!("0.50"), &json!("4.50"))
    );
    let again = key.post(SALES, json!({ "batch": ready["code"] })).await.expect(201);
    assert_eq!(again["codes"], sold["codes"], "a repeat is answered and sells nothing");
    let own = ada.get(&format!("/api/v1/agents/{id}")).await.expect(200);
    assert_eq!(own["float"], "15.50");
    let lines = edge.console.get("/api/v1/ledger/postings").await.expect(200)["items"][0]["lines"].clone();
    let amount = |account: &str| {
        let line = lines.as_array().unwrap().iter().find(|line| line["account"] == account);
        line.unwrap_or_else(|| panic!("{account}: {lines}"))["amount_minor"].clone()
    };
    assert_eq!(amount(&format!("agent_float:{id}")), 450);
    assert_eq!(amount("commission"), 50);
    assert_eq!(amount("revenue"), -500);
    let statement = ada.get(&format!("/api/v1/agents/{id}/statement")).await.expect(200);
    let floats: Vec<_> = statement["items"].as_array().unwrap().iter().map(|line| &line["float"]).collect();
    assert_eq!(floats, ["15.50", "20.00"]);
    let code = sold["codes"][0]["code"].as_str().unwrap();
    assert!(use_code(&edge, code, None, "a phone").await.unwrap().is_first, "what was sold works");
    let lookup = ada.post("/api/v1/vouchers/lookup", json!({ "code": code })).await.expect(200);
    assert_eq!((&lookup["state"], &lookup["sold_by"]), (&json!("active"), &json!(id)));
}

/// SMS by a carrier of one's own on this port.
fn sms_by(port: u16) -> Vec<notify::Carrier> {
    let provider = Provider::Http(Http {
        method: Method::Post,
        url: format!("http://127.0.0.1:{port}/plain"),
        headers: vec![("x-api-key".into(), "{secret}".into())],
        body: r#"{"to": "{to}", "text": "{text}", "from": "{from}", "id": "{id}"}"#.into(),
        content: Content::Json,
        accepted: "\"queued\"".into(),
        sender: "LEKKI".into(),
        secret: Some(Secret::from_text(support::sms::KEY)),
    });
    vec![notify::Carrier::Sms(Sms::new(provider, Some("234".into())).unwrap())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_sold_to_a_telephone_goes_there_once_and_stays_nowhere() {
    let carrier = support::sms::Carrier::start().await;
    let edge = Edge::with_carriers(sms_by(carrier.port)).await;
    first_owner(&edge).await;
    plan(&edge, "day", &json!({})).await;
    let (ready, _) = batch(&edge, json!({ "name": "Till", "plan": "day", "for_sale": true })).await;
    let (_, ada) = agent(&edge, "ada@example.net", "20.00").await;
    let wish = json!({ "batch": ready["code"], "phone": "08012345678" });
    let unproven = ada.post(SALES, wish.clone()).await.expect(201);
    assert_eq!(unproven["sent_by_sms"], false, "an SMS that nobody has proven is not promised: {unproven}");
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    assert!(carrier.taken().is_empty());

    let (_, owner) = edge.login("owner@example.net").await;
    owner.post("/api/v1/channels/sms/test", json!({ "to": "+2348099999999" })).await.expect(202);
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    let text = carrier.taken().pop().unwrap().text;
    let is_code = |word: &&str| word.len() == 8 && word.bytes().all(|one| one.is_ascii_digit());
    let proof = text.split_whitespace().find(is_code).unwrap().to_owned();
    owner.post("/api/v1/channels/sms/confirm", json!({ "code": proof })).await.expect(200);

    let key = ada.header("idempotency-key", "sale-by-sms");
    let sold = key.post(SALES, wish.clone()).await.expect(201);
    assert_eq!(sold["sent_by_sms"], true, "{sold}");
    key.post(SALES, wish).await.expect(201);
    let code = sold["codes"][0]["code"].as_str().unwrap();
    let waiting = || async {
        let all = edge.app.store.scan::<Messages>(Range::All, StorePage::first(100)).await.unwrap().records;
        all.into_iter().map(|one| one.body).filter(|one| one.kind == Kind::Voucher).collect::<Vec<_>>()
    };
    let held = waiting().await;
    assert_eq!(held.len(), 1, "a repeat sells and sends nothing");
    assert!(!serde_json::to_string(&held).unwrap().contains(code), "what waits is sealed");
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    let taken = carrier.taken().pop().unwrap();
    assert!(taken.text.contains(code) && taken.to.ends_with("8012345678"), "{}", taken.text);
    assert!(waiting().await[0].sealed_text.is_empty(), "and goes with its message");
    edge.hand.advance(Duration::from_secs(60));
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    assert_eq!(carrier.taken().len(), 2, "once");
    for path in ["/api/v1/messages", "/api/v1/audit", "/api/v1/voucher-sales"] {
        let said = owner.get(path).await.expect(200).to_string();
        assert!(!said.contains(code) && !said.contains(&code.replace('-', "")), "{path}");
    }
    let wrong = json!({ "batch": ready["code"], "phone": "not a number" });
    assert!(ada.post(SALES, wrong).await.expect(422)["field_errors"]["phone"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_18_twenty_sales_at_once_never_take_a_float_below_its_limit() {
    let edge = Edge::start().await;
    first_owner(&edge).await;
    plan(&edge, "day", &json!({})).await;
    let (ready, _) = batch(&edge, json!({ "name": "Till", "plan": "day", "for_sale": true })).await;
    let (id, ada) = agent(&edge, "ada@example.net", "20.00").await;
    let tries = (0..20).map(|_| ada.post(SALES, json!({ "batch": ready["code"] })));
    let answers = futures(tries).await;
    let sold: Vec<_> = answers.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(sold.len(), 4, "four times 4.50 of 20.00");
    assert!(answers.iter().filter(|reply| reply.status != 201).all(|reply| reply.status == 422));
    let codes: HashSet<_> =
        sold.iter().map(|reply| reply.json()["codes"][0]["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 4);
    let own = ada.get(&format!("/api/v1/agents/{id}")).await.expect(200);
    assert_eq!(own["float"], "2.00");
    let proof = edge.console.get("/api/v1/ledger/proof").await.expect(200);
    assert!(!proof.to_string().contains("\"is_good\":false"), "{proof}");
    let batch = edge.console.get(&format!("{BATCHES}/{}", ready["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(batch["made_at_sale"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_sells_and_counts_as_themselves_only() {
    let edge = Edge::start().await;
    first_owner(&edge).await;
    plan(&edge, "day", &json!({})).await;
    let wish = json!({ "name": "Till", "plan": "day", "count": 3, "for_sale": true });
    let (ready, _) = batch(&edge, wish).await;
    let (ada_id, ada) = agent(&edge, "ada@example.net", "50.00").await;
    let (eve_id, eve) = agent(&edge, "eve@example.net", "50.00").await;
    let sale = ada.post(SALES, json!({ "batch": ready["code"], "numbers": [1, 2] })).await.expect(201);
    assert_eq!((&sale["numbers"], &sale["codes"]), (&json!([1, 2]), &json!([])));
    let taken = eve.post(SALES, json!({ "batch": ready["code"], "numbers": [2] })).await;
    assert_eq!(taken.refusal(422), "business_rule_violation", "a card is sold once");
    assert_eq!(ada.get(SALES).await.expect(200)["total"], 1);
    assert_eq!(eve.get(SALES).await.expect(200)["total"], 0);
    assert_eq!(eve.get(&format!("{SALES}?seller={ada_id}")).await.refusal(404), "not_found");
    for path in [format!("/api/v1/agents/{ada_id}"), format!("/api/v1/agents/{ada_id}/statement")] {
        assert_eq!(eve.get(&path).await.refusal(404), "not_found", "{path}");
    }
    let shift = ada.post("/api/v1/shifts", json!({ "opening": "1.00" })).await.expect(201);
    let close = format!("/api/v1/shifts/{}/close", shift["id"].as_str().unwrap());
    assert_eq!(eve.post(&close, json!({ "counted": "0" })).await.refusal(404), "not_found");
    assert_eq!(ada.post("/api/v1/shifts", json!({})).await.refusal(422), "business_rule_violation");
    ada.post(SALES, json!({ "batch": ready["code"], "count": 2 })).await.expect(201);
    let closed = ada.post(&close, json!({ "counted": "10.50", "note": "one coin short" })).await.expect(200);
    assert_eq!(
        (&closed["expected"], &closed["difference"]),
        (&json!("11.00"), &json!("-0.50")),
        "opening and what two buyers paid"
    );
    assert_eq!(eve.get("/api/v1/shifts").await.expect(200)["total"], 0);
    assert_eq!(edge.console.get("/api/v1/agents").await.expect(200)["total"], 2);
    let stopped = json!({ "commission_ppm": 100_000, "is_active": false });
    edge.console.put(&format!("/api/v1/agents/{eve_id}"), stopped).await.expect(200);
    let refused = eve.post(SALES, json!({ "batch": ready["code"] })).await;
    assert_eq!(refused.refusal(422), "business_rule_violation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cashiers_drawer_is_counted_against_the_ledger_and_the_difference_is_booked() {
    let edge = Edge::start().await;
    first_owner(&edge).await;
    plan(&edge, "day", &json!({})).await;
    let (ready, _) = batch(&edge, json!({ "name": "Till", "plan": "day", "for_sale": true })).await;
    let (login, till) = edge.staff("till@example.net", "cashier").await;
    let shift = till.post("/api/v1/shifts", json!({ "opening": "10.00" })).await.expect(201);
    let sold = till.post(SALES, json!({ "batch": ready["code"], "count": 3 })).await.expect(201);
    assert_eq!((&sold["charged"], &sold["from_float"]), (&json!("15.00"), &json!(false)));
    let close = format!("/api/v1/shifts/{}/close", shift["id"].as_str().unwrap());
    let closed = till.post(&close, json!({ "counted": "24.00" })).await.expect(200);
    assert_eq!((&closed["expected"], &closed["difference"]), (&json!("25.00"), &json!("-1.00")));
    let again = till.post(&close, json!({ "counted": "99.00" })).await.expect(200);
    assert_eq!(again["counted"], "24.00", "a shift is counted once");
    let posting = edge.console.get("/api/v1/ledger/postings").await.expect(200)["items"][0].clone();
    let cash = format!("cash:{}", login["user"]["id"].as_str().unwrap());
    let text = posting.to_string();
    let line = |account: &str, amount: i64| format!("{{\"account\":\"{account}\",\"amount_minor\":{amount},");
    assert!(text.contains(&line(&cash, -100)) && text.contains(&line("cash_difference", 100)), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_cannot_be_had_names_its_field() {
    let edge = Edge::start().await;
    plan(&edge, "open", &json!({ "validity_hours": null })).await;
    plan(&edge, "day", &json!({})).await;
    let refused = |wish: Value| {
        let console = edge.console.clone();
        async move { console.post(BATCHES, wish).await.expect(422)["field_errors"].clone() }
    };
    for (wish, field) in [
        (json!({ "name": "x", "plan": "none", "count": 1 }), "plan"),
        (json!({ "name": "x", "plan": "open", "count": 1 }), "validity"),
        (json!({ "name": "x", "plan": "day", "count": 0 }), "count"),
        (json!({ "name": "x", "plan": "day", "count": 100_001 }), "count"),
        (json!({ "name": "x", "plan": "day", "count": 1, "price": "5.001" }), "price"),
        (json!({ "name": "x", "plan": "day", "count": 1, "price": "-5" }), "price"),
        (json!({ "name": "x", "plan": "day", "count": 1, "prefix": "LÉKKI" }), "prefix"),
        (json!({ "name": "x", "plan": "day", "count": 1, "redeem_by": "2026-02-30" }), "redeem_by"),
        (json!({ "name": "x", "plan": "day", "count": 1, "redeem_by": "2020-01-01" }), "redeem_by"),
        (json!({ "name": "x", "plan": "day", "count": 1, "device_limit": 0 }), "device_limit"),
    ] {
        let said = refused(wish.clone()).await;
        assert!(said[field].is_array(), "{wish}: {said}");
    }
}

/// All of them at once, each on a task of its own where the runtime likes.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(Box::pin).map(Some).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (one, done) in waiting.iter_mut().zip(&mut done) {
            if let Some(future) = one
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                (*done, *one) = (Some(value), None);
            }
        }
        if waiting.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().map(Option::unwrap).collect()
}
