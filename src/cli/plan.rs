//! `plan`: what is sold.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::error::CliError;
use super::table::Table;
use super::talk::{encoded, with_query};
use super::{Context, human, read};

/// Plans: what is sold.
#[derive(Debug, Subcommand)]
pub(super) enum Plan {
    /// List the plans
    List {
        /// Only those whose code or name contains this
        #[arg(long)]
        search: Option<String>,
    },
    /// Make a plan
    Create(Box<Create>),
    /// Show a plan
    Show {
        /// Its code or id
        plan: String,
    },
}

/// A plan to make.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// A unique code: letters, digits, '-', '_', '.'
    code: String,
    /// The name on pages and bills
    #[arg(long)]
    name: String,
    /// The price of a month, as 17500.00
    #[arg(long)]
    price: String,
    /// Toward the subscriber, in the unit
    #[arg(long, value_name = "SPEED")]
    down: String,
    /// From the subscriber, in the unit
    #[arg(long, value_name = "SPEED")]
    up: String,
    /// The unit of both speeds: kbps, mbps or gbps
    #[arg(long, default_value = "mbps")]
    unit: String,
    /// Gigabytes (10^9 octets) a period, both directions together; unlimited when left out
    #[arg(long, value_name = "GB")]
    data: Option<String>,
    /// How many days one payment lasts; until ended when left out
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// Sessions at a time
    #[arg(long, value_name = "COUNT")]
    devices: Option<u32>,
    /// Minutes online, once a day, for who signs up at the portal, to read the mail with the code
    #[arg(long, value_name = "MINUTES")]
    confirmation_minutes: Option<u32>,
    /// Show it to the public
    #[arg(long)]
    public: bool,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
}

impl Plan {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List { search } => list(context, search),
            Self::Create(create) => {
                let made = context.daemon()?.post(PATH, create.body())?;
                show(context, &made);
                Ok(())
            }
            Self::Show { plan } => {
                show(context, &context.daemon()?.get(&format!("{PATH}/{}", encoded(&plan)))?);
                Ok(())
            }
        }
    }
}

impl Create {
    fn body(self) -> Value {
        let mut body = Map::new();
        let texts = [
            ("plan_code", Some(self.code)),
            ("name", Some(self.name)),
            ("monthly_price", Some(self.price)),
            ("download_speed", Some(self.down)),
            ("upload_speed", Some(self.up)),
            ("bandwidth_unit", Some(self.unit)),
            ("data_allowance", self.data),
            ("description", self.description),
        ];
        body.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
        let numbers = [
            ("validity_days", self.days),
            ("device_limit", self.devices),
            ("confirmation_access_minutes", self.confirmation_minutes),
        ];
        body.extend(numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.into()))));
        body.insert("service_type".to_owned(), "internet".into());
        body.insert("is_public".to_owned(), self.public.into());
        body.into()
    }
}

fn list(context: &Context, search: Option<String>) -> Result<(), CliError> {
    let path = with_query(PATH, &[("search", search), ("limit", Some("500".to_owned()))]);
    let found = context.daemon()?.get(&path)?;
    if context.terminal.wants_json() {
        context.terminal.json(&found);
        return Ok(());
    }
    let mut table = Table::new(&["code", "name", "down", "up", "price", "data", "active", "version"]);
    for plan in read::items(&found) {
        table.row([
            read::text(plan, "/plan_code"),
            read::text(plan, "/name"),
            rate(plan, "/download_bps"),
            rate(plan, "/upload_bps"),
            price(plan),
            allowance(plan),
            read::text(plan, "/is_active"),
            read::text(plan, "/version"),
        ]);
    }
    context.terminal.line(table.text());
    Ok(())
}

fn show(context: &Context, plan: &Value) {
    if context.terminal.wants_json() {
        context.terminal.json(plan);
        return;
    }
    let (code, name) = (read::text(plan, "/plan_code"), read::text(plan, "/name"));
    context.terminal.line(format_args!("{code}: {name} (version {})", read::text(plan, "/version")));
    let speeds = format!("{} down, {} up", rate(plan, "/download_bps"), rate(plan, "/upload_bps"));
    context.terminal.line(format_args!("  speeds     {speeds}"));
    context.terminal.line(format_args!("  price      {} a month", price(plan)));
    context.terminal.line(format_args!("  data       {}", allowance(plan)));
    context.terminal.line(format_args!("  validity   {}", read::text(plan, "/validity")));
    context.terminal.line(format_args!("  devices    {}", read::text(plan, "/device_limit")));
    let (active, public) = (read::text(plan, "/is_active"), read::text(plan, "/is_public"));
    context.terminal.line(format_args!("  active     {active}, public {public}"));
    context.terminal.line(format_args!("  id         {}", read::text(plan, "/id")));
}

fn rate(plan: &Value, pointer: &str) -> String {
    read::number(plan, pointer).map_or_else(|| "-".to_owned(), human::rate)
}

fn price(plan: &Value) -> String {
    format!("{} {}", read::text(plan, "/monthly_price"), read::text(plan, "/currency"))
}

fn allowance(plan: &Value) -> String {
    read::number(plan, "/data_allowance_octets").map_or_else(|| "unlimited".to_owned(), human::octets)
}

const PATH: &str = "/api/v1/service-plans";
