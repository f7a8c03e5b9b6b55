//! How paid time begins and ends for a phone: when its packets pass, and when they do not any more.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::helpers::PORTAL_NAME;
use super::journey::{get, must, needed};
use super::lab::Lab;
use super::phone::Phone;
use super::script::Done;
use super::world::{WEB4, WEB6};
use crate::cli::error::CliError;
use crate::cli::human;
use crate::cli::talk::Talk;

/// When what was paid for a service ends.
pub(super) async fn end_of(api: &Talk, service: &str) -> Result<Timestamp, CliError> {
    let service = get(api, &format!("/api/v1/services/{service}")).await?;
    let end = needed(&service, "/paid_until")?;
    end.parse().map_err(|error| CliError::failed(&format!("read the time {end}"), &error))
}

/// Waits until packets pass in both families; how long that took since `began`.
pub(super) async fn until_online(lab: &Lab, phone: &Phone, began: Instant) -> Result<Duration, CliError> {
    let clock = lab.clock();
    loop {
        let mut all = true;
        for address in [WEB4.to_owned(), format!("[{WEB6}]")] {
            all = all && phone.curl(&[&probe(&address)]).await?.status == 204;
        }
        let waited = clock.monotonic().saturating_duration_since(began);
        if all {
            return Ok(waited);
        }
        must(waited < SOON, || format!("no packets passed within {}", human::took(waited)))?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Moves the site's clock on to shortly before the end of what is paid for.
pub(super) async fn pass(lab: &mut Lab, phone: &Phone, end: Timestamp) -> Done<()> {
    let before = lab.site_time();
    lab.go_on_to(end.checked_sub(LEAD).unwrap_or(end))?;
    let now = lab.site_time();
    let page = phone.curl(&[&probe(WEB4)]).await?;
    must(page.status == 204, || format!("the phone is cut too early: {}", page.told()))?;
    let by = u64::try_from(now.duration_since(before).as_secs()).unwrap_or(0);
    let left = end.duration_since(now).as_secs();
    Ok(((), format!("by {}, to {left} s before the end at {end:.0}; the phone is online", human::span(by))))
}

/// Waits until the phone is led to the portal again; holds the moment against the end of what is paid for.
pub(super) async fn ends(lab: &Lab, phone: &Phone, end: Timestamp) -> Done<()> {
    loop {
        let page = phone.curl(&["--max-time", "2", &probe(WEB4)]).await?;
        let late = lab.site_time().duration_since(end);
        if page.status != 204 {
            must(late >= -SLACK, || format!("the phone was cut {} too early", told(-late)))?;
            // A connection that was open at that moment is reset; the next one is led.
            let next = if page.status == 0 { phone.curl(&[&probe(WEB4)]).await? } else { page };
            must(next.status == 302 && next.header("location").contains(PORTAL_NAME), || next.told())?;
            return Ok(((), format!("{} after the end; its probes lead to the portal", told(late))));
        }
        must(late < LATEST, || format!("the phone is online {} after the end", told(late)))?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether an answer says that the books are right.
pub(super) fn are_right(proof: &Value) -> bool {
    proof.get("is_right").and_then(Value::as_bool) == Some(true)
}

/// What a phone asks for, by an address: lookups are limited for each device, and this is asked often.
fn probe(address: &str) -> String {
    format!("http://{address}/generate_204")
}

fn told(time: SignedDuration) -> String {
    human::took(Duration::try_from(time).unwrap_or(Duration::ZERO))
}

/// The daemon notices that its clock was moved within five seconds; this is more.
const LEAD: SignedDuration = SignedDuration::from_secs(8);
/// The kernel counts whole jiffies, and a probe takes its time.
const SLACK: SignedDuration = SignedDuration::from_millis(250);
/// A demo on a busy machine; the figure is printed.
const LATEST: SignedDuration = SignedDuration::from_secs(12);
/// Paid means online within five seconds, at any machine.
const SOON: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);
