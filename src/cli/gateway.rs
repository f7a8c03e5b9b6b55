//! `gateway`: how this box as a gateway is, and taking what is ours out of the kernel.

use clap::Subcommand;
use serde_json::Value;
use std::path::Path;

use super::error::CliError;
use super::talk::Talk;
use super::{Context, read};
use crate::firewall::kernel::{Gateway as Kernel, PROGRAM};

/// This box as a gateway.
#[derive(Debug, Subcommand)]
pub(super) enum Gateway {
    /// How the gateway is: who passes, what was repaired, whose rules come before ours
    Status,
    /// Remove our rules from the kernel, and nothing else; the daemon must be stopped. The machine then
    /// routes whatever its other rules let through
    Teardown,
}

impl Gateway {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Status => status(context),
            Self::Teardown => teardown(context),
        }
    }
}

fn status(context: &Context) -> Result<(), CliError> {
    let state = context.daemon()?.get("/api/v1/system/gateway")?;
    if context.terminal.wants_json() {
        context.terminal.json(&state);
    } else {
        context.terminal.line(told(&state));
    }
    let is_well =
        state.get("enabled") == Some(&Value::Bool(true)) && state.get("fault").is_none_or(Value::is_null);
    if is_well { Ok(()) } else { Err(CliError::Told) }
}

fn told(state: &Value) -> String {
    if state.get("enabled") != Some(&Value::Bool(true)) {
        return "This box is no gateway: gateway.enabled is false.".to_owned();
    }
    let number = |pointer| read::number(state, pointer).unwrap_or(0);
    let mut lines = vec![
        format!("passing     {} subscriber(s), {} device(s)", number("/admitted"), number("/sessions")),
        format!("looked at   {}", read::text(state, "/looked_at")),
        format!("repairs     {} since the start", number("/repairs")),
    ];
    if let Some(fault) = state.get("fault").and_then(Value::as_str) {
        lines.push(format!("fault       {fault}"));
    }
    for chain in state.get("foreign").and_then(Value::as_array).into_iter().flatten() {
        let drops =
            if chain.get("drops") == Some(&Value::Bool(true)) { ", drops what it does not know" } else { "" };
        let (table, name, hook) =
            (read::text(chain, "/table"), read::text(chain, "/chain"), read::text(chain, "/hook"));
        lines.push(format!("foreign     {table}, chain {name} on {hook}{drops}"));
    }
    lines.join("\n")
}

/// Works on the kernel itself, since there may be no daemon any more. One that runs would put it all back.
fn teardown(context: &Context) -> Result<(), CliError> {
    if let Ok(config) = context.config() {
        let daemon = Talk::control(config.control.socket, context.terminal);
        match daemon.get("/api/v1/system/health") {
            Err(CliError::Unreachable(_)) => {}
            Ok(_) | Err(_) => {
                let told = "the daemon runs and would put its rules back; run: systemctl stop dotmac-edge";
                return Err(CliError::NotSo(told.to_owned()));
            }
        }
    }
    let torn = Kernel::open(Path::new(PROGRAM)).and_then(|mut kernel| kernel.teardown());
    torn.map_err(|error| CliError::failed("remove our rules from the kernel", &error))?;
    context.terminal.line("Our table and our routing rules are gone; nothing else was touched.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_foreign_chain_that_drops_is_told_with_its_place() {
        let text = told(&json!({
            "enabled": true, "admitted": 3, "sessions": 4, "looked_at": "2026-01-01T00:00:00Z", "repairs": 1,
            "fault": null, "foreign": [{"table": "inet filter", "chain": "input", "hook": "input", "drops": true}],
        }));
        assert!(text.contains("3 subscriber(s), 4 device(s)"), "{text}");
        assert!(text.contains("inet filter, chain input on input, drops what it does not know"), "{text}");
        assert!(told(&json!({"enabled": false})).contains("gateway.enabled"));
    }
}
