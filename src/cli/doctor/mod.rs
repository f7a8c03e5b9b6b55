//! `doctor`: is the box well, and if not, what is to be done.
//!
//! A check says its name, how it stands, what was found and what to do; it changes nothing. The one
//! rule: what cannot be found out is said to be unknown, never to be well.

mod files;
mod gateway;
mod live;
mod machine;
mod ports;

use serde_json::{Value, json};

use super::error::CliError;
use super::{Context, check_config};
use crate::config;

pub(super) fn run(context: &Context) -> Result<(), CliError> {
    let checks = examine(context);
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    let (failed, warned) = (count(Level::Fail), count(Level::Warn));
    if context.terminal.wants_json() {
        let rows: Vec<Value> = checks.iter().map(Check::as_json).collect();
        context.terminal.json(&json!({ "checks": rows, "failed": failed, "warned": warned }));
    } else {
        for check in &checks {
            context.terminal.line(check);
        }
        context
            .terminal
            .line(format_args!("{failed} to mend, {warned} to look at, {} well", count(Level::Ok)));
    }
    if failed == 0 { Ok(()) } else { Err(CliError::Told) }
}

fn examine(context: &Context) -> Vec<Check> {
    let path = context.config_path.display();
    let config = match config::load(&context.config_path) {
        Ok(config) => config,
        Err(faults) => {
            let remedy = "mend the file, then: dotmac-edge check-config";
            let mut checks = vec![Check::fail("config", check_config::told(&faults), remedy)];
            checks.push(machine::clock(context, None));
            return checks;
        }
    };
    let mut checks = vec![Check::ok("config", format!("{path} has no faults"))];
    let daemon = live::reach(context, &config);
    checks.push(files::key(&config));
    checks.push(files::store(&config, daemon.is_up()));
    checks.push(files::payments(&config));
    checks.push(files::eap(&config, context.clock.now()));
    checks.extend(machine::disk(&config));
    checks.push(machine::clock(context, Some(&config)));
    checks.push(machine::group(&config));
    checks.extend(ports::all(&config, daemon.is_up()));
    checks.extend(ports::exposure(&config));
    checks.extend(gateway::all(context, &config, &daemon));
    checks.extend(live::all(&daemon));
    checks
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    name: &'static str,
    level: Level,
    found: String,
    remedy: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), remedy: String::new() }
    }

    fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, found: found.into(), remedy: remedy.into() }
    }

    fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, found: found.into(), remedy: remedy.into() }
    }

    fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "level": self.level.name(),
            "found": self.found,
            "remedy": self.remedy,
        })
    }
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<4}  {:<14}  {}", self.level.name(), self.name, self.found)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}
