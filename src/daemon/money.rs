//! Billing, as the daemon wires it, and the jobs that time makes due.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Activator, Job, Outcome, Report};
use crate::billing::dunning::{ClockWatch, DunningRun};
use crate::billing::notices::Notices;
use crate::billing::settings::Caps;
use crate::billing::{Billing, BillingError, Settings, Till};
use crate::catalogue::Catalogue;
use crate::config::{Config, Series};
use crate::domain::ids::ServiceId;
use crate::domain::invoice::Party;
use crate::domain::subscriber::Address;
use crate::notify::Post;
use crate::notify::bulletin::Bulletin;
use crate::reception::Reception;
use crate::reception::resume::Resumed;
use crate::store::Store;

/// What billing is built from.
pub(super) struct Money<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
    pub(super) entropy: &'a Entropy,
    pub(super) catalogue: &'a Catalogue,
    pub(super) cycle: &'a Activator,
    pub(super) paid: &'a Activator,
    pub(super) post: &'a Post,
}

/// The ISP's business. What money changes is carried out by provisioning and, over the feed, by the gateway.
pub(super) fn billing(parts: &Money<'_>) -> Billing {
    let provisioning = parts.catalogue.provisioning.clone();
    let (cycle, paid, post) = (parts.cycle.clone(), parts.paid.clone(), parts.post.clone());
    let wake = Arc::new(move || {
        provisioning.wake();
        cycle.pull();
        paid.pull();
        post.wake();
    });
    let bulletin = Bulletin::new(parts.post.clone());
    Billing::new(parts.store, parts.entropy, &settings(parts.config), wake).telling(bulletin)
}

fn settings(config: &Config) -> Settings {
    let (site, billing) = (&config.site, &config.billing);
    let series = billing.series.clone().unwrap_or_else(|| Series::of_site(&site.name));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Settings {
        currency: site.currency,
        zone: site.timezone.clone(),
        tax_ppm: site.tax_rate.ppm(),
        rounding: billing.tax_rounding,
        series: series.as_str().to_owned(),
        seller: Party {
            name: billing.seller.clone().unwrap_or_else(|| site.name.clone()),
            number: text(&billing.tax_number),
            email: text(&billing.email),
            phone: text(&billing.phone),
            address: Address { street: text(&billing.address), ..Address::default() },
        },
        due_days: billing.due_days,
        dunning: config.dunning.policy.clone(),
        caps: Caps {
            count: config.dunning.most_services,
            share_ppm: config.dunning.most_share.ppm(),
            ..Caps::default()
        },
        own_pause: billing.own_pause,
        // The configuration was refused where it is no amount of this currency.
        large_refund: billing.large_refund_in(site.currency).unwrap_or_default(),
    }
}

/// Renewals, post-paid invoices, and subscriptions for services that were activated.
pub(super) struct TurnSubscriptions {
    till: Till,
    store: Store,
    health: Health,
    /// How far the feed was read; `None` before the first look, which is at everything.
    seen: Option<u64>,
}

impl TurnSubscriptions {
    pub(super) const fn new(till: Till, store: Store, health: Health) -> Self {
        Self { till, store, health, seen: None }
    }

    /// Services that were activated since the last look get their subscriptions.
    async fn adopt(&mut self, now: Timestamp) -> Result<u64, BillingError> {
        let last = self.store.last_seq();
        let Some(seen) = self.seen else {
            let adopted = self.till.adopt(None, now).await?;
            self.seen = Some(last);
            return Ok(adopted);
        };
        let (mut after, mut adopted) = (seen, 0_u64);
        while after < last {
            let changes = self.store.changes(after, EVENTS_AT_ONCE).await?;
            let Some(end) = changes.last().map(|change| change.seq) else { break };
            let activated: Vec<ServiceId> = changes
                .iter()
                .filter(|change| change.event.kind == "service.activated")
                .filter_map(|change| change.event.subject.parse().ok())
                .collect();
            adopted = adopted.saturating_add(self.till.adopt(Some(&activated), now).await?);
            after = end;
            self.seen = Some(end);
        }
        Ok(adopted)
    }
}

impl Job for TurnSubscriptions {
    fn name(&self) -> &'static str {
        "subscriptions"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        let outcome = match self.adopt(now).await {
            Ok(adopted) => self.till.run_cycle(now).await.map(|run| (adopted, run)),
            Err(error) => Err(error),
        };
        match outcome {
            Ok((adopted, run)) => {
                self.health.clear(FAILED, "");
                let told = format!(
                    "{adopted} begun, {} renewed, {} not, {} invoices, {} faults",
                    run.renewed, run.refused, run.invoiced, run.faults
                );
                let outcome = match (adopted, run.looked_at, run.faults) {
                    (0, 0, 0) => Outcome::Idle,
                    (_, _, 0) => Outcome::Done,
                    (_, _, _) => Outcome::Failed,
                };
                Report::new(outcome, told)
            }
            Err(error) => {
                self.health.raise(Warning {
                    code: FAILED,
                    subject: String::new(),
                    severity: Severity::Fail,
                    text: format!("subscriptions are not renewed or invoiced: {error}"),
                    remedy: "run dotmac-edge doctor and store check; what is due is done once it works again"
                        .to_owned(),
                    since: now,
                });
                Report::new(Outcome::Failed, error.to_string())
            }
        }
    }
}

/// Tells of what comes: a trial that ends, a wallet that will not do, a plan that is used up.
pub(super) struct Tell {
    pub(super) notices: Notices,
}

impl Job for Tell {
    fn name(&self) -> &'static str {
        "notices"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        match self.notices.run(now).await {
            Ok(run) => {
                let told = format!("{} looked at, {} told", run.looked_at, run.told);
                Report::new(if run.told == 0 { Outcome::Idle } else { Outcome::Done }, told)
            }
            Err(error) => Report::new(Outcome::Failed, error.to_string()),
        }
    }
}

/// Acts on invoices that are not paid.
pub(super) struct Dun {
    pub(super) till: Till,
    pub(super) watch: ClockWatch,
    pub(super) clock: Clock,
    pub(super) health: Health,
}

impl Job for Dun {
    fn name(&self) -> &'static str {
        "dunning"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(20)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        let ahead = self.watch.look(now, self.clock.monotonic());
        match self.till.run_dunning(now, ahead.is_some()).await {
            Ok(run) => {
                self.warn(&run, ahead, now);
                let told =
                    format!("{} looked at, {} told, {} locked or ended", run.looked_at, run.told, run.bitten);
                let outcome = if run.looked_at == 0 { Outcome::Idle } else { Outcome::Done };
                Report::new(outcome, told)
            }
            Err(error) => Report::new(Outcome::Failed, error.to_string()),
        }
    }
}

impl Dun {
    fn warn(&self, run: &DunningRun, ahead: Option<SignedDuration>, now: Timestamp) {
        match ahead {
            Some(ahead) => self.raise(
                CLOCK,
                format!(
                    "the clock went ahead by {} minutes at once, so nobody is locked for debt",
                    ahead.as_mins()
                ),
                "set the clock right, or confirm the time with POST /api/v1/dunning/allow {\"time\": …}",
                now,
            ),
            None => drop(self.health.clear(CLOCK, "")),
        }
        match &run.held {
            Some(hold) => self.raise(
                HELD,
                format!("dunning would lock {} services at once, more than it may by itself", hold.services),
                "look at the open invoices; if they are right, allow it with POST /api/v1/dunning/allow",
                now,
            ),
            None => drop(self.health.clear(HELD, "")),
        }
    }

    fn raise(&self, code: &'static str, text: String, remedy: &str, since: Timestamp) {
        let (subject, remedy) = (String::new(), remedy.to_owned());
        self.health.raise(Warning { code, subject, severity: Severity::Warn, text, remedy, since });
    }
}

/// Brings devices online whose service was paid.
pub(super) struct Resume {
    pub(super) reception: Reception,
}

impl Job for Resume {
    fn name(&self) -> &'static str {
        "paid-devices"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        match self.reception.resume(now).await {
            Ok(Resumed { online: 0, forgotten: 0, waiting }) => {
                Report::new(Outcome::Idle, format!("{waiting} devices wait"))
            }
            Ok(Resumed { online, waiting, .. }) => {
                Report::new(Outcome::Done, format!("{online} devices went online, {waiting} wait"))
            }
            Err(error) => Report::new(Outcome::Failed, error.to_string()),
        }
    }
}

/// Ends orders whose price holds no longer, so that the coupons that they took are free again.
pub(super) struct EndOrders {
    pub(super) till: Till,
}

impl Job for EndOrders {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        match self.till.end_orders(now).await {
            Ok(0) => Report::new(Outcome::Idle, "no order ended"),
            Ok(ended) => Report::new(Outcome::Done, format!("{ended} orders were not paid in time")),
            Err(error) => Report::new(Outcome::Failed, error.to_string()),
        }
    }
}

/// The warning of a clock that is not believed.
const CLOCK: &str = "dunning-clock";
/// The warning of a run that asks.
const HELD: &str = "dunning-held";
/// The warning's name.
const FAILED: &str = "billing-failed";
/// Events read in one go.
const EVENTS_AT_ONCE: usize = 500;
