//! `admin create`: a staff account, from the box itself.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value};

use super::error::CliError;
use super::talk::{Load, with_query};
use super::{Context, read, stdin};

/// Staff accounts.
#[derive(Debug, Subcommand)]
pub(super) enum Admin {
    /// Make a staff account; its password is generated and shown once, or read from standard input
    Create(Create),
    /// End the second factor of somebody who lost their telephone and their recovery codes
    ResetMfa(ResetMfa),
}

/// Whose second factor to end.
#[derive(Debug, Args)]
pub(super) struct ResetMfa {
    /// The e-mail address they log in with
    #[arg(long, value_name = "ADDRESS")]
    email: String,
}

impl ResetMfa {
    fn run(&self, context: &Context) -> Result<(), CliError> {
        let daemon = context.daemon()?;
        let wanted = self.email.trim().to_lowercase();
        let asked = [("search", Some(wanted.clone())), ("limit", Some(MOST.to_owned()))];
        let users = daemon.get(&with_query("/api/v1/users", &asked))?;
        let theirs = read::items(&users).iter().find(|user| read::text(user, "/email") == wanted);
        let id = theirs
            .map(|user| read::text(user, "/id"))
            .ok_or_else(|| CliError::NotSo(format!("nobody logs in as {wanted}")))?;
        let done = daemon.ask(Method::DELETE, &format!("/api/v1/users/{id}/mfa"), Load::Nothing)?;
        if context.terminal.wants_json() {
            context.terminal.json(&done);
            return Ok(());
        }
        context
            .terminal
            .line(format_args!("{wanted} logs in without a second factor and can set up another."));
        Ok(())
    }
}

/// An account to make.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The e-mail address to log in with
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// What the account may do: owner, admin, cashier, agent, technician or auditor
    #[arg(long, default_value = "owner")]
    role: String,
    /// The person's name; the address when left out
    #[arg(long)]
    name: Option<String>,
    /// Read the password as one line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl Admin {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Create(create) => create.run(context),
            Self::ResetMfa(reset) => reset.run(context),
        }
    }
}

impl Create {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let daemon = context.daemon()?;
        let mut body = Map::new();
        body.insert("email".to_owned(), self.email.into());
        body.insert("role".to_owned(), self.role.into());
        if let Some(name) = self.name {
            body.insert("name".to_owned(), name.into());
        }
        if self.password_stdin {
            let secret = stdin::secret(context.terminal, "Password")?;
            let text = secret.expose_text().map(Value::from);
            let text = text.ok_or_else(|| CliError::Usage("the password is not UTF-8".to_owned()))?;
            body.insert("password".to_owned(), text);
        }
        let made = daemon.post("/api/v1/users", body.into())?;
        if context.terminal.wants_json() {
            context.terminal.json(&made);
            return Ok(());
        }
        let (email, role) = (read::text(&made, "/email"), read::text(&made, "/role"));
        context.terminal.line(format_args!("{email} can log in as {role}."));
        if made.get("generated_password").is_some_and(Value::is_string) {
            context.terminal.line(format_args!("password: {}", read::text(&made, "/generated_password")));
            context.terminal.note("It is shown this once; keep it in a password safe.");
        }
        Ok(())
    }
}

/// Accounts whose address holds the one that is asked for: a handful.
const MOST: &str = "100";
