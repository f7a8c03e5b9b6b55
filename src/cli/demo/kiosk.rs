//! Vouchers by an agent: a float that is paid in, a code that is sold from it, a phone that is online by it until its
//! time is over and back by a second one; and at the end the drawer, the float and the day's close.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::browser;
use super::helpers::PORTAL_NAME;
use super::journey::{Staff, get, log_in, must, needed, post, soon};
use super::lab::Lab;
use super::online::{captured, lease};
use super::paid_time::{are_right, ends, pass, until_online};
use super::phone::Phone;
use super::script::{Done, Script};
use crate::cli::error::CliError;
use crate::cli::talk::{Load, Talk};
use crate::cli::{human, read};
use crate::domain::money::{Currency, Money};

/// From the agent's first day to the close of the last one; the agent's login.
pub(super) async fn run(
    lab: &mut Lab,
    (owner, api): (&Staff, &Talk),
    script: &mut Script,
) -> Result<Staff, CliError> {
    let phone = lab.phone(&lab.world().guest);
    let (id, agent) = hire(api, script).await?;
    let own = script.step("The agent logs in", log_in(lab, &agent)).await?;
    let shift = script.step("And opens their drawer", open_drawer(&own)).await?;
    let [first, second] = FLOATS;
    let code = script.step("The agent sells a code", sell(&own, &id, first)).await?;
    script.step("A third phone gets a lease", lease(lab, &phone)).await?;
    script.step("And is led to the portal", captured(&phone)).await?;
    script.step("Its owner types the code", type_in(lab, &phone, &code)).await?;
    let end = script.step("The agent looks the voucher up", look_up(&own, &code)).await?;
    script.step("The site's clock goes on", pass(lab, &phone, end)).await?;
    script.step("The phone is cut when its time is over", ends(lab, &phone, end)).await?;

    let own = script.step("The agent logs in, a day later", log_in(lab, &agent)).await?;
    let code = script.step("The agent sells another code", sell(&own, &id, second)).await?;
    script.step("The phone's owner types it", type_in(lab, &phone, &code)).await?;
    evening(lab, owner, (&own, &id, &shift), script).await?;
    Ok(agent)
}

/// Vouchers to sell, and an agent with a float.
async fn hire(api: &Talk, script: &mut Script) -> Result<(String, Staff), CliError> {
    script.step("Vouchers of a day, made as they are sold", batch(api)).await?;
    let (id, agent) = script.step("An agent, who keeps 10 %", agent(api)).await?;
    script.step("The agent pays in for their float", deposit(api, &id)).await?;
    Ok((id, agent))
}

async fn evening(
    lab: &Lab,
    owner: &Staff,
    (own, id, shift): (&Talk, &str, &str),
    script: &mut Script,
) -> Result<(), CliError> {
    script.step("The agent counts their drawer", count(own, shift)).await?;
    script.step("The agent's float", statement(own, id)).await?;
    let api = script.step("The owner logs in, a day later", log_in(lab, owner)).await?;
    script.step("The day's close, with the proof of the books", close(&api)).await
}

async fn batch(api: &Talk) -> Done<()> {
    let plan = json!({
        "plan_code": PLAN, "name": "A day", "service_type": "internet", "monthly_price": "200.00",
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps", "validity_hours": 24,
    });
    post(api, "/api/v1/service-plans", plan).await?;
    let made = post(api, BATCHES, json!({ "name": "Kiosk", "plan": PLAN, "for_sale": true })).await?;
    let path = format!("{BATCHES}/{}", needed(&made, "/id")?);
    let until = || async {
        let batch = get(api, &path).await?;
        let (code, price) = (read::text(&batch, "/code"), read::text(&batch, "/price"));
        let is_ready = read::text(&batch, "/status") == "ready";
        Ok(is_ready.then(|| ((), format!("batch {code}, {price} {} each", read::text(&batch, "/currency")))))
    };
    soon("the batch was not ready", until).await
}

async fn agent(api: &Talk) -> Done<(String, Staff)> {
    let body = json!({ "email": AGENT, "name": "Demo Agent", "role": "agent" });
    let made = post(api, "/api/v1/users", body).await?;
    let (id, password) = (needed(&made, "/id")?, needed(&made, "/generated_password")?);
    let terms = json!({ "commission_ppm": 100_000 });
    let path = format!("/api/v1/agents/{id}");
    api.good(hyper::Method::PUT, &path, Load::Json(terms)).await?;
    Ok(((id, Staff { email: AGENT, password }), format!("{AGENT}, with a login of their own")))
}

async fn deposit(api: &Talk, id: &str) -> Done<()> {
    let path = format!("/api/v1/agents/{id}");
    let taken = post(api, &format!("{path}/deposits"), json!({ "amount": "1000.00" })).await?;
    let float = read::text(&get(api, &path).await?, "/float");
    must(float == "1000.00", || format!("the float is {float}"))?;
    Ok(((), format!("{} {}", read::text(&taken, "/amount"), read::text(&taken, "/currency"))))
}

async fn open_drawer(own: &Talk) -> Done<String> {
    let shift = post(own, "/api/v1/shifts", json!({ "opening": "0" })).await?;
    Ok((needed(&shift, "/id")?, format!("{} in it", read::text(&shift, "/opening"))))
}

/// Sells one; the float must be charged with the price less the commission, to this.
async fn sell(own: &Talk, id: &str, left: &str) -> Done<String> {
    let offers = get(own, "/api/v1/voucher-offers").await?;
    let batch = read::items(&offers).first().map(|one| read::text(one, "/code")).unwrap_or_default();
    let sale = post(own, "/api/v1/voucher-sales", json!({ "batch": batch })).await?;
    let part = |pointer| read::text(&sale, pointer);
    let [price, commission, charged] = ["/price", "/commission", "/charged"].map(part);
    must((price.as_str(), commission.as_str(), charged.as_str()) == ("200.00", "20.00", "180.00"), || {
        sale.to_string()
    })?;
    let float = read::text(&get(own, &format!("/api/v1/agents/{id}")).await?, "/float");
    must(float == left, || format!("the float is {float} instead of {left}"))?;
    let code = needed(&sale, "/codes/0/code")?;
    let said = format!(
        "{code}; the buyer pays {price}, the agent keeps {commission}, the float pays {charged}: {float} are left"
    );
    Ok((code, said))
}

/// From the portal's form; the times from its button to the page after it, and to packets.
async fn type_in(lab: &Lab, phone: &Phone, code: &str) -> Done<()> {
    let shown = browser::visit(phone, &format!("https://{PORTAL_NAME}/voucher")).await?;
    let mut form = shown.form("code")?;
    form.write("code", code);
    let began = lab.clock().monotonic();
    let after = browser::send(phone, &form, &shown).await?;
    let page: Duration = lab.clock().monotonic().saturating_duration_since(began);
    after.must_show("You are online")?;
    let packets = until_online(lab, phone, began).await?;
    let (page, packets) = (human::took(page), human::took(packets));
    Ok(((), format!("\"{}\" after {page}, packets pass after {packets} (both families)", after.title())))
}

async fn look_up(own: &Talk, code: &str) -> Done<Timestamp> {
    let seen = post(own, "/api/v1/vouchers/lookup", json!({ "code": code })).await?;
    let state = read::text(&seen, "/state");
    must(state == "active", || seen.to_string())?;
    let end: Timestamp = needed(&seen, "/until")?
        .parse()
        .map_err(|error| CliError::failed("read when the voucher ends", &error))?;
    Ok((end, format!("{}, {state}, until {end:.0}", read::text(&seen, "/serial"))))
}

async fn count(own: &Talk, shift: &str) -> Done<()> {
    let path = format!("/api/v1/shifts/{shift}/close");
    let closed = post(own, &path, json!({ "counted": "400.00" })).await?;
    let (expected, difference) = (read::text(&closed, "/expected"), read::text(&closed, "/difference"));
    must(expected == "400.00" && difference == "0.00", || closed.to_string())?;
    Ok((
        (),
        format!("expected {expected}, counted {}, difference {difference}", read::text(&closed, "/counted")),
    ))
}

async fn statement(own: &Talk, id: &str) -> Done<()> {
    let lines = get(own, &format!("/api/v1/agents/{id}/statement")).await?;
    let told = |line: &Value| {
        let part = |pointer| read::text(line, pointer);
        format!("{}  {:>8}  {:>8}  {}", part("/at"), part("/change"), part("/float"), part("/memo"))
    };
    let told: Vec<String> = read::items(&lines).iter().map(told).collect();
    must(told.len() == 3, || lines.to_string())?;
    let first = |pointer| read::text(read::items(&lines).first().unwrap_or(&Value::Null), pointer);
    Ok(((), format!("{} {}\n{}", first("/float"), first("/currency"), told.join("\n"))))
}

async fn close(api: &Talk) -> Done<()> {
    let day = get(api, "/api/v1/ledger/daily-close").await?;
    let proof = day.get("proof").cloned().unwrap_or_default();
    must(are_right(&proof), || day.to_string())?;
    let naira = Currency::parse("NGN").map_err(|error| CliError::failed("name the currency", &error))?;
    let turnover = day.get("turnover").and_then(Value::as_object).cloned().unwrap_or_default();
    let told = |(account, sums): (&String, &Value)| {
        let sum = |pointer| {
            let minor = sums.get(pointer).and_then(Value::as_i64).unwrap_or(0);
            Money { minor, currency: naira }.decimal()
        };
        let account = account.split(':').next().unwrap_or_default();
        format!("{account:<14} debit {:>8}  credit {:>8}", sum("debit_minor"), sum("credit_minor"))
    };
    let lines: Vec<String> = turnover.iter().map(told).collect();
    must(!lines.is_empty(), || day.to_string())?;
    let said = format!(
        "{}, {} postings; in all {}, which sum to zero, and the chain is whole\n{}",
        read::text(&day, "/date"),
        read::text(&day, "/postings"),
        read::text(&proof, "/postings"),
        lines.join("\n")
    );
    Ok(((), said))
}

const PLAN: &str = "day";
const AGENT: &str = "agent@demo.example";
const BATCHES: &str = "/api/v1/voucher-batches";
/// What a float of 1,000 holds after the first and the second sale: 200 less 10 % each.
const FLOATS: [&str; 2] = ["820.00", "640.00"];
