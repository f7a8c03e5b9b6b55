//! `voucher`: batches of vouchers, their codes, and what became of them.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::error::CliError;
use super::table::Table;
use super::talk::{Talk, encoded, runtime, with_query};
use super::{Context, read, stdin};

/// Vouchers: batches, codes, sales.
#[derive(Debug, Subcommand)]
pub(super) enum Voucher {
    /// Make a batch, and write its codes into a file: nobody can fetch them again later
    Create(Box<Create>),
    /// List the batches
    Batches,
    /// List the vouchers of a batch, without their codes, which are not kept
    List {
        /// Its code or id
        batch: String,
        /// Only those that are unused, active, exhausted, expired or revoked
        #[arg(long)]
        state: Option<String>,
    },
    /// Show what became of a voucher
    Lookup {
        /// Its number, as B7K2QM-000017; its code is read from standard input instead when left out
        voucher: Option<String>,
    },
    /// Sell vouchers of a batch in somebody's name; their codes are shown once
    Sell {
        /// Its code or id
        batch: String,
        /// The e-mail address of whoever sells
        #[arg(long = "as", value_name = "EMAIL")]
        seller: String,
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u32,
    },
    /// Give another code for a voucher that was lost or misprinted; it is shown once, and the old one is dead
    Replace {
        /// Its number, as B7K2QM-000017, or its id
        voucher: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take a voucher back, or with --batch a whole batch; what is online by it is cut
    Revoke {
        /// The voucher's number or id, or the batch's code or id
        reference: String,
        /// A whole batch
        #[arg(long)]
        batch: bool,
        /// Why, for the audit log
        #[arg(long)]
        reason: Option<String>,
    },
}

/// A batch to make.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The plan's code or id
    plan: String,
    /// What it is for
    #[arg(long)]
    name: String,
    /// How many, up to 100,000
    #[arg(long, default_value_t = 0)]
    count: u32,
    /// Let more be made one by one as they are sold
    #[arg(long)]
    for_sale: bool,
    /// What stands before the codes: up to 8 letters and digits
    #[arg(long)]
    prefix: Option<String>,
    /// What one costs, tax included, as 500.00; the plan's price when left out
    #[arg(long)]
    price: Option<String>,
    /// Hours that one lasts from its first use; as the plan when left out
    #[arg(long, value_name = "HOURS")]
    hours: Option<u32>,
    /// Devices at a time; as the plan when left out
    #[arg(long, value_name = "COUNT")]
    devices: Option<u32>,
    /// A day or local time from which none can be used for the first time, as 2027-06-01
    #[arg(long, value_name = "TIME")]
    redeem_by: Option<String>,
    /// Where the codes go, as CSV; readable by its owner only
    #[arg(long, value_name = "FILE")]
    codes: Option<PathBuf>,
}

impl Voucher {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Create(create) => create.run(context),
            Self::Batches => batches(context),
            Self::List { batch, state } => list(context, batch, state),
            Self::Lookup { voucher } => look_up(context, voucher),
            Self::Sell { batch, seller, count } => sell(context, &batch, &seller, count),
            Self::Replace { voucher, reason } => replace(context, &voucher, reason),
            Self::Revoke { reference, batch, reason } => revoke(context, &reference, batch, reason),
        }
    }
}

impl Create {
    fn run(self, context: &Context) -> Result<(), CliError> {
        if let Some(file) = self.codes.as_deref().filter(|file| file.exists()) {
            return Err(CliError::Usage(format!("{} exists already; name another file", file.display())));
        }
        if self.count > 0 && self.codes.is_none() {
            let text = "say where the codes go: --codes FILE; they cannot be fetched later";
            return Err(CliError::Usage(text.to_owned()));
        }
        let (count, codes) = (self.count, self.codes.clone());
        let daemon = context.daemon()?.patiently();
        let mut batch = daemon.post(BATCHES, self.body())?;
        let path = format!("{BATCHES}/{}", encoded(&read::text(&batch, "/id")));
        while read::text(&batch, "/status") == "making" {
            runtime()?.block_on(async { tokio::time::sleep(PAUSE).await });
            batch = daemon.get(&path)?;
        }
        if let Some(file) = codes.filter(|_| count > 0) {
            write_codes(&daemon, &path, &file)?;
            // They are in the file: nobody else is to fetch them.
            batch = daemon.post(&format!("{path}/forget-codes"), json!({}))?;
            if !context.terminal.wants_json() {
                context.terminal.line(format_args!("{count} codes are in {}", file.display()));
            }
        }
        show_batch(context, &batch);
        Ok(())
    }

    fn body(self) -> Value {
        let mut body = Map::new();
        let texts = [
            ("plan", Some(self.plan)),
            ("name", Some(self.name)),
            ("prefix", self.prefix),
            ("price", self.price),
            ("redeem_by", self.redeem_by),
        ];
        body.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
        body.insert("count".to_owned(), self.count.into());
        body.insert("for_sale".to_owned(), self.for_sale.into());
        if let Some(hours) = self.hours {
            body.insert("validity".to_owned(), json!({ "count": hours, "unit": "hours" }));
        }
        if let Some(devices) = self.devices {
            body.insert("device_limit".to_owned(), devices.into());
        }
        body.into()
    }
}

fn write_codes(daemon: &Talk, path: &str, file: &Path) -> Result<(), CliError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let csv = daemon.post(&format!("{path}/codes?format=csv"), json!({}))?;
    let text = csv.as_str().unwrap_or_default();
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut to| to.write_all(text.as_bytes()).and_then(|()| to.sync_all()));
    written.map_err(|error| CliError::failed("write the codes", &error))
}

fn batches(context: &Context) -> Result<(), CliError> {
    let found = context.daemon()?.get(&format!("{BATCHES}?limit=500"))?;
    if context.terminal.wants_json() {
        context.terminal.json(&found);
        return Ok(());
    }
    let mut table = Table::new(&["code", "name", "plan", "status", "printed", "sold", "price"]);
    for batch in read::items(&found) {
        table.row([
            read::text(batch, "/code"),
            read::text(batch, "/name"),
            read::text(batch, "/plan_code"),
            read::text(batch, "/status"),
            read::text(batch, "/made"),
            read::text(batch, "/made_at_sale"),
            price(batch),
        ]);
    }
    context.terminal.line(table.text());
    Ok(())
}

fn list(context: &Context, batch: String, state: Option<String>) -> Result<(), CliError> {
    let query = [("batch", Some(batch)), ("state", state), ("limit", Some("500".to_owned()))];
    let found = context.daemon()?.get(&with_query(VOUCHERS, &query))?;
    if context.terminal.wants_json() {
        context.terminal.json(&found);
        return Ok(());
    }
    let mut table = Table::new(&["number", "state", "used", "until", "sold"]);
    for voucher in read::items(&found) {
        table.row(["/serial", "/state", "/used_at", "/until", "/sold_at"].map(|at| read::text(voucher, at)));
    }
    context.terminal.line(table.text());
    Ok(())
}

fn look_up(context: &Context, voucher: Option<String>) -> Result<(), CliError> {
    let daemon = context.daemon()?;
    let found = match voucher {
        Some(number) => daemon.get(&format!("{VOUCHERS}/{}", encoded(&number)))?,
        None => {
            // A code is a secret: it is not for an argument list.
            let code = stdin::password(context.terminal, "the voucher's code")?;
            daemon.post(&format!("{VOUCHERS}/lookup"), json!({ "code": code }))?
        }
    };
    if context.terminal.wants_json() {
        context.terminal.json(&found);
        return Ok(());
    }
    let facts = ["serial", "state", "plan_code", "used_at", "until", "service_id", "sold_at", "revoked_at"];
    for name in facts {
        let value = read::text(&found, &format!("/{name}"));
        context.terminal.line(format_args!("{:<12} {value}", name.replace('_', " ")));
    }
    Ok(())
}

fn sell(context: &Context, batch: &str, seller: &str, count: u32) -> Result<(), CliError> {
    let wish = json!({ "batch": batch, "seller": seller, "count": count });
    let sold = context.daemon()?.post("/api/v1/voucher-sales", wish)?;
    if context.terminal.wants_json() {
        context.terminal.json(&sold);
        return Ok(());
    }
    let (price, currency) = (read::text(&sold, "/price"), read::text(&sold, "/currency"));
    let codes = sold.get("codes").map_or(&[][..], read::items);
    for card in codes {
        context.terminal.line(format_args!("{}  {}", read::text(card, "/serial"), read::text(card, "/code")));
    }
    context.terminal.line(format_args!("Take {price} {currency}. The codes are shown this once."));
    Ok(())
}

fn replace(context: &Context, voucher: &str, reason: Option<String>) -> Result<(), CliError> {
    let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let path = format!("{VOUCHERS}/{}/replace", encoded(voucher));
    let replaced = context.daemon()?.post(&path, body)?;
    if context.terminal.wants_json() {
        context.terminal.json(&replaced);
        return Ok(());
    }
    let text = |at| read::text(&replaced, at);
    context.terminal.line(format_args!("{}  {}", text("/serial"), text("/code")));
    context
        .terminal
        .line(format_args!("It replaces {}, which is dead. It is shown this once.", text("/replaces")));
    Ok(())
}

fn revoke(
    context: &Context,
    reference: &str,
    is_batch: bool,
    reason: Option<String>,
) -> Result<(), CliError> {
    let (base, what) = if is_batch { (BATCHES, "batch") } else { (VOUCHERS, "voucher") };
    let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let revoked =
        context.daemon()?.patiently().post(&format!("{base}/{}/revoke", encoded(reference)), body)?;
    if context.terminal.wants_json() {
        context.terminal.json(&revoked);
        return Ok(());
    }
    let name = read::first(&revoked, &["/serial", "/code"]);
    context.terminal.line(format_args!("The {what} {name} was taken back."));
    match read::number(&revoked, "/pending_at_nas") {
        None | Some(0) => {}
        Some(pending) => {
            context.terminal.line(format_args!("{pending} session(s) at other NAS are still to end there."));
        }
    }
    Ok(())
}

fn show_batch(context: &Context, batch: &Value) {
    if context.terminal.wants_json() {
        context.terminal.json(batch);
        return;
    }
    let (code, name) = (read::text(batch, "/code"), read::text(batch, "/name"));
    context.terminal.line(format_args!("{code}: {name}"));
    context.terminal.line(format_args!("  plan       {}", read::text(batch, "/plan_code")));
    context.terminal.line(format_args!("  printed    {}", read::text(batch, "/made")));
    context.terminal.line(format_args!("  price      {}", price(batch)));
    context.terminal.line(format_args!("  use before {}", read::text(batch, "/redeem_by")));
    context.terminal.line(format_args!("  id         {}", read::text(batch, "/id")));
}

fn price(batch: &Value) -> String {
    format!("{} {}", read::text(batch, "/price"), read::text(batch, "/currency"))
}

const BATCHES: &str = "/api/v1/voucher-batches";
const VOUCHERS: &str = "/api/v1/vouchers";
/// Between looks at a batch that is being made: thousands of vouchers each.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);
