//! `session list`, `session disconnect`: who is, and was, online, and the end of it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::error::CliError;
use super::table::Table;
use super::talk::{Talk, with_query};
use super::{Context, human, nas, read};

/// Network sessions.
#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// List sessions, the newest first; the open ones unless asked otherwise
    List(List),
    /// End an open session by its id, or every open one of a login
    Disconnect(Disconnect),
}

/// Which sessions.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Closed ones too
    #[arg(long, conflicts_with = "closed")]
    all: bool,
    /// Closed ones only
    #[arg(long)]
    closed: bool,
    /// Only those of this login
    #[arg(long, value_name = "LOGIN")]
    user: Option<String>,
    /// Only this customer's: number or id
    #[arg(long)]
    customer: Option<String>,
    /// Only this service's: login, number or id
    #[arg(long)]
    service: Option<String>,
    /// Only at this NAS: name or id
    #[arg(long)]
    nas: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How many to skip
    #[arg(long, default_value_t = 0)]
    offset: usize,
}

/// Which session ends.
#[derive(Debug, Args)]
pub(super) struct Disconnect {
    /// The session's id, or a login
    #[arg(value_name = "ID|LOGIN")]
    who: String,
}

impl Session {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(list) => list.run(context),
            Self::Disconnect(disconnect) => disconnect.run(context),
        }
    }
}

impl List {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let open = if self.all { None } else { Some((!self.closed).to_string()) };
        let daemon = context.daemon()?;
        let nas = self.nas.map(|nas| nas::id_of(&daemon, &nas)).transpose()?;
        let parameters = [
            ("open", open),
            ("username", self.user),
            ("customer_id", self.customer),
            ("service_id", self.service),
            ("nas_id", nas),
            ("limit", Some(self.limit.to_string())),
            ("offset", Some(self.offset.to_string())),
        ];
        let mut found = daemon.get(&with_query("/api/v1/sessions", &parameters))?;
        nas::name_them(&daemon, &mut found)?;
        if context.terminal.wants_json() {
            context.terminal.json(&found);
            return Ok(());
        }
        context.terminal.line(table(read::items(&found)).text());
        let (shown, total) = (read::items(&found).len(), read::number(&found, "/count").unwrap_or(0));
        if u64::try_from(shown).unwrap_or(u64::MAX) < total {
            let next = self.offset + shown;
            context.terminal.note(format_args!("{shown} of {total}; go on with --offset {next}"));
        }
        Ok(())
    }
}

impl Disconnect {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let daemon = context.daemon()?;
        let ids = if self.who.parse::<uuid::Uuid>().is_ok() {
            vec![self.who]
        } else {
            open_sessions(&daemon, &self.who)?
        };
        let mut ended = Vec::new();
        for id in ids {
            let answer = daemon.post(&format!("/api/v1/sessions/{id}/disconnect"), json!({}))?;
            if !context.terminal.wants_json() {
                context.terminal.line(format_args!("{id} is disconnected"));
            }
            ended.push(answer);
        }
        if context.terminal.wants_json() {
            context.terminal.json(&Value::Array(ended));
        }
        Ok(())
    }
}

/// The ids of a login's open sessions; that it has none is said.
fn open_sessions(daemon: &Talk, login: &str) -> Result<Vec<String>, CliError> {
    let asked = [("open", Some("true".to_owned())), ("username", Some(login.to_owned()))];
    let found = daemon.get(&with_query("/api/v1/sessions", &asked))?;
    let ids: Vec<String> = read::items(&found).iter().map(|session| read::text(session, "/id")).collect();
    if ids.is_empty() {
        let text = format!("{login} has no open session\n  see: dotmac-edge session list");
        return Err(CliError::NotSo(text));
    }
    Ok(ids)
}

/// Sessions as rows.
pub(super) fn table(sessions: &[Value]) -> Table {
    let mut table =
        Table::new(&["login", "device", "address", "nas", "since", "until", "down", "up", "time"]);
    for session in sessions {
        table.row([
            read::text(session, "/username"),
            read::text(session, "/calling_station"),
            read::first(session, &["/ipv4", "/delegated_prefix", "/ipv6_prefix"]),
            read::first(session, &["/nas_name", "/nas_id"]),
            read::text(session, "/opened_at"),
            read::text(session, "/closed_at"),
            octets(session, "/download_octets"),
            octets(session, "/upload_octets"),
            read::number(session, "/duration_seconds").map_or_else(|| "-".to_owned(), human::span),
        ]);
    }
    table
}

fn octets(session: &Value, pointer: &str) -> String {
    read::number(session, pointer).map_or_else(|| "-".to_owned(), human::octets)
}
