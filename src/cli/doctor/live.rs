//! What only the running daemon knows: its own warnings, its NAS, its customers.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Check, Level};
use crate::cli::error::CliError;
use crate::cli::talk::Talk;
use crate::cli::{Context, read};
use crate::config::Config;

/// How the daemon could be reached.
pub(super) struct Daemon {
    talk: Talk,
    health: Result<Value, CliError>,
}

impl Daemon {
    /// True where it answers, whatever it says.
    pub(super) const fn is_up(&self) -> bool {
        match &self.health {
            Ok(_)
            | Err(CliError::NotSo(_) | CliError::Usage(_) | CliError::Misconfigured(_) | CliError::Told) => {
                true
            }
            Err(CliError::Unreachable(_)) => false,
        }
    }

    /// What it answers to a question.
    pub(super) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.talk.get(path)
    }
}

/// Asks the daemon how it is.
pub(super) fn reach(context: &Context, config: &Config) -> Daemon {
    let talk = Talk::control(config.control.socket.clone(), context.terminal);
    let health = talk.get("/api/v1/system/health");
    Daemon { talk, health }
}

/// Everything that the daemon can tell.
pub(super) fn all(daemon: &Daemon) -> Vec<Check> {
    let mut checks = match &daemon.health {
        Err(CliError::Unreachable(why)) => {
            return vec![Check::warn("daemon", why.replace("\n  ", "; "), "")];
        }
        Err(
            error @ (CliError::NotSo(_) | CliError::Usage(_) | CliError::Misconfigured(_) | CliError::Told),
        ) => {
            vec![Check::warn("daemon", format!("runs, but does not tell how it is: {error}"), "see its log")]
        }
        Ok(health) => warnings(health),
    };
    match daemon.talk.get("/api/v1/nas-devices?limit=500") {
        Ok(list) => checks.extend(nas(read::items(&list))),
        Err(error) => {
            checks.push(Check::warn("nas", format!("the NAS cannot be listed: {error}"), "see its log"))
        }
    }
    match daemon.talk.get("/api/v1/channels") {
        Ok(found) => checks.extend(channels(&found)),
        Err(error) => {
            let found = format!("how messages go cannot be asked: {error}");
            checks.push(Check::warn("messages", found, "see its log"));
        }
    }
    checks
}

/// The daemon's own warnings, each in its words.
fn warnings(health: &Value) -> Vec<Check> {
    let list = health.get("warnings").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        return vec![Check::ok("daemon", "runs, and has nothing to complain about")];
    }
    let check = |warning: &Value| {
        let level = if read::text(warning, "/severity") == "fail" { Level::Fail } else { Level::Warn };
        let code = read::text(warning, "/code");
        let found = match read::text(warning, "/subject").as_str() {
            "" | "-" => format!("{code}: {}", read::text(warning, "/text")),
            subject => format!("{code} ({subject}): {}", read::text(warning, "/text")),
        };
        Check { name: "daemon", level, found, remedy: read::text(warning, "/remedy") }
    };
    list.iter().map(check).collect()
}

/// Whether what the configuration names to send by was shown to work.
fn channels(found: &Value) -> Vec<Check> {
    const NAME: &str = "messages";
    let list = found.get("channels").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is = |channel: &Value, flag: &str| channel.get(flag).and_then(Value::as_bool).unwrap_or(false);
    let check = |channel: &Value| {
        let name = read::text(channel, "/channel");
        if is(channel, "is_proven") {
            return Check::ok(NAME, format!("{name} is proven by a test"));
        }
        let why =
            if is(channel, "settings_changed") { "was proven with other settings" } else { "is not proven" };
        let use_of = if name == "mail" { "only codes of signups go by it" } else { "nothing goes by it" };
        let remedy =
            format!("POST /api/v1/channels/{name}/test, then /confirm with the code: see docs/messages.md");
        Check::warn(NAME, format!("{name} {why}, so {use_of}"), remedy)
    };
    list.iter().filter(|channel| is(channel, "is_configured")).map(check).collect()
}

fn nas(list: &[Value]) -> Vec<Check> {
    const NAME: &str = "nas";
    if list.is_empty() {
        let remedy = "enter the first: dotmac-edge nas add NAME ADDRESS --kind mikrotik";
        return vec![Check::warn(NAME, "no NAS is entered: every RADIUS request gets silence", remedy)];
    }
    let mut checks = Vec::new();
    for nas in list {
        let (name, address) = (read::text(nas, "/name"), read::text(nas, "/address"));
        if read::text(nas, "/message_authenticator") == "allow" {
            checks.push(Check::warn(
                NAME,
                format!(
                    "{name} may leave Message-Authenticator out, so its replies can be forged (CVE-2024-3596)"
                ),
                format!("update the NAS, then: dotmac-edge nas set {name} --message-authenticator require"),
            ));
        }
        if is_public(&address) {
            checks.push(Check::warn(
                NAME,
                format!("{name} is reached over the public address {address}: RADIUS over UDP hides little"),
                "bring it into a tunnel (WireGuard, IPsec), and enter its address in there",
            ));
        }
    }
    if checks.is_empty() {
        checks.push(Check::ok(NAME, format!("{} entered, all with Message-Authenticator", list.len())));
    }
    checks
}

/// An address that strangers can reach, or see packets to.
fn is_public(address: &str) -> bool {
    let Ok(network) = address.parse::<IpNet>().or_else(|_| address.parse::<IpAddr>().map(IpNet::from)) else {
        return false;
    };
    match network.addr() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            // RFC 6598: shared address space behind carrier-grade NAT.
            let shared = first == 100 && (64..128).contains(&second);
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation() || shared)
        }
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nas_that_can_be_forged_or_seen_are_named() {
        let list = [
            json!({"name": "tower-1", "address": "10.0.0.1/32", "message_authenticator": "require"}),
            json!({"name": "tower-2", "address": "8.8.4.4/32", "message_authenticator": "allow"}),
        ];
        let found: Vec<_> = nas(&list).into_iter().map(|check| (check.level, check.found)).collect();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|(level, text)| *level == Level::Warn && text.starts_with("tower-2")));
        assert_eq!(nas(&list[..1])[0].level, Level::Ok);
        assert_eq!(nas(&[])[0].level, Level::Warn);
    }

    #[test]
    fn a_channel_that_nobody_proved_is_named_and_one_that_is_not_there_is_not() {
        let channel = |name: &str, configured: bool, proven: bool| json!({"channel": name, "is_configured": configured, "is_proven": proven, "settings_changed": false});
        let found =
            channels(&json!({"channels": [channel("mail", true, false), channel("sms", false, false)]}));
        assert_eq!((found.len(), found[0].level), (1, Level::Warn));
        assert!(found[0].found.contains("only codes of signups") && found[0].remedy.contains("mail/test"));
        let found = channels(&json!({"channels": [channel("mail", true, true), channel("sms", true, true)]}));
        assert!(found.iter().all(|check| check.level == Level::Ok) && found.len() == 2);
    }

    #[test]
    fn the_daemons_failures_are_failures_here() {
        let health = json!({"warnings": [
            {"code": "disk-full", "subject": "", "severity": "fail", "text": "The disk is full.", "remedy": "Make room."},
            {"code": "nas-silent", "subject": "tower-1", "severity": "warn", "text": "No packet.", "remedy": "Look."},
        ]});
        let checks = warnings(&health);
        assert_eq!((checks[0].level, checks[1].level), (Level::Fail, Level::Warn));
        assert_eq!(checks[1].found, "nas-silent (tower-1): No packet.");
        assert_eq!(warnings(&json!({"warnings": []}))[0].level, Level::Ok);
    }
}
