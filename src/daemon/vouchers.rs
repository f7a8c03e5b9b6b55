//! The job that carries on what vouchers leave to do.

use std::time::Duration;

use jiff::Timestamp;

use crate::base::jobs::{Job, Outcome, Report};
use crate::billing::voucher::Vouchers;

/// Makes the vouchers of batches that were begun, throws codes away whose time is over, carries revocations
/// through. Woken when there is something to do; after a restart it goes on where it was.
pub(super) struct CarryVouchersOn {
    pub(super) vouchers: Vouchers,
}

impl Job for CarryVouchersOn {
    fn name(&self) -> &'static str {
        "vouchers"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        match self.vouchers.carry_on(now).await {
            Ok(done) => {
                let is_idle = done.made == 0 && done.forgotten == 0 && done.taken_back == 0;
                let outcome = if is_idle { Outcome::Idle } else { Outcome::Done };
                let text = format!(
                    "{} made, codes of {} batch(es) thrown away, {} service(s) cut",
                    done.made, done.forgotten, done.taken_back
                );
                let report = Report::new(outcome, text);
                match done.next {
                    Some(next) => {
                        let wait = Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO);
                        report.next_in(wait.clamp(Duration::from_secs(1), self.period()))
                    }
                    None => report,
                }
            }
            Err(error) => Report::new(Outcome::Failed, error.to_string()),
        }
    }
}
