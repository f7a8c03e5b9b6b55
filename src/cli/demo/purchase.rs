//! A plan is bought from inside the captive portal, at the payment gateway's page: the phone goes online, is cut
//! when what it paid for ends, reaches the way to pay and nothing else, pays, and is back.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::browser::{self, Shown};
use super::helpers::PORTAL_NAME;
use super::journey::{Staff, get, log_in, must, needed, post};
use super::lab::Lab;
use super::online::{captured, lease, refused};
use super::paid_time::{are_right, end_of, ends, pass, until_online};
use super::phone::Phone;
use super::script::{Done, Script};
use super::signup::{self, Person};
use crate::cli::error::CliError;
use crate::cli::talk::{Talk, encoded};
use crate::cli::{human, read};

/// From a plan with a price to the second payment; the owner's way in, a week later.
pub(super) async fn run(lab: &mut Lab, owner: &Staff, script: &mut Script) -> Result<Talk, CliError> {
    let phone = lab.phone(&lab.world().buyer);
    script.step("The daemon starts again, with a clock that can be moved on", with_a_clock(lab)).await?;
    let api = script.step("The owner logs in again", log_in(lab, owner)).await?;
    script.step("A plan of a week, paid before", plan(&api)).await?;
    let pay = join(lab, &phone, script).await?;
    let till = script.step("From the portal to the gateway's page", order(lab, &phone, &pay)).await?;
    script.step("They press Pay", press_pay(lab, &phone, &till)).await?;
    let end = script.step("What was paid for", bought(&api)).await?;
    is_cut(lab, &phone, end, script).await?;
    come_back(lab, &phone, script).await?;
    let api = script.step("The owner logs in, a week later", log_in(lab, owner)).await?;
    script.step("The books", books(&api)).await?;
    Ok(api)
}

/// A stranger with a phone becomes a customer who has not paid; where the portal says that they can.
async fn join(lab: &Lab, phone: &Phone, script: &mut Script) -> Result<String, CliError> {
    script.step("A second phone gets a lease", lease(lab, phone)).await?;
    script.step("And is led to the portal", captured(phone)).await?;
    let page = script.step("Its owner signs up, with the code from the mail", sign_up(lab, phone)).await?;
    page.link("/pay")
}

async fn is_cut(lab: &mut Lab, phone: &Phone, end: Timestamp, script: &mut Script) -> Result<(), CliError> {
    script.step("The site's clock goes on", pass(lab, phone, end)).await?;
    script.step("The phone is cut when it is due", ends(lab, phone, end)).await?;
    script.step("TLS to the Internet is refused again", refused(phone)).await
}

async fn come_back(lab: &Lab, phone: &Phone, script: &mut Script) -> Result<(), CliError> {
    script.step("They log in at the portal", back(phone)).await?;
    let pay = format!("https://{PORTAL_NAME}/pay");
    let till = script.step("The way to pay is open", order(lab, phone, &pay)).await?;
    script.step("And nothing else is", captured(phone)).await?;
    script.step("They press Pay again", press_pay(lab, phone, &till)).await
}

async fn with_a_clock(lab: &mut Lab) -> Done<()> {
    lab.cut()?;
    lab.take_the_clock()?;
    let pid = lab.start().await?;
    Ok(((), format!("process {pid}; it is {:.0}", lab.site_time())))
}

async fn plan(api: &Talk) -> Done<()> {
    let body = json!({
        "plan_code": ADA.plan, "name": ADA.plan_name, "service_type": "internet", "monthly_price": "500.00",
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps",
        "billing_mode": "prepaid", "validity_days": 7, "device_limit": 2,
    });
    let made = post(api, "/api/v1/service-plans", body).await?;
    let (price, currency) = (read::text(&made, "/monthly_price"), read::text(&made, "/currency"));
    Ok(((), format!("{}, {price} {currency}", ADA.plan)))
}

async fn sign_up(lab: &Lab, phone: &Phone) -> Done<Shown> {
    let (page, _) = signup::fill_in(phone, &ADA).await?;
    let (code, _) = signup::mailed(lab, &ADA).await?;
    signup::confirm(phone, page, &code).await
}

/// Orders the week, and goes where it is paid: the gateway's page.
async fn order(lab: &Lab, phone: &Phone, pay: &str) -> Done<Shown> {
    let pay = browser::visit(phone, pay).await?;
    let order = browser::press(phone, &pay, "what", "period").await?;
    let begun = browser::press(phone, &order, "with", "paystack").await?;
    let page = browser::visit(phone, &begun.link(&lab.paystack().pages())?).await?;
    page.must_show("Pay NGN 500.00")?;
    let said = format!("{}, {}, {}", pay.url, order.url, page.url);
    Ok((page, said))
}

/// The button of the gateway's page; the times to the page after it, and to packets.
async fn press_pay(lab: &Lab, phone: &Phone, till: &Shown) -> Done<()> {
    let form = till.form("pay")?;
    let began = lab.clock().monotonic();
    let back = browser::send(phone, &form, till).await?;
    let page: Duration = lab.clock().monotonic().saturating_duration_since(began);
    back.must_show("Paid")?;
    let packets = until_online(lab, phone, began).await?;
    let (page, packets) = (human::took(page), human::took(packets));
    Ok(((), format!("\"{}\" after {page}, packets pass after {packets} (both families)", back.title())))
}

async fn bought(api: &Talk) -> Done<Timestamp> {
    let list = get(api, &format!("/api/v1/customers?search={}", encoded(ADA.email))).await?;
    let customer = read::items(&list).first().map(|one| read::text(one, "/id")).unwrap_or_default();
    let list = get(api, &format!("/api/v1/services?customer_id={customer}")).await?;
    let [service] = read::items(&list) else {
        return Err(CliError::NotSo(format!("there is not one service of {customer}: {list}")));
    };
    let end = end_of(api, &needed(service, "/id")?).await?;
    Ok((end, format!("{}, until {end:.0}", read::text(service, "/service_number"))))
}

/// The visit may be over after a week; the account is not.
async fn back(phone: &Phone) -> Done<()> {
    let shown = browser::visit(phone, &format!("https://{PORTAL_NAME}/login")).await?;
    let mut form = shown.form("login")?;
    form.write("login", ADA.email);
    form.write("password", ADA.password);
    let page = browser::send(phone, &form, &shown).await?;
    must(page.page.status == 200 && page.form("login").is_err(), || page.page.body.clone())?;
    Ok(((), format!("{}: {}", page.url, page.title())))
}

async fn books(api: &Talk) -> Done<()> {
    let payments = get(api, "/api/v1/payments").await?;
    let count = read::items(&payments).len();
    must(count == 2, || format!("there are {count} payments instead of two: {payments}"))?;
    let proof = get(api, "/api/v1/ledger/proof").await?;
    must(are_right(&proof), || proof.to_string())?;
    let postings = read::text(&proof, "/postings");
    Ok(((), format!("{count} payments, {postings} postings that sum to zero, the chain is whole")))
}

/// Who buys.
pub(super) const ADA: Person = Person {
    email: "ada.obi.week@example.net",
    password: "four words of mine own",
    plan: "week",
    plan_name: "A week",
};
