//! The telling of the journey: each step with its time and what came of it.

use std::time::{Duration, Instant};

use crate::base::clock::Clock;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::human;
use crate::cli::terminal::Terminal;

/// Counts and times the steps.
pub(super) struct Script {
    terminal: Terminal,
    clock: Clock,
    began: Instant,
    steps: usize,
}

/// What a step gives to the next ones, and what it says.
pub(super) type Done<T> = Result<(T, String), CliError>;

impl Script {
    pub(super) fn new(context: &Context) -> Self {
        let clock = context.clock.clone();
        Self { terminal: context.terminal, began: clock.monotonic(), clock, steps: 0 }
    }

    /// Takes a step and tells how it went; further lines of what it says are set below.
    pub(super) async fn step<T>(
        &mut self,
        title: &str,
        work: impl Future<Output = Done<T>>,
    ) -> Result<T, CliError> {
        self.steps += 1;
        let began = self.clock.monotonic();
        let done = work.await;
        let took = self.since(began);
        match done {
            Ok((given, said)) => {
                self.tell("ok", &took, title, &said);
                Ok(given)
            }
            Err(error) => {
                self.tell("FAIL", &took, title, &error.to_string());
                Err(CliError::NotSo(format!("step {} of the journey failed: {title}", self.steps)))
            }
        }
    }

    /// All of it in a few words.
    pub(super) fn sum(&self) -> String {
        format!("{} steps in {}", self.steps, self.since(self.began))
    }

    fn tell(&self, how: &str, took: &str, title: &str, said: &str) {
        let mut lines = said.lines();
        let first = lines.next().unwrap_or_default();
        self.terminal.line(format_args!("{how:<4} {:>2}  {took:>9}  {title}: {first}", self.steps));
        for line in lines {
            self.terminal.line(format_args!("{:20}{line}", ""));
        }
    }

    fn since(&self, began: Instant) -> String {
        let took: Duration = self.clock.monotonic().saturating_duration_since(began);
        human::took(took)
    }
}
