//! `[dunning]`: what happens when an invoice is not paid, in days after the day on which it is due.

use jiff::civil::Time;
use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, quoted, text};
use super::reader::{Applies, Section};
use super::site::TaxRate;
use crate::domain::dunning::{Hours, Policy};

/// The steps, and how much one run may do by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dunning {
    /// When each step is.
    pub policy: Policy,
    /// Services that one run may lock by itself.
    pub most_services: u32,
    /// The share of all live services that one run may lock by itself.
    pub most_share: TaxRate,
}

impl Dunning {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::Restart;
        let usual = Policy::default();
        let mut days = |key, usual: Option<u32>| match section.optional(key, Restart, Days(usual)) {
            Days(days) => days,
        };
        let reminder_days_before = days("reminder_days_before", usual.reminder_days_before);
        let throttle_after_days = days("throttle_after_days", usual.throttle_after_days);
        let garden_after_days = days("garden_after_days", usual.garden_after_days);
        let suspend_after_days = days("suspend_after_days", usual.suspend_after_days);
        let terminate_after_days = days("terminate_after_days", usual.terminate_after_days);
        let Span(quiet) = section.optional("quiet", Restart, Span(usual.quiet));
        let Span(enforcement) = section.optional("enforcement", Restart, Span(usual.enforcement));
        let policy = Policy {
            reminder_days_before,
            throttle_after_days,
            garden_after_days,
            suspend_after_days,
            terminate_after_days,
            quiet,
            enforcement,
        };
        let most_services = section.optional("most_services", Restart, 100);
        let most_share = section.optional("most_share", Restart, TaxRate::TENTH);
        Self { policy, most_services, most_share }
    }
}

/// Days, or "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days(Option<u32>);

impl Kind for Days {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if value.as_str() == Some("never") {
            return Ok(Self(None));
        }
        let days = u32::read(value)
            .map_err(|_| Wrong::new("this is no number of days", "write a whole number, or \"never\""))?;
        if days > MOST_DAYS {
            return Err(Wrong::new(
                format!("{days} days are more than a year"),
                format!("write at most {MOST_DAYS}, or \"never\""),
            ));
        }
        Ok(Self(Some(days)))
    }

    fn show(&self) -> String {
        self.0.map_or_else(|| quoted("never"), |days| days.to_string())
    }
}

/// Hours of the local day, or "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span(Option<Hours>);

impl Kind for Span {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let written = text(value, "hours of the day", "\"21:00-08:00\"")?;
        if written == "never" {
            return Ok(Self(None));
        }
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).ok();
        let span = written.split_once('-').and_then(|(from, to)| {
            Some(Hours { from: time(from)?, to: time(to)? }).filter(|hours| hours.from != hours.to)
        });
        span.map(|hours| Self(Some(hours))).ok_or_else(|| {
            Wrong::new(
                format!("{} are no hours of the day", quoted(written)),
                "write where they begin and end, as \"21:00-08:00\", or \"never\"",
            )
        })
    }

    fn show(&self) -> String {
        let Some(Hours { from, to }) = self.0 else { return quoted("never") };
        quoted(&format!("{}-{}", from.strftime("%H:%M"), to.strftime("%H:%M")))
    }
}

/// Longest wait of a step.
const MOST_DAYS: u32 = 366;
