//! `service`: a customer's contract under a plan, with its network login.

use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::error::CliError;
use super::table::Table;
use super::talk::{Load, encoded, runtime, with_query};
use super::{Context, human, read, stdin};

/// Services: a customer's contract under a plan.
#[derive(Debug, Subcommand)]
pub(super) enum Service {
    /// List services
    List(List),
    /// Make a service; its network password is generated and shown once, or read from standard input
    Create(Create),
    /// Put a service into force, and wait until it is
    Provision(Reference),
    /// Show a service: its terms, whether it lets in, and why
    Show(Reference),
    /// Lock a service
    Suspend(Suspend),
    /// Resolve a lock that staff placed
    Resume(Resume),
    /// Let a service whose plan requires approval be put into force
    Approve(Reference),
    /// Give a service another network password; it is generated and shown once, or read from standard input
    ResetPassword(ResetPassword),
    /// End a service for good
    Terminate(Reference),
}

/// Which service.
#[derive(Debug, Args)]
pub(super) struct Reference {
    /// Its login, number or id
    service: String,
}

/// Which services.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only this customer's: number or id
    #[arg(long)]
    customer: Option<String>,
    /// Only those on this plan: code or id
    #[arg(long)]
    plan: Option<String>,
    /// Only those whose login or number contains this
    #[arg(long)]
    search: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// A service to make.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The customer: number or id
    #[arg(long)]
    customer: String,
    /// The plan: code or id
    #[arg(long)]
    plan: String,
    /// The network login; made from the customer number when left out
    #[arg(long, value_name = "LOGIN")]
    username: Option<String>,
    /// Read the network password as one line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// Put it into force at once
    #[arg(long)]
    provision: bool,
}

/// A lock to place.
#[derive(Debug, Args)]
pub(super) struct Suspend {
    #[command(flatten)]
    reference: Reference,
    /// Why: admin, customer_hold or fraud
    #[arg(long, default_value = "admin")]
    reason: String,
    /// A note for colleagues
    #[arg(long)]
    note: Option<String>,
}

/// A lock to resolve.
#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    reference: Reference,
    /// Which: admin, customer_hold or fraud
    #[arg(long, default_value = "admin")]
    reason: String,
}

/// A password to set.
#[derive(Debug, Args)]
pub(super) struct ResetPassword {
    #[command(flatten)]
    reference: Reference,
    /// Read the network password as one line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl Service {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(list) => list.run(context),
            Self::Create(create) => create.run(context),
            Self::Show(reference) => {
                show(context, &context.daemon()?.get(&path_of(&reference.service))?);
                Ok(())
            }
            Self::Provision(reference) => provision(context, &reference.service),
            Self::Suspend(suspend) => {
                let body = json!({ "reason": suspend.reason, "note": suspend.note });
                act(context, &suspend.reference.service, "suspend", body)
            }
            Self::Resume(resume) => {
                act(context, &resume.reference.service, "resume", json!({ "reason": resume.reason }))
            }
            Self::Approve(reference) => act(context, &reference.service, "approve", json!({})),
            Self::ResetPassword(reset) => reset.run(context),
            Self::Terminate(reference) => act(context, &reference.service, "terminate", json!({})),
        }
    }
}

impl List {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let limit = Some(self.limit.to_string());
        let parameters =
            [("customer_id", self.customer), ("plan", self.plan), ("search", self.search), ("limit", limit)];
        let found = context.daemon()?.get(&with_query(PATH, &parameters))?;
        if context.terminal.wants_json() {
            context.terminal.json(&found);
        } else {
            context.terminal.line(table(read::items(&found)).text());
        }
        Ok(())
    }
}

impl Create {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let daemon = context.daemon()?;
        let mut body = Map::new();
        body.insert("customer_id".to_owned(), self.customer.into());
        body.insert("plan_code".to_owned(), self.plan.into());
        if let Some(username) = self.username {
            body.insert("username".to_owned(), username.into());
        }
        if self.password_stdin {
            body.insert("password".to_owned(), stdin::password(context.terminal, "Network password")?.into());
        }
        let mut made = daemon.post(PATH, body.into())?;
        if context.terminal.wants_json() {
            // One document, and the password in it whatever becomes of the rest.
            let provisioned = if self.provision {
                provisioned(context, &read::text(&made, "/id"))
            } else {
                Ok(Value::Null)
            };
            if let (Some(made), Ok(Value::Object(service))) = (made.as_object_mut(), &provisioned) {
                made.extend(service.clone());
            }
            context.terminal.json(&made);
            return provisioned.map(drop);
        }
        tell_password(context, &made);
        if self.provision { provision(context, &read::text(&made, "/id")) } else { Ok(()) }
    }
}

impl ResetPassword {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let mut body = Map::new();
        if self.password_stdin {
            body.insert("password".to_owned(), stdin::password(context.terminal, "Network password")?.into());
        }
        let path = format!("{}/reset-password", path_of(&self.reference.service));
        tell_password(context, &context.daemon()?.post(&path, body.into())?);
        Ok(())
    }
}

fn tell_password(context: &Context, made: &Value) {
    if context.terminal.wants_json() {
        context.terminal.json(made);
        return;
    }
    context.terminal.line(format_args!("login: {}", read::text(made, "/username")));
    context.terminal.line(format_args!("password: {}", read::text(made, "/network_password")));
    context.terminal.note("The password is shown this once; enter it on the subscriber's router now.");
}

/// One step of a service's life.
fn act(context: &Context, service: &str, action: &str, body: Value) -> Result<(), CliError> {
    let done = context.daemon()?.post(&format!("{}/{action}", path_of(service)), body)?;
    show(context, &done);
    Ok(())
}

fn provision(context: &Context, service: &str) -> Result<(), CliError> {
    let service = provisioned(context, service)?;
    show(context, &service);
    if read::text(&service, "/status") == "provisioning" {
        context.terminal.note("It becomes active once enforcement has proof; see: dotmac-edge service show");
    }
    Ok(())
}

/// Asks for provisioning and waits for its end, as long as a person would; gives the service.
fn provisioned(context: &Context, service: &str) -> Result<Value, CliError> {
    let (daemon, path) = (context.daemon()?, path_of(service));
    daemon.post(&format!("{path}/provision"), json!({}))?;
    let ending = async {
        let mut looks = 0;
        loop {
            let service = daemon.good(Method::GET, &path, Load::Nothing).await?;
            if read::text(&service, "/status") != "provisioning" || looks >= MOST_LOOKS {
                return Ok::<Value, CliError>(service);
            }
            looks += 1;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    runtime()?.block_on(context.terminal.waiting("Provisioning", ending))
}

/// Services as rows.
pub(super) fn table(services: &[Value]) -> Table {
    let mut table = Table::new(&["login", "number", "plan", "status", "paid until", "reason"]);
    for service in services {
        table.row([
            read::text(service, "/username"),
            read::text(service, "/service_number"),
            read::text(service, "/plan_code"),
            read::text(service, "/status"),
            read::text(service, "/paid_until"),
            read::text(service, "/reason"),
        ]);
    }
    table
}

fn show(context: &Context, service: &Value) {
    if context.terminal.wants_json() {
        context.terminal.json(service);
        return;
    }
    let (login, number) = (read::text(service, "/username"), read::text(service, "/service_number"));
    context.terminal.line(format_args!("{login} (service {number})"));
    let text = |pointer: &str| read::text(service, pointer);
    let lines = [
        ("plan", format!("{} ({}), {}", text("/plan_code"), text("/plan_name"), speeds(service))),
        ("status", text("/status")),
        ("reason", text("/reason")),
        ("locks", text("/locks")),
        ("paid until", read::text(service, "/paid_until")),
        ("left", read::number(service, "/remaining_octets").map_or_else(|| "-".to_owned(), human::octets)),
        ("address", text("/ipv4")),
        ("customer", text("/customer_id")),
        ("id", read::text(service, "/id")),
    ];
    for (name, value) in lines {
        if value != "-" && !value.is_empty() {
            context.terminal.line(format_args!("  {name:<10} {value}"));
        }
    }
}

fn speeds(service: &Value) -> String {
    let rate = |pointer| read::number(service, pointer).map_or_else(|| "-".to_owned(), human::rate);
    format!("{} down, {} up", rate("/terms/download_bps"), rate("/terms/upload_bps"))
}

fn path_of(service: &str) -> String {
    format!("{PATH}/{}", encoded(service))
}

/// Ten seconds' worth: local proof takes milliseconds, and what takes longer is told of.
const MOST_LOOKS: u32 = 100;
/// Between two looks at a service.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Where services are.
pub(super) const PATH: &str = "/api/v1/services";
