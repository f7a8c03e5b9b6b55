//! What subscribers are told: by the channel that was proven, in their language, at an hour that suits, once; and
//! whatever carriers do, nothing is lost, nothing goes twice that need not, and no key is told.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/books.rs"]
mod books;
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use books::Books;
use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::secret::Secret;
use dotmac_edge::billing::notices::Notices;
use dotmac_edge::billing::refund::{RefundPolicy, RefundWish};
use dotmac_edge::billing::{Settings, Wish};
use dotmac_edge::domain::ids::{MessageId, ServiceId, SessionId, SubscriberId};
use dotmac_edge::domain::language::Language;
use dotmac_edge::domain::message::{Channel, Delivery, Kind, Message, Recipient, Stage};
use dotmac_edge::domain::money::{Currency, Money};
use dotmac_edge::domain::plan::ValidityUnit;
use dotmac_edge::domain::session::Session;
use dotmac_edge::domain::text::{Email, Phone};
use dotmac_edge::notify::send::MOST_AN_HOUR;
use dotmac_edge::notify::sms::africastalking::AfricasTalking;
use dotmac_edge::notify::sms::http::{Content, Http, Method};
use dotmac_edge::notify::sms::termii::Termii;
use dotmac_edge::notify::sms::twilio::Twilio;
use dotmac_edge::notify::sms::{Provider, Sms};
use dotmac_edge::notify::{
    Addressee, Bulletin, Carrier as Sender, Confirmation, News, Notice, Post, QuietHours, Rules, Sent,
};
use dotmac_edge::store::contract::{
    Collection, CollectionSpec, IndexSpec, IndexValue, Page, Range, SealKind, Unit,
};
use dotmac_edge::store::tables::{Messages, Sessions};
use dotmac_edge::store::vault::Vault;
use dotmac_edge::store::{Options, Registration, SealKey, Store, tables};
use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::edge::Edge;
use support::mail::MailServer;
use support::sms::{ACCOUNT, Carrier, KEY, Mood};

/// Ten in the morning in Lagos.
fn morning() -> Timestamp {
    "2026-03-01T09:00:00Z".parse().unwrap()
}

fn later(from: Timestamp, secs: i64) -> Timestamp {
    from + SignedDuration::from_secs(secs)
}

fn vault() -> Vault {
    Vault::with_key([7; 32])
}

/// A queue over a store of its own.
struct Lab {
    store: Store,
    post: Post,
    bulletin: Bulletin,
}

impl Lab {
    fn new(carriers: Vec<Sender>, rules: Rules) -> Self {
        let store = Store::memory(Clock::manual(morning()).0, &tables::all(), Arc::new(())).unwrap();
        Self::over(store, carriers, rules)
    }

    fn over(store: Store, carriers: Vec<Sender>, rules: Rules) -> Self {
        let post = support::desk::post_by(&store, &vault(), carriers, rules);
        let bulletin = Bulletin::new(post.clone());
        Self { store, post, bulletin }
    }

    async fn proven(carriers: Vec<Sender>, rules: Rules) -> Self {
        let lab = Self::new(carriers, rules);
        for channel in Channel::ALL.into_iter().filter(|channel| lab.post.has(*channel)) {
            lab.prove(channel).await;
        }
        lab
    }

    /// Sends a test and brings its code back, as staff do.
    async fn prove(&self, channel: Channel) {
        let to = match channel {
            Channel::Mail => Recipient::Mail(Email::parse("staff@example.net").unwrap()),
            Channel::Sms => phone("+2348099999999"),
        };
        let at = later(morning(), -7200);
        let draft = self.post.test(channel, (to, None), at).await.unwrap();
        self.store.commit(draft.unit).await.unwrap();
        let is_test = |one: &Message| one.kind == Kind::ChannelTest && one.stage() == Stage::Waiting;
        let waiting = self.all().await.into_iter().find(is_test).unwrap();
        let code = code_of(&waiting);
        let sent = self.post.send_by(channel, at).await.unwrap();
        assert_eq!(sent.sent, 1, "{sent:?}");
        let draft = self.post.confirm(channel, &code, "staff:1", at).await.unwrap();
        assert_eq!(draft.value, Confirmation::Proven);
        self.store.commit(draft.unit).await.unwrap();
        assert!(self.post.is_proven(channel).await.unwrap());
    }

    /// Tells somebody by SMS or mail.
    async fn tell(&self, to: Recipient, news: &News, now: Timestamp) {
        let letter = self.post.write(&Addressee::stranger(to), news, now);
        let unit = self.post.queue_in(Unit::natural(), &letter, now).unwrap();
        self.store.commit(unit).await.unwrap();
    }

    async fn all(&self) -> Vec<Message> {
        let page = Page::first(1_000);
        let found = self.store.scan::<Messages>(Range::All, page).await.unwrap().records;
        found.into_iter().map(|record| record.body).collect()
    }

    async fn send(&self, now: Timestamp) -> Sent {
        self.post.send_by(Channel::Sms, now).await.unwrap()
    }

    async fn subscriber(&self, more: Value) -> SubscriberId {
        let mut body = json!({
            "id": "0199c0de-0000-7000-8000-0000000000aa", "customer_number": "C1", "portal_id": "ABCDEFGH",
            "first_name": "Ada", "last_name": "Obi", "created_at": morning(), "updated_at": morning(),
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let subscriber = serde_json::from_value(body).unwrap();
        let id: SubscriberId = "0199c0de-0000-7000-8000-0000000000aa".parse().unwrap();
        let unit = Unit::natural().put::<tables::Subscribers>(&id, &subscriber).unwrap();
        self.store.commit(unit).await.unwrap();
        id
    }

    async fn notice(&self, subscriber: SubscriberId, news: News) -> usize {
        let notice = Notice { subscriber, news };
        let unit = self.bulletin.queue_in(Unit::natural(), &notice, morning()).await.unwrap();
        let messages = unit.ops.len();
        self.store.commit(unit).await.unwrap();
        messages
    }
}

/// The eight digits of a message that waits, which only the box can read.
fn code_of(message: &Message) -> String {
    let sealed = dotmac_edge::store::SealedSecret::parse(&message.sealed_text).unwrap();
    let text = vault().unseal(&format!("messages/{}/text", message.id), &sealed).unwrap();
    let text = text.expose_text().unwrap().to_owned();
    let digits = |word: &&str| word.len() == 8 && word.bytes().all(|octet| octet.is_ascii_digit());
    text.split_whitespace().find(digits).unwrap_or_else(|| panic!("{text}")).to_owned()
}

fn phone(number: &str) -> Recipient {
    Recipient::Sms(Phone::parse(number).unwrap())
}

fn naira(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("NGN").unwrap() }
}

fn receipt(reference: &str) -> News {
    News::Receipt { amount: naira(1_750_000), at: morning(), reference: reference.to_owned() }
}

fn reminder() -> News {
    let due = "2026-03-05T23:00:00Z".parse().unwrap();
    News::Reminder { number: "INV-2026-000007".to_owned(), amount: naira(1_750_000), due }
}

fn key() -> Secret {
    Secret::from_text(KEY)
}

fn by(provider: Provider) -> Vec<Sender> {
    vec![Sender::Sms(Sms::new(provider, Some("234".to_owned())).unwrap())]
}

fn termii(port: u16, key: Secret) -> Vec<Sender> {
    let base = format!("http://127.0.0.1:{port}");
    by(Provider::Termii(Termii { base, sender: "LekkiWiFi".into(), route: "dnd".into(), key }))
}

fn africastalking(port: u16, key: Secret) -> Vec<Sender> {
    let base = format!("http://127.0.0.1:{port}");
    let (username, sender) = ("sandbox".to_owned(), Some("LEKKI".to_owned()));
    by(Provider::AfricasTalking(AfricasTalking { base, username, sender, key }))
}

fn twilio(port: u16, token: Secret) -> Vec<Sender> {
    let base = format!("http://127.0.0.1:{port}");
    by(Provider::Twilio(Twilio { base, account: ACCOUNT.into(), sender: "+15005550006".into(), token }))
}

fn plain(port: u16, key: Secret) -> Vec<Sender> {
    by(Provider::Http(Http {
        method: Method::Post,
        url: format!("http://127.0.0.1:{port}/plain"),
        headers: vec![("x-api-key".into(), "{secret}".into())],
        body: r#"{"to": "{to}", "text": "{text}", "from": "{from}", "id": "{id}"}"#.into(),
        content: Content::Json,
        accepted: "\"queued\"".into(),
        sender: "LEKKI".into(),
        secret: Some(key),
    }))
}

fn in_the_url(port: u16, key: Secret) -> Vec<Sender> {
    by(Provider::Http(Http {
        method: Method::Get,
        url: format!("http://127.0.0.1:{port}/plain?to={{digits}}&text={{text}}&from={{from}}&id={{id}}"),
        headers: vec![("x-api-key".into(), "{secret}".into())],
        body: String::new(),
        content: Content::Form,
        accepted: "\"queued\"".into(),
        sender: "LEKKI & Sons".into(),
        secret: Some(key),
    }))
}

type Make = fn(u16, Secret) -> Vec<Sender>;
const EVERY: [(&str, Make); 5] = [
    ("termii", termii),
    ("africastalking", africastalking),
    ("twilio", twilio),
    ("http", plain),
    ("http in the url", in_the_url),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_carrier_gets_what_its_documentation_asks_for_and_a_text_stays_a_text() {
    for (name, make) in EVERY {
        let carrier = Carrier::start().await;
        let lab = Lab::proven(make(carrier.port, key()), Rules::default()).await;
        let hostile = "{secret}\"}, {\"to\": \"&text=x\r\nX: 1 é";
        lab.tell(phone("08012345678"), &receipt(hostile), morning()).await;
        let sent = lab.send(morning()).await;
        assert_eq!((sent.sent, carrier.refused()), (1, Vec::new()), "{name}: {sent:?}");
        let taken = carrier.taken().pop().unwrap();
        assert_eq!(taken.to.trim_start_matches('+'), "2348012345678", "{name}");
        assert!(
            taken.text.contains("NGN 17,500.00") && taken.text.contains("{secret}"),
            "{name}: {}",
            taken.text
        );
        assert!(!taken.text.contains(KEY) && !taken.text.contains(['\r', '\n']), "{name}: {}", taken.text);
        let kept = lab.all().await.pop().unwrap();
        assert_eq!((kept.stage(), kept.segments), (Stage::Sent, 1), "{name}");
        assert_eq!(kept.carrier_id.is_some(), !name.starts_with("http"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_taken_is_told_without_the_key_and_nothing_is_lost() {
    for (name, make) in EVERY {
        let carrier = Carrier::start().await;
        let lab = Lab::new(make(carrier.port, Secret::from_text("hunter2")), Rules::default());
        let news = News::ChannelTest { code: "01234567".into(), minutes: 30 };
        lab.tell(phone("+2348012345678"), &news, morning()).await;
        let sent = lab.send(morning()).await;
        let fault = sent.fault.clone().unwrap();
        assert_eq!((sent.sent, sent.postponed, sent.away), (0, 1, 1), "{name}: {sent:?}");
        assert!(!fault.contains("hunter2") && fault.contains("40"), "{name}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_is_away_for_an_hour_and_ill_for_another_gets_every_message_once() {
    for (name, make) in EVERY {
        let carrier = Carrier::start().await;
        let lab = Lab::proven(make(carrier.port, key()), Rules::default()).await;
        carrier.go_away().await;
        for number in 0..30 {
            let to = phone(&format!("+23480123450{number:02}"));
            lab.tell(to, &receipt(&format!("R{number}")), morning()).await;
        }
        let mut now = morning();
        for minute in 0..120 {
            if minute == 60 {
                carrier.come_up().await;
                carrier.mood(Mood::Ill);
            }
            now = later(morning(), minute * 60);
            let sent = lab.send(now).await;
            assert_eq!(sent.sent, 0, "{name}");
        }
        carrier.mood(Mood::Well);
        for minute in 1..=30 {
            lab.send(later(now, minute * 60)).await;
        }
        let mut texts: Vec<_> = carrier.taken().into_iter().map(|one| one.text).collect();
        assert_eq!(texts.len(), 31, "{name}: the test and thirty");
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 31, "{name}: each once");
        assert!(lab.all().await.iter().all(|one| one.stage() == Stage::Sent), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_was_lost_is_looked_for_where_that_can_be_and_else_not_tried_for_ever() {
    let carrier = Carrier::start().await;
    let lab = Lab::proven(twilio(carrier.port, key()), Rules::default()).await;
    carrier.mood(Mood::Mute);
    lab.tell(phone("+2348012345678"), &receipt("R1"), morning()).await;
    let sent = lab.send(morning()).await;
    assert_eq!((sent.sent, sent.postponed), (0, 1), "{sent:?}");
    carrier.mood(Mood::Well);
    let sent = lab.send(later(morning(), 60)).await;
    assert_eq!((sent.sent, carrier.taken().len()), (1, 2), "it was found, not sent again: {sent:?}");
    assert_eq!(lab.all().await.pop().unwrap().carrier_id.as_deref(), Some(carrier.taken()[1].id.as_str()));

    let carrier = Carrier::start().await;
    let lab = Lab::proven(termii(carrier.port, key()), Rules::default()).await;
    carrier.mood(Mood::Mute);
    lab.tell(phone("+2348012345678"), &receipt("R1"), morning()).await;
    for minute in 0..120 {
        lab.send(later(morning(), minute * 60)).await;
    }
    let kept = lab.all().await.pop().unwrap();
    assert_eq!((kept.stage(), carrier.taken().len()), (Stage::GivenUp, 1 + 3));
    assert!(kept.fault.unwrap().contains("may have been sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_number_is_given_up_and_an_empty_account_holds_all() {
    for (name, make) in EVERY {
        let carrier = Carrier::start().await;
        let lab = Lab::proven(make(carrier.port, key()), Rules::default()).await;
        carrier.mood(Mood::NoSuchNumber);
        lab.tell(phone("+2348012345678"), &receipt("R1"), morning()).await;
        for minute in 0..30 {
            lab.send(later(morning(), minute * 60)).await;
        }
        let kept = lab.all().await.pop().unwrap();
        assert_eq!(kept.stage(), Stage::GivenUp, "{name}: {:?}", kept.fault);
        if name.starts_with("http") {
            continue;
        }
        carrier.mood(Mood::Broke);
        for number in 0..3 {
            lab.tell(phone(&format!("+23480123456{number:02}")), &receipt("R2"), morning()).await;
        }
        let sent = lab.send(later(morning(), 7200)).await;
        assert_eq!((sent.postponed, sent.away), (1, 1), "{name}: one is enough to know: {sent:?}");
        carrier.mood(Mood::Well);
        lab.send(later(morning(), 7201)).await;
        lab.send(later(morning(), 9000)).await;
        assert_eq!(carrier.taken().len(), 1 + 3, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_can_be_asked_says_what_became_of_a_message() {
    let carrier = Carrier::start().await;
    let lab = Lab::proven(twilio(carrier.port, key()), Rules::default()).await;
    lab.tell(phone("+2348012345678"), &receipt("R1"), morning()).await;
    lab.send(morning()).await;
    assert_eq!(lab.all().await.pop().unwrap().delivery, None);
    lab.send(later(morning(), 61)).await;
    let kept = lab.all().await.pop().unwrap();
    assert_eq!((kept.delivery, kept.look_at), (Some(Delivery::Pending), Some(later(morning(), 661))));
    carrier.status("undelivered");
    lab.send(later(morning(), 661)).await;
    let kept = lab.all().await.pop().unwrap();
    assert_eq!((kept.delivery, kept.look_at, kept.stage()), (Some(Delivery::Failed), None, Stage::Sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_only_what_somebody_waits_for_goes_and_the_rest_in_the_morning() {
    let quiet = QuietHours::new(Time::constant(21, 0, 0, 0), Time::constant(7, 0, 0, 0));
    let carrier = Carrier::start().await;
    let lab = Lab::proven(plain(carrier.port, key()), Rules { quiet, ..Rules::default() }).await;
    let night: Timestamp = "2026-03-01T22:30:00Z".parse().unwrap();
    let dawn: Timestamp = "2026-03-02T06:00:00Z".parse().unwrap();
    lab.tell(phone("+2348012345601"), &reminder(), night).await;
    lab.tell(phone("+2348012345602"), &receipt("R1"), night).await;
    let sent = lab.send(night).await;
    assert_eq!((sent.sent, sent.next_due), (1, Some(dawn)), "{sent:?}");
    assert!(carrier.taken()[1].text.contains("Reference R1"));
    // One that waited since the afternoon for the carrier waits for the morning too.
    carrier.mood(Mood::Ill);
    lab.tell(phone("+2348012345603"), &reminder(), "2026-03-01T19:59:00Z".parse().unwrap()).await;
    lab.send("2026-03-01T19:59:00Z".parse().unwrap()).await;
    carrier.mood(Mood::Well);
    let sent = lab.send(later(night, 3600)).await;
    assert_eq!((sent.sent, sent.held), (0, 1), "{sent:?}");
    let sent = lab.send(dawn).await;
    assert_eq!((sent.sent, carrier.taken().len()), (2, 4), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_costs_no_more_than_was_said_and_codes_have_a_part_of_it_to_themselves() {
    let carrier = Carrier::start().await;
    let rules = Rules { sms_per_day: 20, ..Rules::default() };
    let lab = Lab::proven(plain(carrier.port, key()), rules).await;
    for number in 0..30 {
        lab.tell(phone(&format!("+23480123456{number:02}")), &reminder(), morning()).await;
    }
    let sent = lab.send(morning()).await;
    // Sixteen of twenty for what can wait, and the test of the morning was one.
    assert_eq!((sent.sent, sent.held, sent.spent), (15, 15, true), "{sent:?}");
    assert_eq!(sent.next_due, Some("2026-03-01T23:00:00Z".parse().unwrap()), "the site's midnight");
    for number in 30..40 {
        lab.tell(phone(&format!("+23480123456{number:02}")), &receipt("R1"), morning()).await;
    }
    assert_eq!(lab.send(morning()).await.sent, 4);
    assert_eq!(carrier.taken().len(), 20);
    let sent = lab.send("2026-03-01T23:00:00Z".parse().unwrap()).await;
    assert_eq!(sent.sent, 6 + 10, "the receipts first: {sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_more_than_some_messages_an_hour() {
    let carrier = Carrier::start().await;
    let lab = Lab::proven(plain(carrier.port, key()), Rules::default()).await;
    for number in 0..=MOST_AN_HOUR {
        lab.tell(phone("+2348012345678"), &receipt(&format!("R{number}")), morning()).await;
    }
    let sent = lab.send(morning()).await;
    assert_eq!((sent.sent, sent.held), (MOST_AN_HOUR, 1), "{sent:?}");
    assert_eq!(sent.next_due, Some(later(morning(), 3600)));
    assert_eq!(lab.send(later(morning(), 3600)).await.sent, 1);
}

fn mail_to(port: u16) -> Sender {
    support::desk::mail(port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_goes_in_the_readers_language_by_the_first_channel_that_was_proven() {
    let (server, carrier) = (MailServer::start().await, Carrier::start().await);
    let mut both = plain(carrier.port, key());
    both.push(mail_to(server.port));
    let lab = Lab::new(both, Rules::default());
    let reach = json!({ "email": "ada@example.net", "phone": "08012345678", "language": "fr" });
    let ada = lab.subscriber(reach).await;
    assert_eq!(lab.notice(ada, reminder()).await, 0, "nothing is proven, so nothing is written");
    lab.prove(Channel::Sms).await;
    assert_eq!(lab.notice(ada, reminder()).await, 1);
    lab.send(morning()).await;
    let sms = carrier.taken().pop().unwrap().text;
    assert!(sms.contains("17 500,00 NGN") && sms.contains("6 mars 2026"), "{sms}");

    lab.prove(Channel::Mail).await;
    assert_eq!(lab.notice(ada, reminder()).await, 1, "one message, by one channel");
    lab.post.send_by(Channel::Mail, morning()).await.unwrap();
    let mail = server.to("ada@example.net");
    assert!(mail.text.contains("https://portal.example.net/customer"), "{}", mail.text);
    assert_eq!(carrier.taken().len(), 2);
    let nobody = "0199c0de-0000-7000-8000-0000000000bb".parse().unwrap();
    assert_eq!(lab.notice(nobody, reminder()).await, 0);
    // A voucher is wanted on the telephone.
    let until = later(morning(), 86_400 * 30);
    let voucher = News::Voucher { plan: "Day".into(), code: "ABCD-EFGH-JKMN".into(), until };
    assert_eq!(lab.notice(ada, voucher).await, 1);
    lab.send(morning()).await;
    assert!(carrier.taken().pop().unwrap().text.contains("ABCD-EFGH-JKMN"));
    let kept = lab.all().await.into_iter().find(|one| one.kind == Kind::Voucher).unwrap();
    assert!(kept.sealed_text.is_empty(), "a code goes with its message");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_for_the_settings_it_was_made_with() {
    let carrier = Carrier::start().await;
    let lab = Lab::proven(plain(carrier.port, key()), Rules::default()).await;
    lab.tell(phone("+2348012345678"), &reminder(), morning()).await;
    let other =
        Lab::over(lab.store.clone(), plain(carrier.port, Secret::from_text("another")), Rules::default());
    assert!(!other.post.is_proven(Channel::Sms).await.unwrap());
    let states = other.post.channels(morning()).await.unwrap();
    let sms = states.iter().find(|state| state.channel == Channel::Sms).unwrap();
    assert!(sms.is_stale && sms.proven_at.is_none());
    let sent = other.send(morning()).await;
    assert_eq!((sent.sent, sent.held), (0, 1), "what waits waits for the proof: {sent:?}");
    // With the old settings again the old proof counts again.
    assert_eq!(lab.send(later(morning(), 600)).await.sent, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_prove_a_channel_over_the_api_and_see_what_was_sent_without_whom_it_went_to() {
    let server = MailServer::start().await;
    let edge = Edge::with_mail(server.port).await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let states = owner.get("/api/v1/channels").await.expect(200);
    let flags = |state: &Value| (state["is_configured"].clone(), state["is_proven"].clone());
    assert_eq!(flags(&states["channels"][0]), (json!(true), json!(false)));
    assert_eq!(flags(&states["channels"][1]), (json!(false), json!(false)));
    assert_eq!(states["default_language"], "en");
    let test = |to: &str| json!({ "to": to });
    owner.post("/api/v1/channels/sms/test", test("+2348012345678")).await.expect(422);
    owner.post("/api/v1/channels/pigeon/test", test("x")).await.expect(404);
    owner.post("/api/v1/channels/mail/test", test("not an address")).await.expect(422);
    owner.post("/api/v1/channels/mail/confirm", json!({ "code": "01234567" })).await.expect(422);
    owner.post("/api/v1/channels/mail/test", test("staff@example.net")).await.expect(202);
    let soon = owner.post("/api/v1/channels/mail/test", test("staff@example.net")).await;
    assert!(soon.status == 429 && soon.header("retry-after").is_some());
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    let code = server.to("staff@example.net").code();

    let wrong = if code.starts_with('0') { "10000000" } else { "00000000" };
    for _ in 0..5 {
        let reply = owner.post("/api/v1/channels/mail/confirm", json!({ "code": wrong })).await;
        assert!(reply.expect(422)["field_errors"]["code"].is_array());
    }
    let reply = owner.post("/api/v1/channels/mail/confirm", json!({ "code": code })).await;
    assert_eq!(reply.refusal(422), "business_rule_violation", "too many were wrong");
    edge.hand.advance(Duration::from_secs(31));
    owner.post("/api/v1/channels/mail/test", test("staff@example.net")).await.expect(202);
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    let code = server.to("staff@example.net").code();
    let proven = owner.post("/api/v1/channels/mail/confirm", json!({ "code": code })).await.expect(200);
    assert_eq!(proven["channels"][0]["is_proven"], true);
    assert!(proven["channels"][0]["proven_by"].as_str().unwrap().starts_with("staff:"));
    let audit = edge.console.get("/api/v1/audit?action=channel.prove").await.expect(200);
    assert!(!audit.to_string().contains(&code));

    let list = owner.get("/api/v1/messages?channel=mail&state=sent").await;
    let text = String::from_utf8_lossy(&list.body).into_owned();
    assert!(text.contains("s***@example.net") && !text.contains("staff@") && !text.contains(&code), "{text}");
    owner.get("/api/v1/messages?state=lost").await.expect(422);
    let id = list.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let again = owner.post(&format!("/api/v1/messages/{id}/resend"), json!({})).await;
    assert_eq!(again.refusal(422), "business_rule_violation", "a code is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_sent_again_once_for_one_wish() {
    let server = MailServer::start().await;
    let edge = Edge::with_mail(server.port).await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let now = edge.app.clock.now();
    let to = Recipient::Mail(Email::parse("ada@example.net").unwrap());
    let letter = edge.post.write(&Addressee::stranger(to), &receipt("R1"), now);
    edge.app.store.commit(edge.post.queue_in(Unit::natural(), &letter, now).unwrap()).await.unwrap();
    let waits = owner.get("/api/v1/messages").await.expect(200)["items"][0].clone();
    assert_eq!((&waits["state"], &waits["can_resend"]), (&json!("waiting"), &json!(false)));
    owner.post("/api/v1/channels/mail/test", json!({ "to": "staff@example.net" })).await.expect(202);
    edge.post.send_due(now).await.unwrap();
    let code = server.to("staff@example.net").code();
    owner.post("/api/v1/channels/mail/confirm", json!({ "code": code })).await.expect(200);
    edge.hand.advance(Duration::from_secs(600));
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    let path = format!("/api/v1/messages/{}/resend", waits["id"].as_str().unwrap());
    let keyed = owner.header("idempotency-key", "one-wish");
    let first = keyed.post(&path, json!({})).await.expect(201);
    let second = keyed.post(&path, json!({})).await.expect(201);
    assert_eq!((&first["id"], &first["repeats"]), (&second["id"], &waits["id"]));
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    let mails = server.mails();
    let receipts: Vec<_> = mails.iter().filter(|mail| mail.text.contains("Reference: R1")).collect();
    assert_eq!(receipts.len(), 2);
    assert_eq!(receipts[0].text, receipts[1].text);
    assert_eq!(receipts[0].header("Subject"), ["We received NGN 17,500.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_and_what_is_told_of_it_are_one_commit() {
    let carrier = Carrier::start().await;
    let lab = Lab::proven(plain(carrier.port, key()), Rules::default()).await;
    let ada = lab.subscriber(json!({ "phone": "08012345678" })).await;
    let zone = jiff::tz::TimeZone::get("Africa/Lagos").unwrap();
    let settings = Settings::plain(Currency::parse("NGN").unwrap(), zone);
    let mut books = Books::over(lab.store.clone(), &settings);
    books.billing = books.billing.clone().telling(lab.bulletin.clone());
    let payment = books.cash(ada, 1_750_000, morning()).await;
    let written = lab.all().await.pop().unwrap();
    assert_eq!((written.kind, written.subscriber_id), (Kind::Receipt, Some(ada)));
    assert_eq!(lab.send(morning()).await.sent, 1);
    let text = carrier.taken().pop().unwrap().text;
    assert!(text.contains("NGN 17,500.00") && text.contains(&payment.reference), "{text}");

    // Going back it is told of, too; once for one wish.
    let wish = RefundWish {
        key: "r-1".into(),
        amount: Some(naira(750_000)),
        reason: "asked for".into(),
        policy: RefundPolicy::Keep,
        by_hand: false,
        may_be_large: true,
    };
    for _ in 0..2 {
        books.billing.till.refund(payment.id, &wish, None, morning()).await.unwrap();
    }
    let refunds: Vec<_> = lab.all().await.into_iter().filter(|one| one.kind == Kind::Refunded).collect();
    assert_eq!((refunds.len(), refunds[0].subscriber_id), (1, Some(ada)));
    assert_eq!(lab.send(morning()).await.sent, 1);
    let text = carrier.taken().pop().unwrap().text;
    assert!(text.contains("NGN 7,500.00") && text.contains("back"), "{text}");

    // The same money told of twice is told to its payer once.
    let attempt = books.attempt(ada, None, naira(500_000), morning()).await;
    let said = books::paid(&attempt, naira(500_000), "t-1");
    for _ in 0..3 {
        books.billing.till.settle(&said, morning()).await.unwrap();
    }
    let receipts = lab.all().await.iter().filter(|one| one.kind == Kind::Receipt).count();
    assert_eq!((receipts, lab.send(morning()).await.sent), (2, 1));
    books.must_be_right().await;
}

/// Books over a lab's store that tell by its queue.
fn telling(lab: &Lab) -> Books {
    let zone = jiff::tz::TimeZone::get("Africa/Lagos").unwrap();
    let settings = Settings::plain(Currency::parse("NGN").unwrap(), zone);
    let mut books = Books::over(lab.store.clone(), &settings);
    books.billing = books.billing.clone().telling(lab.bulletin.clone());
    books
}

/// A look as after a start: what was told before is known from the store alone.
async fn look(books: &Books, now: Timestamp) -> u64 {
    Notices::new(books.billing.till.clone()).run(now).await.unwrap().told
}

async fn count(lab: &Lab, kind: Kind) -> usize {
    lab.all().await.iter().filter(|one| one.kind == kind).count()
}

async fn open_session(books: &Books, service: ServiceId, now: Timestamp) -> SessionId {
    let id: SessionId = "0199c0de-0000-7000-8000-0000000000cc".parse().unwrap();
    let session: Session = serde_json::from_value(json!({
        "id": id, "nas_id": "0199c0de-0000-7000-8000-0000000000dd", "acct_session_id": "1", "service_id": service,
        "username": "user1", "reported_from": "192.0.2.1", "opened_at": now, "opened_by": "start",
    }))
    .unwrap();
    books.store.commit(Unit::natural().create::<Sessions>(&id, &session).unwrap()).await.unwrap();
    id
}

async fn renew(books: &Books, ada: SubscriberId, service: ServiceId, now: Timestamp) {
    let order = books.order(ada, Wish::Period(service), now).await.unwrap();
    books.billing.till.pay_from_wallet(order.id, ada, None, now).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_will_not_do_is_told_of_days_before_once_and_a_restart_changes_nothing() {
    let server = MailServer::start().await;
    let quiet = QuietHours::new(Time::constant(21, 0, 0, 0), Time::constant(7, 0, 0, 0));
    let lab = Lab::proven(vec![mail_to(server.port)], Rules { quiet, ..Rules::default() }).await;
    let ada = lab.subscriber(json!({ "email": "ada@example.net" })).await;
    let books = telling(&lab);
    let month = Some((1, ValidityUnit::Months));
    let service = books.service(ada, books::terms(10_000, month), morning()).await;
    books.cash(ada, 10_000, morning()).await;
    renew(&books, ada, service, morning()).await;
    // Paid until 1 April; a second before three days remain nothing is said.
    assert_eq!(look(&books, books::at("2026-03-29T08:59:59Z")).await, 0);
    let night = books::at("2026-03-29T22:00:00Z");
    assert_eq!(look(&books, night).await, 1);
    for _ in 0..3 {
        assert_eq!(look(&books, later(night, 60)).await, 0, "once, also after a restart");
    }
    lab.post.send_by(Channel::Mail, night).await.unwrap();
    let low =
        || server.mails().into_iter().filter(|mail| mail.header("Subject") == ["Your wallet is low"]).count();
    assert_eq!(low(), 0, "nobody is woken for it");
    lab.post.send_by(Channel::Mail, books::at("2026-03-30T06:00:00Z")).await.unwrap();
    assert_eq!(low(), 1);
    let mail = server.to("ada@example.net");
    assert!(mail.text.contains("is renewed on 1 April 2026 for NGN 100.00"), "{}", mail.text);
    assert!(mail.text.contains("your wallet holds NGN 0.00"), "{}", mail.text);
    let till = &books.billing.till;
    till.run_cycle(books::at("2026-04-01T08:58:00Z")).await.unwrap();
    assert_eq!(count(&lab, Kind::LowBalance).await, 1, "what was told is not told again at the end");
    till.run_cycle(books::at("2026-04-01T09:00:00Z")).await.unwrap();
    assert_eq!(count(&lab, Kind::RenewalFailed).await, 1);

    // Of the next period it is told again, and of one that the wallet can pay nothing.
    books.cash(ada, 10_000, books::at("2026-04-02T09:00:00Z")).await;
    till.run_cycle(books::at("2026-04-02T09:00:00Z")).await.unwrap();
    assert_eq!(look(&books, books::at("2026-05-01T09:00:00Z")).await, 1);
    books.cash(ada, 30_000, books::at("2026-05-01T10:00:00Z")).await;
    till.run_cycle(books::at("2026-05-02T09:00:00Z")).await.unwrap();
    assert_eq!(look(&books, books::at("2026-06-01T09:00:00Z")).await, 0);
    assert_eq!(count(&lab, Kind::LowBalance).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_trial_is_told_days_before_once() {
    let carrier = Carrier::start().await;
    let lab = Lab::proven(plain(carrier.port, key()), Rules::default()).await;
    let ada = lab.subscriber(json!({ "phone": "08012345678" })).await;
    let books = telling(&lab);
    let mut terms = books::terms(10_000, Some((1, ValidityUnit::Months)));
    terms.billing.trial_days = 7;
    let service = books.service(ada, terms, morning()).await;
    assert!(books.billing.till.begin_trial(service, ada, morning()).await.unwrap());
    books.billing.till.run_cycle(morning()).await.unwrap();
    assert_eq!(look(&books, books::at("2026-03-05T08:59:59Z")).await, 0);
    assert_eq!(look(&books, books::at("2026-03-05T09:00:00Z")).await, 1);
    assert_eq!(look(&books, books::at("2026-03-06T09:00:00Z")).await, 0);
    lab.send(books::at("2026-03-05T09:00:00Z")).await;
    let text = carrier.taken().pop().unwrap().text;
    assert!(text.contains("ends on 8 March 2026") && text.contains("NGN 100.00"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_fifths_and_all_of_a_plan_are_told_once_each_and_a_top_up_counts_anew() {
    let carrier = Carrier::start().await;
    let lab = Lab::proven(plain(carrier.port, key()), Rules::default()).await;
    let ada = lab.subscriber(json!({ "phone": "08012345678" })).await;
    let books = telling(&lab);
    let mut terms = books::terms(10_000, Some((1, ValidityUnit::Months)));
    terms.data_allowance = Some(1_000_000_000);
    terms.usage = serde_json::from_value(json!({ "top_ups": [{
        "code": "boost", "name": "1 GB", "price": { "minor": 5_000, "currency": "NGN" },
        "octets": 1_000_000_000 }] }))
    .unwrap();
    let service = books.service(ada, terms, morning()).await;
    books.cash(ada, 60_000, morning()).await;
    renew(&books, ada, service, morning()).await;
    let now = later(morning(), 3_600);
    books.use_up(service, 799_999_999, now).await;
    assert_eq!(look(&books, now).await, 0);
    books.use_up(service, 1, now).await;
    assert_eq!((look(&books, now).await, look(&books, now).await), (1, 0));
    books.use_up(service, 200_000_000, now).await;
    assert_eq!((look(&books, now).await, look(&books, now).await), (1, 0));
    lab.send(now).await;
    let texts: Vec<String> = carrier.taken().into_iter().map(|one| one.text).collect();
    let has = |part: &str| texts.iter().filter(|text| text.contains(part)).count();
    assert_eq!((has("80% of"), has("is used up for this period")), (1, 1), "{texts:?}");

    let order = books.order(ada, Wish::TopUp(service, "boost".into()), now).await.unwrap();
    books.billing.till.pay_from_wallet(order.id, ada, None, now).await.unwrap();
    books.billing.till.pay_from_wallet(order.id, ada, None, now).await.unwrap();
    assert_eq!(count(&lab, Kind::TopUp).await, 1, "what was bought is told once");
    lab.send(now).await;
    let text = carrier.taken().pop().unwrap().text;
    assert!(text.contains("1 GB was added for NGN 50.00. It counts until 1 April 2026"), "{text}");
    assert_eq!(look(&books, now).await, 0, "half of it is used");
    books.use_up(service, 600_000_000, now).await;
    assert_eq!((look(&books, now).await, look(&books, now).await), (1, 0));

    // In a run that goes on, whoever is and whoever was online at the last look is looked at.
    let mut notices = Notices::new(books.billing.till.clone());
    notices.run(now).await.unwrap();
    assert_eq!(notices.run(now).await.unwrap().looked_at, 0);
    let session = open_session(&books, service, now).await;
    assert_eq!(notices.run(now).await.unwrap().looked_at, 1);
    books.store.commit(Unit::natural().delete::<Sessions>(&session)).await.unwrap();
    books.use_up(service, 400_000_000, now).await;
    assert_eq!(notices.run(now).await.unwrap().told, 1, "it was cut since, and is told why");
    assert_eq!(notices.run(now).await.unwrap().looked_at, 0);
    assert_eq!((count(&lab, Kind::QuotaLow).await, count(&lab, Kind::QuotaSpent).await), (2, 2));
}

/// Messages as they were kept when every one was a mail.
#[derive(Debug, Clone)]
struct OldMessages;

impl Collection for OldMessages {
    const SPEC: &'static CollectionSpec = &CollectionSpec {
        name: "messages",
        schema: 1,
        indexes: &[
            IndexSpec { name: "next_try_at", unique: false },
            IndexSpec { name: "created_at", unique: false },
        ],
        counters: &[],
        seal: SealKind::Keyed,
    };
    type Key = MessageId;
    type Body = Value;
    fn index(body: &Value) -> Vec<IndexValue> {
        let millis = |name: &str| {
            let at = body[name].as_str().map(|at| at.parse::<Timestamp>().unwrap());
            at.map(Timestamp::as_millisecond).into()
        };
        vec![millis("next_try_at"), millis("created_at")]
    }
}

fn open(dir: &Path, collections: &[Registration]) -> Store {
    let mut options = Options::new(dir, SealKey::new([7; 32]), Clock::System, Entropy::System);
    options.ballast = 1 << 20;
    Store::open(&options, collections, Arc::new(())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_waited_in_a_store_of_the_release_before_is_sent_by_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let id: MessageId = "0199c0de-0000-7000-8000-000000000001".parse().unwrap();
    let context = format!("messages/{id}/text");
    let text = Secret::from_text("Your code:\n\n    01234567\n");
    let sealed = vault().seal(&Entropy::System, &context, &text).unwrap();
    let old = json!({
        "id": id, "to": "ada@example.net", "subject": "Your code for Lekki", "sealed_text": String::from(sealed),
        "created_at": morning(), "next_try_at": morning(), "useful_until": later(morning(), 86_400), "tries": 1,
        "fault": "the mail server did not take it",
    });
    let store = open(dir.path(), &[Registration::of::<OldMessages>()]);
    store.commit(Unit::natural().create::<OldMessages>(&id, &old).unwrap()).await.unwrap();
    store.close().await;

    let server = MailServer::start().await;
    let store = open(dir.path(), &tables::all());
    let lab = Lab::over(store, vec![mail_to(server.port)], Rules::default());
    let sent = lab.post.send_by(Channel::Mail, later(morning(), 5)).await.unwrap();
    assert_eq!(sent.sent, 1, "{sent:?}");
    assert_eq!(server.to("ada@example.net").code(), "01234567");
    assert_eq!(lab.all().await[0].language, Language::english());
}
