//! `import --from SYSTEM FILE`: moving in from another system, part by part until all of it is in.
//!
//! The one rule: a password that was made is shown as soon as its part is in, before the next part is sent.

use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::error::CliError;
use super::roster::{add, rows, tell};
use super::talk::{Load, with_query};
use super::{Context, read};

/// An export to take in.
#[derive(Debug, Args)]
#[command(
    after_help = "freeradius: mysqldump radius nas radcheck radreply radgroupcheck radgroupreply radusergroup \
[userinfo userbillinfo billing_plans]\nphpnuxbill: mysqldump DATABASE tbl_customers tbl_plans tbl_bandwidth tbl_voucher \
tbl_user_recharges\nsplynx, uisp: the list of customers as CSV\nDo a --dry-run first. The same file again changes nothing."
)]
pub(super) struct Import {
    /// Which system: freeradius (daloRADIUS too), phpnuxbill, splynx or uisp
    #[arg(long, value_name = "SYSTEM")]
    from: String,
    /// Its export
    file: PathBuf,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let file = std::fs::read(&self.file)
            .map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", self.file.display())))?;
        let mut whole = Value::Null;
        let ended = self.take_in(context, &file, &mut whole);
        if whole.is_object() {
            if context.terminal.wants_json() {
                context.terminal.json(&whole);
            } else {
                self.summarise(context, &whole);
            }
        }
        ended?;
        if rows(&whole, "failed").is_empty() { Ok(()) } else { Err(CliError::Told) }
    }

    fn take_in(&self, context: &Context, file: &[u8], whole: &mut Value) -> Result<(), CliError> {
        let daemon = context.daemon()?.patiently();
        let mut from_line = None;
        loop {
            let parameters = [
                ("from", Some(self.from.clone())),
                ("dry_run", self.dry_run.then(|| "true".to_owned())),
                ("from_line", from_line.map(|line: u64| line.to_string())),
            ];
            let path = with_query("/api/v1/imports", &parameters);
            let part = daemon.ask(Method::POST, &path, Load::Csv(file.to_vec()))?;
            if !context.terminal.wants_json() {
                tell(context, &part);
                for note in rows(&part, "notes") {
                    let (line, text) = (read::text(note, "/line"), read::text(note, "/message"));
                    context.terminal.note(format_args!("line {line}: {} {text}", read::text(note, "/field")));
                }
            }
            let next = read::number(&part, "/next_line");
            add(whole, part);
            let Some(next) = next.filter(|next| from_line.is_none_or(|from| *next > from)) else {
                return Ok(());
            };
            context.terminal.note(format_args!("in up to line {}; going on", next.saturating_sub(1)));
            from_line = Some(next);
        }
    }

    fn summarise(&self, context: &Context, whole: &Value) {
        let count = |name: &str| read::number(whole, name).unwrap_or(0);
        let would = if self.dry_run { "A dry run; the file would come to: " } else { "" };
        context.terminal.line(format_args!(
            "{would}{} plans, {} NAS, {} customers new, {} changed, {} as they were, {} services, {} vouchers, {} bad lines.",
            count("/plans/created"),
            count("/nas/created"),
            count("/created"),
            count("/updated"),
            count("/unchanged"),
            count("/services"),
            count("/vouchers/created"),
            rows(whole, "failed").len(),
        ));
    }
}
