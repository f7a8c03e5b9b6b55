//! The payment gateways, as the daemon wires them, and the job that asks about what is due.

use std::time::Duration;

use jiff::Timestamp;

use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Job, Outcome, Report};
use crate::base::secret::Secret;
use crate::billing::Attempts;
use crate::billing::provider::{
    Provider, Providers, flutterwave, flutterwave_v4, mpesa, paystack, stripe, wire::Site,
};
use crate::config::{
    Environment, FlutterwaveMethod, FlutterwaveSignature, FlutterwaveVersion, HostName, Payments,
    SecretError, SecretRef,
};
use crate::notify::OutboundError;

/// Why the gateways cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PaymentsError {
    /// A key.
    #[error("a key under [payments] cannot be used")]
    Key(#[from] SecretError),
    /// An address.
    #[error("[payments]: {0}")]
    Address(#[from] OutboundError),
}

/// The gateways that the configuration names.
pub(super) fn providers(payments: &Payments) -> Result<Providers, PaymentsError> {
    let mut all = Vec::new();
    if let Some(key) = &payments.paystack.secret_key {
        let (own, hosts) = (&payments.paystack, paystack::HOSTS);
        let site = site(own.base_url.as_str(), hosts, &own.checkout_hosts);
        let settings = paystack::Settings { secret_key: secret(key)?, site };
        all.push(Provider::Paystack(paystack::Paystack::new(settings)));
    }
    all.extend(flutterwave(payments)?);
    if let (Some(key), Some(webhook)) = (&payments.stripe.secret_key, &payments.stripe.webhook_secret) {
        let own = &payments.stripe;
        let site = site(own.base_url.as_str(), stripe::HOSTS, &own.checkout_hosts);
        let settings = stripe::Settings { secret_key: secret(key)?, webhook_secret: secret(webhook)?, site };
        all.push(Provider::Stripe(stripe::Stripe::new(settings)));
    }
    let own = &payments.mpesa;
    if let (Some(shortcode), Some(passkey), Some(key), Some(consumer_secret), Some(token)) =
        (&own.shortcode, &own.passkey, &own.consumer_key, &own.consumer_secret, &own.callback_token)
    {
        all.push(Provider::Mpesa(mpesa::Mpesa::new(mpesa::Settings {
            shortcode: shortcode.clone(),
            passkey: secret(passkey)?,
            consumer_key: secret(key)?,
            consumer_secret: secret(consumer_secret)?,
            callback_token: secret(token)?,
            sources: own.sources.clone(),
            base_url: own.base_url.as_str().to_owned(),
        })));
    }
    Ok(Providers::new(all)?)
}

fn flutterwave(payments: &Payments) -> Result<Option<Provider>, PaymentsError> {
    let own = &payments.flutterwave;
    let Some(hash) = &own.secret_hash else { return Ok(None) };
    let secret_hash = secret(hash)?;
    match (own.version, &own.secret_key, &own.client_id, &own.client_secret) {
        (FlutterwaveVersion::V3, Some(key), _, _) => {
            let site = site(own.url(), flutterwave::HOSTS, &own.checkout_hosts);
            let settings = flutterwave::Settings { secret_key: secret(key)?, secret_hash, site };
            Ok(Some(Provider::Flutterwave(flutterwave::Flutterwave::new(settings))))
        }
        (FlutterwaveVersion::V4, _, Some(client_id), Some(client_secret)) => {
            let settings = flutterwave_v4::Settings {
                client_id: client_id.clone(),
                client_secret: secret(client_secret)?,
                secret_hash,
                is_plain: own.signature == FlutterwaveSignature::Plain,
                method: match own.method {
                    FlutterwaveMethod::Opay => "opay".to_owned(),
                    FlutterwaveMethod::BankTransfer => "bank_transfer".to_owned(),
                },
                token_url: own.token_url.as_str().to_owned(),
                site: site(own.url(), flutterwave_v4::HOSTS, &own.checkout_hosts),
            };
            Ok(Some(Provider::FlutterwaveV4(flutterwave_v4::FlutterwaveV4::new(settings))))
        }
        (FlutterwaveVersion::V3 | FlutterwaveVersion::V4, _, _, _) => Ok(None),
    }
}

fn site(base_url: &str, hosts: &[&str], more: &[HostName]) -> Site {
    let more = more.iter().map(HostName::as_str);
    Site {
        base_url: base_url.to_owned(),
        hosts: hosts.iter().copied().chain(more).map(str::to_owned).collect(),
    }
}

fn secret(reference: &SecretRef) -> Result<Secret, SecretError> {
    reference.resolve(&Environment::Process)
}

/// Asks gateways about payments that are due.
pub(super) struct AskAboutPayments {
    pub(super) attempts: Attempts,
    pub(super) health: Health,
    /// Runs in a row in which no gateway answered.
    pub(super) unanswered: u32,
}

impl Job for AskAboutPayments {
    fn name(&self) -> &'static str {
        "payments"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        let polled = match self.attempts.poll_due(now).await {
            Ok(polled) => polled,
            Err(error) => return Report::new(Outcome::Failed, error.to_string()),
        };
        self.tell(polled.asked, polled.unanswered, now);
        let text = format!("{} asked about, {} without an answer", polled.asked, polled.unanswered);
        let outcome = match (polled.asked, polled.unanswered) {
            (0, _) => Outcome::Idle,
            (_, 0) => Outcome::Done,
            (_, _) => Outcome::Failed,
        };
        let report = Report::new(outcome, text);
        match polled.next_due {
            Some(due) => {
                let wait = Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
                report.next_in(wait.clamp(PAUSE, self.period()))
            }
            None => report,
        }
    }
}

impl AskAboutPayments {
    fn tell(&mut self, asked: usize, unanswered: usize, now: Timestamp) {
        if asked == 0 {
            return;
        }
        if unanswered < asked {
            self.unanswered = 0;
            if self.health.clear(NO_ANSWER, "").is_some() {
                tracing::info!("Payment gateways answer again");
            }
            return;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered < RUNS_TO_WARN {
            return;
        }
        let is_new = self.health.raise(Warning {
            code: NO_ANSWER,
            subject: String::new(),
            severity: Severity::Warn,
            text: "payment gateways do not answer, so payments are not confirmed".to_owned(),
            remedy: "look at the uplink and at [payments]; payments are asked about again by themselves"
                .to_owned(),
            since: now,
        });
        if is_new {
            tracing::warn!("Payment gateways do not answer");
        }
    }
}

/// The warning's name.
const NO_ANSWER: &str = "payment-gateway-no-answer";
/// Runs in a row without any answer before it is told: one may be a lost packet.
const RUNS_TO_WARN: u32 = 3;
/// Between runs, also where something is due at once.
const PAUSE: Duration = Duration::from_millis(500);
