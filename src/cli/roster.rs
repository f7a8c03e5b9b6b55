//! `customer import`: a roster of any length, taken in part by part until all of it is in.
//!
//! The one rule: a password that was made is shown (and saved, where asked) as soon as its part is
//! in, before the next part is sent, so that nothing that happens later can lose it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::error::CliError;
use super::table::Table;
use super::talk::{Load, with_query};
use super::{Context, read};

/// A roster to take in.
#[derive(Debug, Args)]
#[command(after_help = "The daemon takes some thousand lines at a time; the command goes on until the file \
is in. Where an answer was lost on the way, run it again: what went in stays as it is and is counted so. A \
network password whose answer was lost cannot be shown again; make another:\n  \
dotmac-edge service reset-password LOGIN")]
pub(super) struct Import {
    /// CSV with a header: `customer_number` or `email`, `first_name` and `last_name` (or `name`), `phone`, `street`,
    /// `city`, `state`, `zip`, `country`, `category`, `standing`, `plan_code`, `username`, `password`
    file: PathBuf,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// Also save the network passwords that are made, as CSV, to this new file, readable by you alone
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    passwords: Option<PathBuf>,
}

/// Where the passwords that are made are kept.
struct Saved {
    path: PathBuf,
    file: File,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let roster = std::fs::read(&self.file)
            .map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", self.file.display())))?;
        let mut saved = self.passwords.as_deref().map(Saved::create).transpose()?;
        let mut whole = Value::Null;
        let ended = self.take_in(context, &roster, &mut saved, &mut whole);
        // What went in before a fault is told all the same: its passwords are not shown again.
        if whole.is_object() {
            if context.terminal.wants_json() {
                context.terminal.json(&whole);
            } else {
                summarise(context, &whole, self.dry_run);
            }
        }
        ended?;
        if rows(&whole, "failed").is_empty() { Ok(()) } else { Err(CliError::Told) }
    }

    fn take_in(
        &self,
        context: &Context,
        roster: &[u8],
        saved: &mut Option<Saved>,
        whole: &mut Value,
    ) -> Result<(), CliError> {
        let daemon = context.daemon()?.patiently();
        let mut from = None;
        loop {
            let parameters = [
                ("dry_run", self.dry_run.then(|| "true".to_owned())),
                ("from_line", from.map(|line: u64| line.to_string())),
            ];
            let part =
                daemon.ask(Method::POST, &with_query(PATH, &parameters), Load::Csv(roster.to_vec()))?;
            if !context.terminal.wants_json() {
                tell(context, &part);
            }
            let kept = saved.as_mut().map_or(Ok(()), |saved| saved.keep(rows(&part, "credentials")));
            let next = read::number(&part, "/next_line");
            add(whole, part);
            kept?;
            let Some(next) = next.filter(|next| from.is_none_or(|from| *next > from)) else { return Ok(()) };
            context.terminal.note(format_args!("in up to line {}; going on", next.saturating_sub(1)));
            from = Some(next);
        }
    }
}

impl Saved {
    fn create(path: &Path) -> Result<Self, CliError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = made.map_err(|error| {
            CliError::Usage(format!("{} cannot be made: {error}; name a new file", path.display()))
        })?;
        let mut saved = Self { path: path.to_owned(), file };
        saved.write("\"customer_number\",\"username\",\"network_password\"\n")?;
        Ok(saved)
    }

    fn keep(&mut self, made: &[Value]) -> Result<(), CliError> {
        let mut text = String::new();
        for one in made {
            let cells = MADE.map(|field| format!("\"{}\"", read::text(one, field).replace('"', "\"\"")));
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<(), CliError> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| CliError::failed(&format!("write {}", self.path.display()), &error))
    }
}

/// Shows the passwords and the bad lines of one part.
pub(super) fn tell(context: &Context, part: &Value) {
    let made = rows(part, "credentials");
    if !made.is_empty() {
        let mut table = Table::new(&["customer", "login", "network password"]);
        for one in made {
            table.row(MADE.map(|field| read::text(one, field)));
        }
        context.terminal.line(table.text());
        context.terminal.note("These passwords are shown this once.");
    }
    for line in rows(part, "failed") {
        let (number, field) = (read::text(line, "/line"), read::text(line, "/field"));
        let field = if field.is_empty() { field } else { format!("{field} ") };
        context.terminal.line(format_args!("line {number}: {field}{}", read::text(line, "/message")));
    }
}

fn summarise(context: &Context, whole: &Value, dry_run: bool) {
    let count = |name: &str| read::number(whole, name).unwrap_or(0);
    let would = if dry_run { "A dry run; the file would come to: " } else { "" };
    context.terminal.line(format_args!(
        "{would}{} new, {} changed, {} as they were, {} services, {} bad lines.",
        count("/created"),
        count("/updated"),
        count("/unchanged"),
        count("/services"),
        rows(whole, "failed").len(),
    ));
}

/// Adds a part's report to that of the parts before: counts add up, lists grow, and the rest is as
/// the newest says.
pub(super) fn add(whole: &mut Value, part: Value) {
    let (Value::Object(whole), Value::Object(part)) = (&mut *whole, &part) else {
        *whole = part;
        return;
    };
    for (name, new) in part {
        let held = whole.entry(name.as_str()).or_insert(Value::Null);
        match (&mut *held, new) {
            (Value::Object(_), Value::Object(_)) => add(held, new.clone()),
            (Value::Array(held), Value::Array(new)) => held.extend(new.iter().cloned()),
            (Value::Number(old), Value::Number(new)) if name != "next_line" => {
                let sum = old.as_u64().unwrap_or(0).saturating_add(new.as_u64().unwrap_or(0));
                *held = sum.into();
            }
            _ => *held = new.clone(),
        }
    }
}

pub(super) fn rows<'v>(report: &'v Value, name: &str) -> &'v [Value] {
    report.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

const PATH: &str = "/api/v1/customers/import";
/// What is shown of a password that was made.
const MADE: [&str; 3] = ["/customer_number", "/username", "/network_password"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_parts_of_a_roster_add_up_to_one_report() {
        let mut whole = Value::Null;
        add(&mut whole, json!({"created": 2, "failed": [1], "next_line": 9, "dry_run": false}));
        add(&mut whole, json!({"created": 3, "failed": [2, 3], "next_line": null, "dry_run": false}));
        let sum = json!({"created": 5, "failed": [1, 2, 3], "next_line": null, "dry_run": false});
        assert_eq!(whole, sum);
    }
}
