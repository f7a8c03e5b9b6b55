//! `customer`: who is served, one by one and by the roster.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::error::CliError;
use super::roster::Import;
use super::table::Table;
use super::talk::{encoded, with_query};
use super::{Context, read, service, stdin};

/// Customers.
#[derive(Debug, Subcommand)]
pub(super) enum Customer {
    /// List customers
    List(List),
    /// Enter a customer
    Create(Box<Create>),
    /// Show a customer with their services
    Show {
        /// Customer number, portal id or id
        customer: String,
    },
    /// Give a customer another portal password; it is generated and shown once, or read from standard input
    ResetPortalPassword(ResetPortalPassword),
    /// Enter many from a CSV file; bad lines are named and the rest goes in, and again changes nothing
    Import(Import),
}

/// Which customers.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those whose number, name, e-mail or phone contains this
    #[arg(long)]
    search: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How many to skip
    #[arg(long, default_value_t = 0)]
    offset: usize,
}

/// A customer to enter.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The first name
    #[arg(long)]
    first_name: String,
    /// The last name
    #[arg(long)]
    last_name: String,
    /// The customer number; made when left out
    #[arg(long)]
    number: Option<String>,
    /// The e-mail address
    #[arg(long)]
    email: Option<String>,
    /// The telephone number
    #[arg(long)]
    phone: Option<String>,
}

/// A password to set.
#[derive(Debug, Args)]
pub(super) struct ResetPortalPassword {
    /// Customer number, portal id or id
    customer: String,
    /// Read the portal password as one line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl Customer {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List(list) => list.run(context),
            Self::Create(create) => create.run(context),
            Self::Show { customer } => show(context, &customer),
            Self::ResetPortalPassword(reset) => reset.run(context),
            Self::Import(import) => import.run(context),
        }
    }
}

impl List {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let (limit, offset) = (Some(self.limit.to_string()), Some(self.offset.to_string()));
        let path = with_query(PATH, &[("search", self.search), ("limit", limit), ("offset", offset)]);
        let found = context.daemon()?.get(&path)?;
        if context.terminal.wants_json() {
            context.terminal.json(&found);
            return Ok(());
        }
        let mut table = Table::new(&["number", "name", "e-mail", "phone", "status", "since"]);
        for customer in read::items(&found) {
            table.row([
                read::text(customer, "/customer_number"),
                name(customer),
                read::text(customer, "/email"),
                read::text(customer, "/phone"),
                read::text(customer, "/status"),
                read::text(customer, "/created_at"),
            ]);
        }
        context.terminal.line(table.text());
        let (shown, total) = (read::items(&found).len(), read::number(&found, "/count").unwrap_or(0));
        if u64::try_from(shown).unwrap_or(u64::MAX) < total {
            let next = self.offset + shown;
            context.terminal.note(format_args!("{shown} of {total}; go on with --offset {next}"));
        }
        Ok(())
    }
}

impl Create {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let fields = [
            ("first_name", Some(self.first_name)),
            ("last_name", Some(self.last_name)),
            ("customer_number", self.number),
            ("email", self.email),
            ("phone", self.phone),
        ];
        let body: Map<String, Value> =
            fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))).collect();
        let made = context.daemon()?.post(PATH, body.into())?;
        if context.terminal.wants_json() {
            context.terminal.json(&made);
            return Ok(());
        }
        tell_password(context, &made);
        Ok(())
    }
}

impl ResetPortalPassword {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let mut body = Map::new();
        if self.password_stdin {
            body.insert("password".to_owned(), stdin::password(context.terminal, "Portal password")?.into());
        }
        let path = format!("{PATH}/{}/reset-portal-password", encoded(&self.customer));
        let set = context.daemon()?.post(&path, body.into())?;
        if context.terminal.wants_json() {
            context.terminal.json(&set);
        } else {
            tell_password(context, &set);
        }
        Ok(())
    }
}

fn tell_password(context: &Context, made: &Value) {
    context.terminal.line(format_args!("{}: {}", read::text(made, "/customer_number"), name(made)));
    if made.get("portal_password").is_some_and(|password| !password.is_null()) {
        let (id, password) = (read::text(made, "/portal_id"), read::text(made, "/portal_password"));
        context.terminal.line(format_args!("portal login: {id}\nportal password: {password}"));
        context.terminal.note("The password is shown this once.");
    }
}

fn show(context: &Context, customer: &str) -> Result<(), CliError> {
    let daemon = context.daemon()?;
    let mut found = daemon.get(&format!("{PATH}/{}", encoded(customer)))?;
    let id = read::text(&found, "/id");
    let services = daemon.get(&with_query(service::PATH, &[("customer_id", Some(id))]))?;
    if context.terminal.wants_json() {
        if let Some(fields) = found.as_object_mut() {
            fields.insert("services".to_owned(), read::items(&services).to_vec().into());
        }
        context.terminal.json(&found);
        return Ok(());
    }
    context.terminal.line(format_args!("{}: {}", read::text(&found, "/customer_number"), name(&found)));
    context.terminal.line(format_args!("  status     {}", read::text(&found, "/status")));
    context.terminal.line(format_args!("  e-mail     {}", read::text(&found, "/email")));
    context.terminal.line(format_args!("  phone      {}", read::text(&found, "/phone")));
    context.terminal.line(format_args!("  portal id  {}", read::text(&found, "/portal_id")));
    context.terminal.line(format_args!("  id         {}", read::text(&found, "/id")));
    context.terminal.line(service::table(read::items(&services)).text());
    Ok(())
}

fn name(customer: &Value) -> String {
    read::text(customer, "/display_name")
}

const PATH: &str = "/api/v1/customers";
