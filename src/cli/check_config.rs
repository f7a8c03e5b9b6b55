//! `check-config`: every fault of the file with line, key and remedy, or every setting in force.

use serde_json::json;

use super::Context;
use super::error::CliError;
use super::table::Table;
use crate::config::{Applies, Config, Fault, Origin, Setting};
use crate::daemon;

pub(super) fn run(context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let path = context.config_path.display();
    if context.terminal.wants_json() {
        let settings: Vec<_> = config.effective().iter().map(as_json).collect();
        context.terminal.json(&json!({ "file": path.to_string(), "settings": settings }));
        return Ok(());
    }
    let mut table = Table::new(&["setting", "value", "from", "takes effect"]);
    for setting in config.effective() {
        let from = match setting.origin {
            Origin::Default => "default".to_owned(),
            Origin::File { line } => format!("line {line}"),
        };
        table.row([setting.key.clone(), setting.value.clone(), from, effect(setting.applies).to_owned()]);
    }
    context.terminal.line(table.text());
    note_eap(context, &config);
    context.terminal.note(format_args!("{path}: no faults"));
    Ok(())
}

/// The certificate for EAP is named by the file and may still be missing, or about to run out.
fn note_eap(context: &Context, config: &Config) {
    match daemon::look(&config.radius.eap) {
        Err(error) => context.terminal.note(format_args!("radius.eap: {error}; see: dotmac-edge doctor")),
        Ok(facts) => {
            let ending = facts.and_then(|facts| daemon::ending(facts.not_after, context.clock.now()));
            if let Some((_, text)) = ending {
                context.terminal.note(format_args!("radius.eap: {text}"));
            }
        }
    }
}

/// The faults as a person reads them.
pub(super) fn told(faults: &[Fault]) -> String {
    let count = match faults.len() {
        1 => "the configuration has a fault".to_owned(),
        more => format!("the configuration has {more} faults"),
    };
    faults.iter().fold(count, |text, fault| format!("{text}\n  {fault}"))
}

fn as_json(setting: &Setting) -> serde_json::Value {
    let line = match setting.origin {
        Origin::Default => None,
        Origin::File { line } => Some(line),
    };
    json!({
        "key": setting.key,
        "value": setting.value,
        "origin": if line.is_some() { "file" } else { "default" },
        "line": line,
        "applies": effect(setting.applies),
    })
}

const fn effect(applies: Applies) -> &'static str {
    match applies {
        Applies::Live => "on reload",
        Applies::Restart => "after a restart",
    }
}
