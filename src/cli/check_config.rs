//! `check-config`: every fault of the file with line, key and remedy, or every setting in force.

use serde_json::json;

use super::Context;
use super::error::CliError;
use super::table::Table;
use crate::config::{Applies, Fault, Origin, Setting};

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
    context.terminal.note(format_args!("{path}: no faults"));
    Ok(())
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
