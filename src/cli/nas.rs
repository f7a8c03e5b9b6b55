//! `nas`: who may speak RADIUS to this box, and how each likes to be answered.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::error::CliError;
use super::table::Table;
use super::talk::{Load, Talk, encoded, with_query};
use super::{Context, read, stdin};
use crate::domain::nas::{GATEWAY, GATEWAY_NAME};

/// NAS: who may speak RADIUS to this box.
#[derive(Debug, Subcommand)]
pub(super) enum Nas {
    /// Enter a NAS; its secret is generated and shown once, or read from standard input
    Add(Add),
    /// List the NAS
    List {
        /// Only those whose name or address contains this
        #[arg(long)]
        search: Option<String>,
    },
    /// Change a NAS, or give it a new secret
    Set(Box<Set>),
    /// Remove a NAS; it gets silence from then on
    Remove {
        /// Its name or id
        nas: String,
    },
}

/// A NAS to enter.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// A unique name: letters, digits, '-', '_', '.'
    name: String,
    /// Its source address, or a network of them, as 192.0.2.0/24
    address: String,
    /// Read the secret as one line of standard input instead of generating it
    #[arg(long)]
    secret_stdin: bool,
    #[command(flatten)]
    facts: Facts,
}

/// What is to change.
#[derive(Debug, Args)]
pub(super) struct Set {
    /// Its name or id
    nas: String,
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// Another address or network
    #[arg(long)]
    address: Option<String>,
    /// Whether it may be used
    #[arg(long, value_name = "true|false")]
    active: Option<bool>,
    /// Give it a new secret, generated and shown once; the old one is heard for the grace time
    #[arg(long)]
    new_secret: bool,
    /// Read the new secret as one line of standard input
    #[arg(long)]
    secret_stdin: bool,
    /// Hours for which the old secret is still heard
    #[arg(long, value_name = "HOURS")]
    grace: Option<u32>,
    #[command(flatten)]
    facts: Facts,
}

/// What a NAS has besides name, address and secret.
#[derive(Debug, Args)]
struct Facts {
    /// How replies are phrased: mikrotik, wispr, coova, cisco, huawei, juniper, ubiquiti, accel-ppp, or generic (unless said)
    #[arg(long)]
    kind: Option<String>,
    /// Whether requests must carry a Message-Authenticator: require or allow
    #[arg(long, value_name = "POLICY")]
    message_authenticator: Option<String>,
    /// Where it listens for Disconnect- and CoA-Requests (RFC 5176); 0 where it cannot be told
    #[arg(long, value_name = "PORT")]
    coa_port: Option<u16>,
    /// A note for colleagues
    #[arg(long)]
    note: Option<String>,
}

impl Nas {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Add(add) => add.run(context),
            Self::List { search } => list(context, search),
            Self::Set(set) => set.run(context),
            Self::Remove { nas } => {
                let removed = context.daemon()?.ask(Method::DELETE, &path_of(&nas), Load::Json(json!({})))?;
                if context.terminal.wants_json() {
                    context.terminal.json(&removed);
                }
                context.terminal.note(format_args!("{nas} is removed: its requests get silence."));
                Ok(())
            }
        }
    }
}

impl Add {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let daemon = context.daemon()?;
        let mut body = self.facts.fields();
        body.insert("name".to_owned(), self.name.into());
        body.insert("address".to_owned(), self.address.into());
        if self.secret_stdin {
            body.insert("secret".to_owned(), secret(context)?);
        }
        show_with_secret(context, &daemon.post(PATH, body.into())?);
        Ok(())
    }
}

impl Set {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let daemon = context.daemon()?;
        let (path, wants_secret) = (path_of(&self.nas), self.new_secret || self.secret_stdin);
        let mut body = self.facts.fields();
        let texts = [("name", self.name), ("address", self.address)];
        body.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
        if let Some(active) = self.active {
            body.insert("is_active".to_owned(), active.into());
        }
        if body.is_empty() && !wants_secret {
            return Err(CliError::Usage(
                "nothing to change was given; see dotmac-edge nas set --help".to_owned(),
            ));
        }
        let mut path_now = path;
        if !body.is_empty() {
            let changed = daemon.ask(Method::PATCH, &path_now, Load::Json(body.into()))?;
            // By its id, since the name may just have changed.
            path_now = path_of(&read::text(&changed, "/id"));
            if !wants_secret {
                show(context, &changed);
            }
        }
        if wants_secret {
            let mut rotation = Map::new();
            if self.secret_stdin {
                rotation.insert("secret".to_owned(), secret(context)?);
            }
            if let Some(hours) = self.grace {
                rotation.insert("grace_hours".to_owned(), hours.into());
            }
            show_with_secret(context, &daemon.post(&format!("{path_now}/rotate-secret"), rotation.into())?);
        }
        Ok(())
    }
}

impl Facts {
    fn fields(self) -> Map<String, Value> {
        let Self { kind, message_authenticator, coa_port, note } = self;
        let texts = [("kind", kind), ("message_authenticator", message_authenticator), ("note", note)];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?))));
        texts.chain(coa_port.map(|port| ("coa_port".to_owned(), json!(port)))).collect()
    }
}

fn list(context: &Context, search: Option<String>) -> Result<(), CliError> {
    let path = with_query(PATH, &[("search", search), ("limit", Some(LIST_LIMIT.to_string()))]);
    let found = context.daemon()?.get(&path)?;
    if context.terminal.wants_json() {
        context.terminal.json(&found);
        return Ok(());
    }
    let mut table = Table::new(&["name", "address", "kind", "message-authenticator", "active", "note"]);
    for nas in read::items(&found) {
        let fields = ["/name", "/address", "/kind", "/message_authenticator", "/is_active", "/note"];
        table.row(fields.map(|field| read::text(nas, field)));
    }
    context.terminal.line(table.text());
    Ok(())
}

fn secret(context: &Context) -> Result<Value, CliError> {
    let secret = stdin::secret(context.terminal, "Shared secret")?;
    let text = secret.expose_text().map(Value::from);
    text.ok_or_else(|| CliError::Usage("the secret is not UTF-8".to_owned()))
}

fn show(context: &Context, nas: &Value) {
    if context.terminal.wants_json() {
        context.terminal.json(nas);
        return;
    }
    let (name, address, kind) =
        (read::text(nas, "/name"), read::text(nas, "/address"), read::text(nas, "/kind"));
    context.terminal.line(format_args!("{name}: {address}, answered as {kind}"));
    for warning in nas.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        context.terminal.note(format_args!("warning: {}", read::shown(warning)));
    }
}

fn show_with_secret(context: &Context, nas: &Value) {
    show(context, nas);
    if !context.terminal.wants_json() {
        context.terminal.line(format_args!("secret: {}", read::text(nas, "/secret")));
        context.terminal.note("It is shown this once; enter it on the NAS now.");
    }
}

/// The id of a NAS by its name or id.
pub(super) fn id_of(daemon: &Talk, nas: &str) -> Result<String, CliError> {
    Ok(read::text(&daemon.get(&path_of(nas))?, "/id"))
}

/// Adds `nas_name` to each record of a list that has a `nas_id`.
pub(super) fn name_them(daemon: &Talk, list: &mut Value) -> Result<(), CliError> {
    let known = daemon.get(&format!("{PATH}?limit={LIST_LIMIT}"))?;
    let here = (json!(GATEWAY.to_string()), json!(GATEWAY_NAME));
    let name_of = |id: &Value| {
        if *id == here.0 {
            return Some(&here.1);
        }
        read::items(&known).iter().find(|nas| nas.get("id") == Some(id))?.get("name")
    };
    for one in list.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = one.get("nas_id").and_then(name_of).cloned();
        if let (Some(fields), Some(name)) = (one.as_object_mut(), name) {
            fields.insert("nas_name".to_owned(), name);
        }
    }
    Ok(())
}

fn path_of(nas: &str) -> String {
    format!("{PATH}/{}", encoded(nas))
}

const PATH: &str = "/api/v1/nas-devices";
/// The most that the API gives at once; more NAS than an ISP's box serves.
const LIST_LIMIT: usize = 500;
