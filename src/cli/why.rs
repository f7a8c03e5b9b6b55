//! `why`: from stored facts, why a subscriber is or is not let in, and the last decisions about it.

use clap::Args;
use serde_json::Value;

use super::error::CliError;
use super::table::Table;
use super::talk::encoded;
use super::{Context, human, read};

/// Whom to explain.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// A network login, or a device's MAC address
    #[arg(value_name = "USER-OR-MAC")]
    who: String,
}

impl Why {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let told = context.daemon()?.get(&format!("/api/v1/why?who={}", encoded(&self.who)))?;
        let (services, decisions) = (list(&told, "/services"), list(&told, "/decisions"));
        if context.terminal.wants_json() {
            context.terminal.json(&told);
        } else {
            for service in services {
                context.terminal.line(explained(service));
            }
            if services.is_empty() {
                context.terminal.line(
                    told.get("device").filter(|device| device.is_object()).map_or_else(
                        || format!("No service has the login or device {:?}.", self.who),
                        captive,
                    ),
                );
            }
            context.terminal.line(decided(decisions));
        }
        if services.is_empty() { Err(CliError::Told) } else { Ok(()) }
    }
}

/// A device that no service knows: where it stands on its way to one.
fn captive(device: &Value) -> String {
    let text = |pointer: &str| read::text(device, pointer);
    let stands = match text("/online_to_confirm") == "yes" {
        true => "is online for some minutes, to read the mail that confirms its owner's address",
        false => "has no session here: it sees the portal and nothing else",
    };
    let signup = match read::text(device, "/signup/stage").as_str() {
        "waiting" => format!(
            "  signup      for {}, waits for its code since {} ({} mail(s) made, {} tries left), until {}",
            text("/signup/plan_code"),
            text("/signup/begun_at"),
            text("/signup/mails"),
            text("/signup/tries_left"),
            text("/signup/expires_at"),
        ),
        "lapsed" => format!("  signup      for {}, lapsed unconfirmed", text("/signup/plan_code")),
        _ => "  signup      none of the last ones is waiting".to_owned(),
    };
    format!("The device {} {stands}.\n{signup}\n", text("/mac"))
}

/// One service: the verdict first, then the facts that it follows from.
fn explained(service: &Value) -> String {
    let text = |pointer: &str| read::text(service, pointer);
    let (may, is) = (text("/may_be_online") == "yes", text("/online") == "yes");
    let verdict = match (may, is) {
        (true, true) => "may be online, and is",
        (true, false) => "may be online, and is not",
        (false, true) => "may not be online, and still is",
        (false, false) => "may not be online, and is not",
    };
    let mut lines = vec![
        format!("{} (service {}): {verdict}", text("/username"), text("/service_number")),
        format!("  {}", text("/sentence")),
        String::new(),
        format!("  plan        {}, terms of version {}", text("/plan_code"), text("/terms_version")),
        format!("  phase       {}", text("/phase")),
    ];
    lines.extend(many(service, "/locks", "locks", "none"));
    lines.extend(many(service, "/intervals", "paid for", "nothing"));
    if service.pointer("/period_start").is_some_and(Value::is_string) {
        lines.push(format!("  period      since {}", read::text(service, "/period_start")));
    }
    lines.push(format!("  usage       {}", usage(service)));
    if may {
        lines.push(format!("  granted     {}", granted(service)));
    }
    lines.extend(many(service, "/sessions", "sessions", "none open"));
    lines.push(String::new());
    lines.join("\n")
}

/// A list under one name, a line an entry.
fn many(service: &Value, pointer: &str, name: &str, none: &str) -> Vec<String> {
    let entries = list(service, pointer);
    if entries.is_empty() {
        return vec![format!("  {name:<10}  {none}")];
    }
    let line = |(index, entry): (usize, &Value)| {
        format!("  {:<10}  {}", if index == 0 { name } else { "" }, read::shown(&without_nulls(entry)))
    };
    entries.iter().enumerate().map(line).collect()
}

fn usage(service: &Value) -> String {
    let parts = service.pointer("/usage").and_then(Value::as_object).into_iter().flatten();
    let part = |(name, value): (&String, &Value)| {
        let amount = match (value.as_u64(), name.contains("octets")) {
            (Some(octets), true) => human::octets(octets),
            (Some(seconds), false) if name.contains("secs") || name.contains("seconds") => {
                human::span(seconds)
            }
            (Some(_) | None, _) => read::shown(value),
        };
        format!("{} {amount}", name.replace('_', " "))
    };
    parts.map(part).collect::<Vec<_>>().join(", ")
}

fn granted(service: &Value) -> String {
    let number = |pointer: &str| read::number(service, pointer);
    let rate = |pointer: &str| number(pointer).map_or_else(|| "-".to_owned(), human::rate);
    let mut parts =
        vec![format!("{} down, {} up", rate("/entitlement/download_bps"), rate("/entitlement/upload_bps"))];
    parts.extend(number("/entitlement/remaining_octets").map(|left| format!("{} left", human::octets(left))));
    if service.pointer("/entitlement/ends_at").is_some_and(Value::is_string) {
        parts.push(format!("until {}", read::text(service, "/entitlement/ends_at")));
    }
    parts.extend(number("/entitlement/device_limit").map(|limit| format!("{limit} device(s) at a time")));
    parts.join(", ")
}

/// The last answers to its logins, the newest first.
fn decided(decisions: &[Value]) -> String {
    if decisions.is_empty() {
        return "No login was answered lately.".to_owned();
    }
    let mut table = Table::new(&["last", "times", "answer", "method", "nas", "device", "login"]);
    for decision in decisions {
        let refusal = read::first(decision, &["/refusal/code", "/refusal"]);
        table.row([
            read::text(decision, "/last_at"),
            read::text(decision, "/count"),
            if refusal == "-" { "accepted".to_owned() } else { refusal },
            read::text(decision, "/method"),
            read::text(decision, "/nas"),
            read::text(decision, "/station"),
            read::text(decision, "/username"),
        ]);
    }
    format!("Last answers:\n{}", table.text())
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn without_nulls(value: &Value) -> Value {
    let Some(fields) = value.as_object() else { return value.clone() };
    let kept = fields.iter().filter(|(_, value)| !value.is_null());
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_verdict_comes_first_and_the_facts_follow() {
        let told = explained(&json!({
            "username": "ada", "service_number": "S1", "plan_code": "home", "terms_version": 2, "phase": "active",
            "locks": [{"reason": "admin", "note": null}], "intervals": [], "usage": {"octets": 5_000_000_000_u64},
            "online": true, "may_be_online": false, "sentence": "The service is locked (admin).", "sessions": [],
        }));
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "ada (service S1): may not be online, and still is");
        assert_eq!(lines[1], "  The service is locked (admin).");
        assert!(lines.contains(&"  locks       reason admin"));
        assert!(lines.contains(&"  usage       octets 5 GB"));
    }

    #[test]
    fn answers_are_told_with_their_reason() {
        let told = decided(&[json!({"last_at": "2026-01-01T00:00:00Z", "count": 3, "method": "pap",
            "refusal": {"code": "wrong_password"}, "nas": "tower-1"})]);
        assert!(told.contains("3      wrong_password  pap     tower-1"), "{told}");
        assert_eq!(decided(&[]), "No login was answered lately.");
    }
}
