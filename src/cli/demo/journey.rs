//! The journey itself: every step asks the daemon from outside and holds the answer against what
//! it must be.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::kiosk;
use super::lab::Lab;
use super::online::{self, Customer};
use super::purchase;
use super::radclient::{self, Port, Said, Server};
use super::script::{Done, Script};
use crate::cli::error::CliError;
use crate::cli::talk::{Load, Talk, encoded};
use crate::cli::{Context, human, read};

/// What a person needs to go on by hand.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) owner: Staff,
    pub(super) agent: Staff,
    pub(super) secret: String,
    pub(super) customer: Customer,
}

/// Somebody who works here.
#[derive(Debug)]
pub(super) struct Staff {
    pub(super) email: &'static str,
    pub(super) password: String,
}

/// A network login that the NAS asks about.
#[derive(Debug)]
struct Credentials {
    login: String,
    network_password: String,
}

/// The counters that the NAS reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Used {
    down: u64,
    up: u64,
    seconds: u64,
}

/// The whole journey.
pub(super) async fn run(context: &Context, lab: &mut Lab, script: &mut Script) -> Result<Keys, CliError> {
    let (pid, owner, api) = open_up(lab, script).await?;
    script.step("Without a token nobody sees customers", locked_out(lab)).await?;
    script.step("A plan, faster down than up", plan(&api)).await?;
    let customer = script.step("A customer", customer(&api)).await?;
    let (service, login, network_password) = script.step("A service", service(&api, &customer)).await?;
    script.step("The service is provisioned", provision(&api, &service)).await?;
    let (server, secret) = script.step("A MikroTik as NAS", nas(lab, &api)).await?;
    let credentials = Credentials { login, network_password };

    logins(&server, &credentials, script).await?;
    script.step("The refusal has its reason", reason(&api, &credentials.login)).await?;
    sessions(context, lab, (pid, &api), &server, &credentials, script).await?;
    let customer = online::run(lab, &api, &server, script).await?;
    let api = purchase::run(lab, &owner, script).await?;
    let agent = kiosk::run(lab, (&owner, &api), script).await?;
    Ok(Keys { owner, agent, secret, customer })
}

/// The box, its surroundings and its owner.
async fn open_up(lab: &mut Lab, script: &mut Script) -> Result<(u32, Staff, Talk), CliError> {
    script.step("Phones, the gateway and an Internet", surroundings(lab)).await?;
    let pid = script.step("The daemon starts on the gateway", start(lab)).await?;
    let password = script.step("The first admin is made on the box", admin(lab)).await?;
    let owner = Staff { email: EMAIL, password };
    let api = script.step("The admin logs in over HTTP", log_in(lab, &owner)).await?;
    Ok((pid, owner, api))
}

async fn logins(server: &Server, keys: &Credentials, script: &mut Script) -> Result<(), CliError> {
    let methods = [
        ("A login by PAP", "User-Password"),
        ("A login by CHAP", "CHAP-Password"),
        ("A login by MS-CHAP", "MS-CHAP-Password"),
    ];
    for (title, attribute) in methods {
        script.step(title, accepted(server, keys, attribute)).await?;
    }
    script.step("A wrong password", rejected(server, keys)).await
}

async fn sessions(
    context: &Context,
    lab: &mut Lab,
    (pid, api): (u32, &Talk),
    server: &Server,
    keys: &Credentials,
    script: &mut Script,
) -> Result<(), CliError> {
    let server = Server { address: lab.ports().accounting, ..server.clone() };
    let id = context.entropy.readable(12).map_err(|error| CliError::failed("make a session id", &error))?;
    let report = |status, used| account(&server, keys, &id, status, used);
    script.step("The NAS reports a session's start", report("Start", None)).await?;
    script.step("The NAS reports more than 4 GiB", report("Interim-Update", Some(HALFWAY))).await?;
    script.step("The daemon is killed (SIGKILL) and starts again", restart(lab, pid)).await?;
    script.step("The session is whole", whole(api, &keys.login, HALFWAY, true)).await?;
    script.step("The NAS reports the session's end", report("Stop", Some(AT_THE_END))).await?;
    script.step("The session is closed, to the octet", whole(api, &keys.login, AT_THE_END, false)).await?;
    let again = Server { address: lab.ports().authentication, ..server.clone() };
    script.step("The next login", accepted(&again, keys, "User-Password")).await
}

async fn surroundings(lab: &mut Lab) -> Done<()> {
    lab.start_helpers().await?;
    let world = lab.world();
    let places = [&world.phone, &world.buyer, &world.guest, &world.gateway, &world.internet];
    let names = places.map(super::space::Space::name);
    Ok(((), format!("namespaces {}", names.join(", "))))
}

async fn start(lab: &mut Lab) -> Done<u32> {
    let pid = lab.start().await?;
    let ports = lab.ports();
    Ok((
        pid,
        format!(
            "process {pid}, HTTP on {}, RADIUS on {} and {}",
            ports.admin, ports.authentication, ports.accounting
        ),
    ))
}

async fn admin(lab: &Lab) -> Done<String> {
    let body = json!({ "email": EMAIL, "name": "Demo Owner", "role": "owner" });
    let made = post(&lab.console(), "/api/v1/users", body).await?;
    let password = needed(&made, "/generated_password")?;
    Ok((password, format!("{EMAIL}, over the control socket")))
}

pub(super) async fn log_in(lab: &Lab, staff: &Staff) -> Done<Talk> {
    let body = json!({ "email": staff.email, "password": staff.password });
    let answer = post(&lab.api(), "/api/v1/auth/login", body).await?;
    let token = needed(&answer, "/access_token")?;
    Ok((lab.api().with_token(token), "an access token".to_owned()))
}

async fn locked_out(lab: &Lab) -> Done<()> {
    let answer = lab.api().send(Method::GET, "/api/v1/customers", Load::Nothing).await?;
    must(answer.status == StatusCode::UNAUTHORIZED, || format!("the answer was {}", answer.status))?;
    Ok(((), answer.status.to_string()))
}

async fn plan(api: &Talk) -> Done<()> {
    let body = json!({
        "plan_code": PLAN, "name": "Home 20", "service_type": "internet", "monthly_price": "17500.00",
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps",
    });
    let made = post(api, "/api/v1/service-plans", body).await?;
    let rate = |pointer| read::number(&made, pointer).map_or_else(String::new, human::rate);
    let (price, currency) = (read::text(&made, "/monthly_price"), read::text(&made, "/currency"));
    let (down, up) = (rate("/download_bps"), rate("/upload_bps"));
    Ok(((), format!("{PLAN}, {down} down, {up} up, {price} {currency} a month")))
}

async fn customer(api: &Talk) -> Done<String> {
    let body = json!({
        "first_name": "Ada", "last_name": "Obi", "email": "ada.obi@example.net", "phone": "+2348012345678",
        "billing_address": { "street": "1 Marina", "city": "Lagos", "state": "Lagos", "zip": "101231" },
    });
    let made = post(api, "/api/v1/customers", body).await?;
    let (name, number) = (read::text(&made, "/display_name"), read::text(&made, "/customer_number"));
    Ok((needed(&made, "/id")?, format!("{name}, number {number}")))
}

async fn service(api: &Talk, customer: &str) -> Done<(String, String, String)> {
    let body = json!({ "customer_id": customer, "plan_code": PLAN, "username": LOGIN });
    let made = post(api, "/api/v1/services", body).await?;
    let (id, login) = (needed(&made, "/id")?, needed(&made, "/username")?);
    let password = needed(&made, "/network_password")?;
    let said = format!("login {login}, service {}", read::text(&made, "/service_number"));
    Ok(((id, login, password), said))
}

async fn provision(api: &Talk, service: &str) -> Done<()> {
    let path = format!("/api/v1/services/{service}");
    post(api, &format!("{path}/provision"), json!({})).await?;
    let until = || async {
        let service = get(api, &path).await?;
        let status = read::text(&service, "/status");
        Ok((status == "active").then_some(((), format!("status {status}"))))
    };
    soon("the service did not become active", until).await
}

async fn nas(lab: &Lab, api: &Talk) -> Done<(Server, String)> {
    let address = lab.nets().host().to_string();
    let body = json!({ "name": "demo-router", "address": address, "kind": "mikrotik" });
    let made = post(api, "/api/v1/nas-devices", body).await?;
    let secret = needed(&made, "/secret")?;
    let secret_file = lab.write("secret", &format!("{secret}\n"))?;
    let server = Server { address: lab.ports().authentication, secret_file };
    let policy = read::text(&made, "/message_authenticator");
    Ok(((server, secret), format!("demo-router at {address}, Message-Authenticator: {policy}")))
}

async fn accepted(server: &Server, keys: &Credentials, attribute: &str) -> Done<()> {
    let asked = login(&keys.login, attribute, &keys.network_password);
    let said = radclient::ask(server, Port::Authentication, asked).await?;
    must_be(&said, "Access-Accept")?;
    let speed = said.attributes.iter().find(|one| one.starts_with("Mikrotik-Rate-Limit"));
    must(speed.is_some_and(|one| one.contains(RATE_LIMIT)), || {
        format!(
            "the accept does not carry {RATE_LIMIT} as Mikrotik-Rate-Limit:\n{}",
            said.attributes.join("\n")
        )
    })?;
    Ok(((), format!("{}\n{}", said.code, said.attributes.join("\n"))))
}

async fn rejected(server: &Server, keys: &Credentials) -> Done<()> {
    let asked = login(&keys.login, "User-Password", "not the password");
    let said = radclient::ask(server, Port::Authentication, asked).await?;
    must_be(&said, "Access-Reject")?;
    Ok(((), format!("{}, held back to slow guessing down", said.code)))
}

async fn reason(api: &Talk, login: &str) -> Done<()> {
    let path = format!("/api/v1/why?who={}", encoded(login));
    let until = || async {
        let why = get(api, &path).await?;
        let decisions = why.get("decisions").and_then(Value::as_array).cloned().unwrap_or_default();
        let refused = decisions.iter().find(|one| one.get("refusal").is_some_and(|reason| !reason.is_null()));
        Ok(refused.map(|one| {
            let reason = read::first(one, &["/refusal/code", "/refusal"]);
            ((), format!("{reason}, at {}", read::text(one, "/nas")))
        }))
    };
    soon("`why` did not tell the refusal", until).await
}

async fn account(
    server: &Server,
    keys: &Credentials,
    id: &str,
    status: &str,
    used: Option<Used>,
) -> Done<()> {
    let mut asked = format!(
        "User-Name = \"{}\"\nAcct-Status-Type = {status}\nAcct-Session-Id = \"{id}\"\n\
         NAS-Identifier = \"demo-router\"\nCalling-Station-Id = \"{MAC}\"\nFramed-IP-Address = {ADDRESS}\n",
        keys.login
    );
    if let Some(Used { down, up, seconds }) = used {
        let (low, high) = (|octets: u64| octets & u64::from(u32::MAX), |octets: u64| octets >> 32);
        asked.push_str(&format!(
            "Acct-Session-Time = {seconds}\n\
             Acct-Input-Octets = {}\nAcct-Input-Gigawords = {}\n\
             Acct-Output-Octets = {}\nAcct-Output-Gigawords = {}\n",
            low(up),
            high(up),
            low(down),
            high(down)
        ));
    }
    let said = radclient::ask(server, Port::Accounting, asked).await?;
    must_be(&said, "Accounting-Response")?;
    let told = used.map_or_else(String::new, |used| format!(" for {}", used.told()));
    Ok(((), format!("{}{told}: it is on disk", said.code)))
}

async fn restart(lab: &mut Lab, before: u32) -> Done<()> {
    lab.cut()?;
    let pid = lab.start().await?;
    Ok(((), format!("process {before} is gone, process {pid} is ready")))
}

async fn whole(api: &Talk, login: &str, used: Used, open: bool) -> Done<()> {
    let list = get(api, &format!("/api/v1/sessions?username={}", encoded(login))).await?;
    let [session] = read::items(&list) else {
        return Err(CliError::NotSo(format!(
            "there are {} sessions instead of one",
            read::items(&list).len()
        )));
    };
    let number = |pointer| read::number(session, pointer).unwrap_or(0);
    let found = Used {
        down: number("/download_octets"),
        up: number("/upload_octets"),
        seconds: number("/duration_seconds"),
    };
    must(found == used, || format!("it shows {} instead of {}", found.told(), used.told()))?;
    let is_open = session.get("open").and_then(Value::as_bool);
    must(is_open == Some(open), || format!("open: {is_open:?}"))?;
    Ok(((), format!("one session, {}, {}", if open { "open" } else { "closed" }, found.told())))
}

impl Used {
    fn told(self) -> String {
        format!("{} octets down, {} up, {}", self.down, self.up, human::span(self.seconds))
    }
}

/// The attributes of a login; radclient fills Message-Authenticator in.
pub(super) fn login(user: &str, attribute: &str, password: &str) -> String {
    format!(
        "User-Name = \"{user}\"\n{attribute} = \"{password}\"\nService-Type = Framed-User\n\
         NAS-Identifier = \"demo-router\"\nCalling-Station-Id = \"{MAC}\"\nMessage-Authenticator = 0x00\n"
    )
}

pub(super) async fn get(talk: &Talk, path: &str) -> Result<Value, CliError> {
    talk.good(Method::GET, path, Load::Nothing).await
}

pub(super) async fn post(talk: &Talk, path: &str, body: Value) -> Result<Value, CliError> {
    talk.good(Method::POST, path, Load::Json(body)).await
}

/// Asks until there is something, but not for ever.
pub(super) async fn soon<T, F>(otherwise: &str, mut ask: impl FnMut() -> F) -> Done<T>
where
    F: Future<Output = Result<Option<(T, String)>, CliError>>,
{
    let asking = async {
        loop {
            if let Some(done) = ask().await? {
                return Ok(done);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let asked = tokio::time::timeout(SOON, asking).await;
    asked.unwrap_or_else(|_| Err(CliError::NotSo(format!("{otherwise} within {} s", SOON.as_secs()))))
}

pub(super) fn needed(answer: &Value, pointer: &str) -> Result<String, CliError> {
    let found = answer.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
    found.ok_or_else(|| CliError::NotSo(format!("the answer has no {pointer}: {answer}")))
}

pub(super) fn must_be(said: &Said, code: &str) -> Result<(), CliError> {
    must(said.code == code, || {
        let code = if said.code.is_empty() { "silence" } else { &said.code };
        format!("the answer was {code}\n{}\n{}", said.attributes.join("\n"), said.complaint)
    })
}

pub(super) fn must(so: bool, otherwise: impl FnOnce() -> String) -> Result<(), CliError> {
    if so { Ok(()) } else { Err(CliError::NotSo(otherwise())) }
}

const EMAIL: &str = "owner@demo.example";
const PLAN: &str = "home-20";
const LOGIN: &str = "ada.obi";
/// A locally administered address, of no maker.
const MAC: &str = "02-00-00-00-00-01";
/// Of the documentation's network (RFC 5737).
const ADDRESS: &str = "192.0.2.10";
/// As RouterOS reads it: what it receives from the subscriber first.
const RATE_LIMIT: &str = "5M/20M";
/// Both directions beyond 32 bits.
const HALFWAY: Used = Used { down: 6_000_000_123, up: 4_500_000_045, seconds: 3_600 };
const AT_THE_END: Used = Used { down: 13_000_000_456, up: 4_700_000_078, seconds: 7_200 };
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// What happens behind the scenes happens within seconds.
const SOON: Duration = Duration::from_secs(15);
