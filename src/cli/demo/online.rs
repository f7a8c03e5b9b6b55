//! The journey as a phone sees it: from a lease to being online, and off again. Every step asks from
//! the phone or as an admin, and holds what came against what it must be.

use std::time::Duration;

use serde_json::{Value, json};

use super::helpers::{CAPPORT, PORTAL_NAME};
use super::journey::{get, must, must_be, needed, post, soon};
use super::lab::Lab;
use super::phone::{Download, Page, Phone};
use super::radclient::{self, Port, Server};
use super::script::{Done, Script};
use super::signup::{self, PROBE, Person};
use super::world::{WEB4, WEB6};
use crate::cli::error::CliError;
use crate::cli::talk::{Talk, encoded};
use crate::cli::{human, read};

/// Who has come online.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) email: &'static str,
    pub(super) password: &'static str,
    pub(super) login: String,
    pub(super) network_password: String,
    session: String,
    service: String,
}

/// From a lease to the end of the connection.
pub(super) async fn run(
    lab: &mut Lab,
    api: &Talk,
    server: &Server,
    script: &mut Script,
) -> Result<Customer, CliError> {
    let phone = lab.phone(&lab.world().phone);
    arrive(lab, &phone, script).await?;
    script.step("A free plan that strangers may sign up for", plan(api)).await?;
    sign_up(lab, &phone, script).await?;
    let download = use_it(lab, &phone, script).await?;
    let customer = look_after(api, server, script).await?;
    script.step("The daemon is killed while the download runs", survives(lab, &download)).await?;
    script.step("The session is the same, and counts on", same(api, &customer)).await?;
    script.step("The admin disconnects the session", disconnect(lab, api, &customer, download)).await?;
    script.step("The phone's next connection is refused", refused(&phone)).await?;
    script.step("Programs are told that too", capport(&phone, true)).await?;
    Ok(customer)
}

async fn use_it(lab: &Lab, phone: &Phone, script: &mut Script) -> Result<Download, CliError> {
    script.step("The same probe gets its real answer", free(phone)).await?;
    script.step("And TLS gets through", tls_passes(phone)).await?;
    let download = script.step("A download runs at the plan's rate", rate(lab, phone)).await?;
    script.step("The status page shows the usage", usage(phone)).await?;
    script.step("Programs are told the same (RFC 8908)", capport(phone, false)).await?;
    Ok(download)
}

async fn look_after(api: &Talk, server: &Server, script: &mut Script) -> Result<Customer, CliError> {
    let customer = script.step("The admin sees the session", listed(api)).await?;
    let customer = script.step("The admin sets a new network password", password(api, customer)).await?;
    script.step("The same subscriber by RADIUS", by_radius(server, &customer)).await?;
    Ok(customer)
}

async fn arrive(lab: &Lab, phone: &Phone, script: &mut Script) -> Result<(), CliError> {
    script.step("The phone gets a lease, with the portal's address", lease(lab, phone)).await?;
    script.step("And an IPv6 address, by router advertisements", slaac(phone)).await?;
    script.step("The gateway's doctor", well(lab)).await?;
    script.step("The phone's probe leads to the portal", captured(phone)).await?;
    script.step("TLS to the Internet is refused at once", refused(phone)).await?;
    script.step("Programs are told so (RFC 8908)", capport(phone, true)).await
}

async fn sign_up(lab: &Lab, phone: &Phone, script: &mut Script) -> Result<(), CliError> {
    let page = script.step("A stranger signs up on the portal's pages", signup::fill_in(phone, &ADA)).await?;
    let code = script.step("The code comes by mail", signup::mailed(lab, &ADA)).await?;
    script.step("The code is entered", signup::confirm(phone, page, &code)).await.map(drop)
}

pub(super) async fn lease(lab: &Lab, phone: &Phone) -> Done<()> {
    let lease = phone.lease().await?;
    must(lease.portal == CAPPORT, || format!("option 114 was {:?}", lease.portal))?;
    must(lease.router == lab.nets().gateway().to_string(), || format!("the router was {}", lease.router))?;
    Ok(((), format!("{}, router and resolver {}, option 114 {}", lease.address, lease.router, lease.portal)))
}

async fn slaac(phone: &Phone) -> Done<()> {
    let until = || async { Ok(phone.global_address().await?.map(|address| ((), address))) };
    soon("the phone did not get an IPv6 address", until).await
}

/// `doctor`, where the daemon runs: interfaces, forwarding, rules of others, names, certificate, mail.
async fn well(lab: &Lab) -> Done<()> {
    let mut doctor = lab.world().gateway.command(lab.program());
    doctor.arg("--config").arg(lab.config()).arg("doctor");
    let ran = tokio::task::spawn_blocking(move || doctor.output()).await;
    let output = match ran {
        Ok(output) => output.map_err(|error| CliError::failed("run doctor", &error))?,
        Err(error) => return Err(CliError::failed("run doctor", &error)),
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    must(output.status.success(), || {
        told.lines().filter(|line| !line.starts_with("ok")).collect::<Vec<_>>().join("\n")
    })?;
    Ok(((), told.lines().last().unwrap_or_default().to_owned()))
}

pub(super) async fn captured(phone: &Phone) -> Done<()> {
    let mut told = Vec::new();
    for family in FAMILIES {
        let page = phone.curl(&[family, PROBE]).await?;
        let location = page.header("location").to_owned();
        must(page.status == 302 && location.contains(PORTAL_NAME), || {
            format!("{} {}: {} {location}", family, PROBE, page.told())
        })?;
        told.push(format!("{} {location}", page.status));
    }
    told.dedup();
    Ok(((), format!("{PROBE} → {} (both families)", told.join(", "))))
}

pub(super) async fn refused(phone: &Phone) -> Done<()> {
    let mut told = Vec::new();
    for address in [WEB4.to_owned(), format!("[{WEB6}]")] {
        let page = phone.curl(&["-w", TIMED, &format!("https://{address}/")]).await?;
        must(page.complaint.contains("(7)"), || format!("https://{address}/: {}", page.told()))?;
        told.push(timed(&page));
    }
    Ok(((), format!("refused after {}", told.join(" and "))))
}

async fn tls_passes(phone: &Phone) -> Done<()> {
    let url = format!("https://{WEB4}/");
    let page = phone.curl(&["-w", TIMED, &url]).await?;
    must(!page.complaint.contains("(7)") && !page.complaint.contains("(28)"), || page.told())?;
    Ok(((), format!("connected after {}", timed(&page))))
}

async fn plan(api: &Talk) -> Done<()> {
    let body = json!({
        "plan_code": PLAN, "name": "Free 8", "service_type": "internet", "monthly_price": "0",
        "download_speed": 8, "upload_speed": 4, "bandwidth_unit": "mbps", "device_limit": 2,
    });
    let made = post(api, "/api/v1/service-plans", body).await?;
    let rate = |pointer| read::number(&made, pointer).map_or_else(String::new, human::rate);
    Ok(((), format!("{PLAN}, {} down, {} up", rate("/download_bps"), rate("/upload_bps"))))
}

pub(super) async fn free(phone: &Phone) -> Done<()> {
    for family in FAMILIES {
        let page = phone.curl(&[family, PROBE]).await?;
        must(page.status == 204, || format!("{family} {PROBE}: {}", page.told()))?;
    }
    let apple = phone.curl(&["http://captive.apple.com/hotspot-detect.html"]).await?;
    must(apple.body.contains("<TITLE>Success</TITLE>"), || apple.told())?;
    Ok(((), "204 for Android (both families), Success for Apple".to_owned()))
}

async fn rate(lab: &Lab, phone: &Phone) -> Done<Download> {
    let mut download = phone.download(DOWNLOAD)?;
    let clock = lab.clock();
    // What was saved up while nothing was sent comes first, above the rate.
    tokio::time::sleep(SETTLE).await;
    let (before, began) = (download.seen().octets, clock.monotonic());
    tokio::time::sleep(MEASURE).await;
    let octets = download.seen().octets.saturating_sub(before);
    let took = clock.monotonic().saturating_duration_since(began);
    if let Some(complaint) = download.ended() {
        return Err(CliError::NotSo(format!("the download ended: {complaint}")));
    }
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let bits = octets.saturating_mul(8_000) / millis;
    let (low, high) = (PLAN_BPS / 10 * 9, PLAN_BPS / 10 * 11);
    let said = format!("{} over {}", human::rate(bits), human::took(took));
    must((low..=high).contains(&bits), || format!("{said} instead of {}", human::rate(PLAN_BPS)))?;
    Ok((download, format!("{said}, of {}", human::rate(PLAN_BPS))))
}

async fn usage(phone: &Phone) -> Done<()> {
    let url = format!("https://{PORTAL_NAME}/status");
    let until = || async {
        let page = phone.curl(&[&url]).await?;
        let value = |label: &str| {
            let (_, rest) = page.body.split_once(&format!("<dt>{label}</dt><dd>"))?;
            rest.split_once("</dd>").map(|(value, _)| value.to_owned())
        };
        let Some(used) = value("Used") else {
            return Err(CliError::NotSo(format!("{url} shows no usage: {}", page.body)));
        };
        let received = used.split_once(" down").map_or("", |(down, _)| down);
        Ok(received.contains(" MB").then(|| ((), used.replace("<br>", ", "))))
    };
    soon("the page does not show the megabytes of the download", until).await
}

async fn capport(phone: &Phone, captive: bool) -> Done<()> {
    let page = phone.curl(&["-H", "Accept: application/captive+json", CAPPORT]).await?;
    let answer: Value = serde_json::from_str(&page.body).unwrap_or_default();
    let kind = page.header("content-type").to_owned();
    must(
        page.status == 200
            && kind.starts_with("application/captive+json")
            && answer.get("captive") == Some(&Value::Bool(captive)),
        || format!("{CAPPORT} said {kind} {}", page.told()),
    )?;
    Ok(((), answer.to_string()))
}

async fn listed(api: &Talk) -> Done<Customer> {
    let list = get(api, &format!("/api/v1/customers?search={}", encoded(ADA.email))).await?;
    let customer = read::items(&list).first().map(|one| read::text(one, "/id")).unwrap_or_default();
    let list = get(api, &format!("/api/v1/sessions?open=true&customer_id={customer}")).await?;
    let [session] = read::items(&list) else {
        return Err(CliError::NotSo(format!("there is not one open session of {customer}: {list}")));
    };
    let login = read::text(session, "/username");
    let octets = |pointer| read::number(session, pointer).map_or_else(String::new, human::octets);
    let said = format!(
        "{login}, device {}, address {}, {} down, {} up",
        read::text(session, "/calling_station"),
        read::first(session, &["/ipv4", "/ipv6"]),
        octets("/download_octets"),
        octets("/upload_octets")
    );
    let (id, service) = (needed(session, "/id")?, needed(session, "/service_id")?);
    let network_password = String::new();
    Ok((
        Customer { email: ADA.email, password: ADA.password, login, network_password, session: id, service },
        said,
    ))
}

async fn password(api: &Talk, customer: Customer) -> Done<Customer> {
    let path = format!("/api/v1/services/{}/reset-password", customer.service);
    let made = post(api, &path, json!({})).await?;
    let network_password = needed(&made, "/network_password")?;
    Ok((Customer { network_password, ..customer }, "made by the daemon, shown once".to_owned()))
}

async fn by_radius(server: &Server, customer: &Customer) -> Done<()> {
    let asked = super::journey::login(&customer.login, "User-Password", &customer.network_password);
    let said = radclient::ask(server, Port::Authentication, asked).await?;
    must_be(&said, "Access-Accept")?;
    let speed = said.attributes.iter().find(|one| one.starts_with("Mikrotik-Rate-Limit"));
    must(speed.is_some_and(|one| one.contains(RATE_LIMIT)), || said.attributes.join("\n"))?;
    Ok(((), format!("{}, {}", said.code, speed.cloned().unwrap_or_default())))
}

/// The longest pause of what the phone receives, while the daemon is away and comes back.
async fn survives(lab: &mut Lab, download: &Download) -> Done<()> {
    download.forget_gaps();
    let before = download.seen().octets;
    lab.cut()?;
    tokio::time::sleep(AWAY).await;
    let alone = download.seen().octets.saturating_sub(before);
    let pid = lab.start().await?;
    tokio::time::sleep(SETTLE).await;
    let seen = download.seen();
    let gap = seen.longest_gap.max(lab.clock().monotonic().saturating_duration_since(seen.last));
    must(gap < LONGEST_GAP, || format!("nothing came for {}", human::took(gap)))?;
    let away = human::took(AWAY);
    let said = format!(
        "{} came while nobody ran for {away}; the longest gap was {}; process {pid} goes on",
        human::octets(alone),
        human::took(gap)
    );
    Ok(((), said))
}

async fn same(api: &Talk, customer: &Customer) -> Done<()> {
    let path = format!("/api/v1/sessions/{}", customer.session);
    let before = read::number(&get(api, &path).await?, "/download_octets").unwrap_or(0);
    let until = || async {
        let session = get(api, &path).await?;
        must(session.get("open").and_then(Value::as_bool) == Some(true), || format!("{session}"))?;
        let now = read::number(&session, "/download_octets").unwrap_or(0);
        Ok((now > before).then(|| ((), format!("open, {} down by now", human::octets(now)))))
    };
    soon("the session does not count on", until).await
}

async fn disconnect(lab: &Lab, api: &Talk, customer: &Customer, mut download: Download) -> Done<()> {
    let clock = lab.clock();
    post(api, &format!("/api/v1/sessions/{}/disconnect", customer.session), json!({})).await?;
    let answered = clock.monotonic();
    // The next packet on this connection is refused, which ends it.
    let mut complaint = download.ended();
    while complaint.is_none() && clock.monotonic().saturating_duration_since(answered) < SOON {
        tokio::time::sleep(LOOK).await;
        complaint = download.ended();
    }
    let noticed = human::took(clock.monotonic().saturating_duration_since(answered));
    let last = download.seen().last.saturating_duration_since(answered);
    must(last < SECOND, || format!("the download went on for {}", human::took(last)))?;
    let last = if last.is_zero() {
        "not one octet came after the answer".to_owned()
    } else {
        format!("the last octet came {} after the answer", human::took(last))
    };
    let complaint = complaint.ok_or_else(|| {
        CliError::NotSo(format!("{last}, but the phone's next packet was not refused within {noticed}"))
    })?;
    Ok(((), format!("{last}; the phone's next packet, {noticed} later: {complaint}")))
}

/// What curl took by its own count.
fn timed(page: &Page) -> String {
    let (_, rest) = page.complaint.split_once("after=").unwrap_or_default();
    rest.split_whitespace().next().unwrap_or("?").to_owned() + " s"
}

const FAMILIES: [&str; 2] = ["-4", "-6"];
const DOWNLOAD: &str = "http://www.demo.example/download";
const TIMED: &str = "%{stderr} after=%{time_total} ";
const PLAN: &str = "free-8";
const PLAN_BPS: u64 = 8_000_000;
/// As RouterOS reads it: what it receives from the subscriber first.
const RATE_LIMIT: &str = "4M/8M";
const ADA: Person = Person {
    email: "ada.obi.mobile@example.net",
    password: "three words of mine",
    plan: PLAN,
    plan_name: "Free 8",
};
/// For what the kernel's bucket holds at first: a second of the rate and its burst.
const SETTLE: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(10);
/// How long nobody runs.
const AWAY: Duration = Duration::from_secs(2);
/// Policing drops what is too much, and TCP then waits a moment; nothing lasts as long as a daemon's absence.
const LONGEST_GAP: Duration = Duration::from_millis(1_500);
const LOOK: Duration = Duration::from_millis(5);
const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(3);
