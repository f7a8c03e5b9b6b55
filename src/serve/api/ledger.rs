//! Subscriptions, wallets and the books over HTTP.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::Once;
use super::edit::{self, part};
use super::error::ApiError;
use super::form::Form;
use super::invoices::customer_filter;
use super::money::{amount, audited};
use super::route::{Access, Route};
use super::shape::Answer;
use crate::billing::proof::{DailyClose, Proof};
use crate::billing::wallet::StatementLine;
use crate::domain::ids::SubscriberId;
use crate::domain::ledger::{Account, Posting};
use crate::domain::plan::BillingMode;
use crate::domain::role::Permission;
use crate::domain::subscription::Subscription;

/// The routes of subscriptions, wallets and the books.
#[must_use]
pub fn routes() -> Vec<Route> {
    let ledger = Access::Staff(Permission::LedgerRead);
    let invoices = Access::Staff(Permission::InvoicesRead);
    vec![
        Route::get(
            "/api/v1/subscriptions",
            Access::Staff(Permission::SubscriptionsRead),
            "List how services are paid for",
            subscriptions,
        )
        .query(&["customer_id"])
        .lists::<SubscriptionView>(),
        Route::post(
            "/api/v1/subscriptions/{id}/auto-renew",
            Access::Staff(Permission::SubscriptionsWrite),
            "Whether the next period is bought from the wallet by itself",
            auto_renew,
        )
        .takes::<AutoRenewBody>()
        .answers::<SubscriptionView>(200),
        Route::post(
            "/api/v1/subscriptions/{id}/pause",
            Access::Staff(Permission::SubscriptionsWrite),
            "Pause a service at its owner's wish: its paid time stops and nothing is billed",
            pause,
        )
        .answers::<SubscriptionView>(200),
        Route::post(
            "/api/v1/subscriptions/{id}/unpause",
            Access::Staff(Permission::SubscriptionsWrite),
            "End the pause: what was left of the paid time goes on",
            unpause,
        )
        .answers::<SubscriptionView>(200),
        Route::get("/api/v1/customers/{id}/wallet", invoices, "What a customer has and owes", wallet)
            .answers::<WalletView>(200),
        Route::get("/api/v1/customers/{id}/statement", invoices, "What happened on an account", statement)
            .query(&["before"])
            .answers::<StatementView>(200),
        Route::post(
            "/api/v1/customers/{id}/wallet/adjust",
            Access::StaffFresh(Permission::WalletsAdjust),
            "Correct a wallet, with a reason",
            adjust,
        )
        .takes::<AdjustBody>()
        .answers::<WalletView>(200),
        Route::get("/api/v1/ledger/postings", ledger, "List the ledger's postings, newest first", postings)
            .query(&["account"])
            .lists::<PostingView>(),
        Route::get("/api/v1/ledger/proof", ledger, "Prove that the books are right", prove)
            .answers::<ProofView>(200),
        Route::get("/api/v1/ledger/daily-close", ledger, "A day's turnover, with the proof", close)
            .query(&["date"])
            .answers::<CloseView>(200),
        Route::get(
            "/api/v1/dunning",
            Access::Staff(Permission::LedgerRead),
            "Whether dunning has stopped and asks",
            dunning,
        )
        .answers::<DunningView>(200),
        Route::post(
            "/api/v1/dunning/allow",
            Access::StaffFresh(Permission::BillingRun),
            "Let a run of dunning that asks go on; confirm the time",
            allow_dunning,
        )
        .takes::<AllowBody>()
        .answers::<DunningView>(200),
    ]
}

/// How a service is paid for, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionView {
    /// Identity: the service's.
    pub id: String,
    /// Which service.
    pub service_id: String,
    /// Whose.
    pub customer_id: String,
    /// `prepaid` or `postpaid`.
    #[schema(value_type = String)]
    pub billing_mode: BillingMode,
    /// Whether the next period is bought from the wallet by itself.
    pub auto_renew: bool,
    /// Until when nothing is charged.
    pub trial_end: Option<String>,
    /// The plan that begins with the next period.
    pub pending_plan: Option<String>,
    /// Since when it is paused.
    pub paused_at: Option<String>,
    /// When something is done about it next.
    pub next_billing_at: Option<String>,
    /// Why the last renewal was not made.
    pub last_refusal: Option<String>,
    /// When it was made.
    pub created_at: String,
}

/// Whether to renew.
#[derive(Debug, ToSchema)]
pub struct AutoRenewBody {
    /// Yes or no.
    pub auto_renew: bool,
}

/// A correction of a wallet.
#[derive(Debug, ToSchema)]
pub struct AdjustBody {
    /// Positive gives, negative takes.
    pub amount: String,
    /// Why; it is written into the ledger.
    pub reason: String,
}

/// What a customer has and owes.
#[derive(Debug, Serialize, ToSchema)]
pub struct WalletView {
    /// Whose.
    pub customer_id: String,
    /// ISO 4217.
    pub currency: String,
    /// What they have with us.
    pub balance: String,
    /// What they owe by invoices.
    pub owed: String,
}

/// What happened on an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementView {
    /// ISO 4217.
    pub currency: String,
    /// Newest first.
    pub lines: Vec<StatementLineView>,
    /// Give this as `before` for what came earlier.
    pub next: Option<u64>,
}

/// One line of a statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementLineView {
    /// Place in the ledger.
    pub seq: u64,
    /// When.
    pub at: String,
    /// What kind of business.
    pub kind: &'static str,
    /// What it was.
    pub memo: String,
    /// What it changed; positive is in the customer's favour.
    pub change: String,
    /// What they have, less what they owe, afterwards.
    pub balance: String,
}

/// A posting as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PostingView {
    /// Identity.
    pub id: String,
    /// Place in the ledger.
    pub seq: u64,
    /// When.
    pub at: String,
    /// What kind of business.
    pub kind: &'static str,
    /// What it came of.
    pub source: String,
    /// A line for people.
    pub memo: String,
    /// ISO 4217.
    pub currency: String,
    /// Account, amount (debit positive) and balance afterwards.
    #[schema(value_type = Object)]
    pub lines: Value,
    /// The posting that it undoes.
    pub reverses: Option<String>,
    /// Its hash, which holds the one before.
    pub hash: String,
}

/// The proof that the books are right.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProofView {
    /// Whether they are.
    pub is_right: bool,
    /// Postings looked at.
    pub postings: u64,
    /// Sum of all lines by currency: zero.
    #[schema(value_type = Object)]
    pub sums: Value,
    /// What is wrong.
    pub faults: Vec<String>,
    /// Hash of the last posting.
    pub head: String,
}

/// A day's turnover.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloseView {
    /// Which day, in the site's zone.
    pub date: String,
    /// Postings of the day.
    pub postings: u64,
    /// By account: debits and credits in minor units.
    #[schema(value_type = Object)]
    pub turnover: Value,
    /// The proof of everything.
    pub proof: ProofView,
}

impl SubscriptionView {
    pub(super) fn of(one: &Subscription) -> Self {
        let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
        Self {
            id: one.service_id.to_string(),
            service_id: one.service_id.to_string(),
            customer_id: one.subscriber_id.to_string(),
            billing_mode: one.mode,
            auto_renew: one.auto_renew,
            trial_end: time(one.trial_until),
            pending_plan: one.pending.as_ref().map(|pending| pending.plan_code.to_string()),
            paused_at: time(one.paused_at),
            next_billing_at: time(one.next_due_at),
            last_refusal: one.last_refusal.clone(),
            created_at: one.created_at.to_string(),
        }
    }
}

impl StatementView {
    pub(super) fn of(
        lines: &[StatementLine],
        currency: crate::domain::money::Currency,
        limit: usize,
    ) -> Self {
        let view = |line: &StatementLine| StatementLineView {
            seq: line.posting.seq,
            at: line.posting.at.to_string(),
            kind: line.posting.kind.name(),
            memo: line.posting.memo.clone(),
            change: line.change.decimal(),
            balance: line.balance.decimal(),
        };
        let next = lines.last().filter(|_| lines.len() == limit).map(|line| line.posting.seq);
        Self { currency: currency.code().to_owned(), lines: lines.iter().map(view).collect(), next }
    }
}

impl PostingView {
    fn of(posting: &Posting) -> Self {
        let lines: Vec<Value> = posting
            .lines
            .iter()
            .map(|line| {
                json!({ "account": line.account, "amount_minor": line.amount, "balance_minor": line.balance })
            })
            .collect();
        Self {
            id: posting.id.to_string(),
            seq: posting.seq,
            at: posting.at.to_string(),
            kind: posting.kind.name(),
            source: posting.source.clone(),
            memo: posting.memo.clone(),
            currency: posting.currency.code().to_owned(),
            lines: Value::from(lines),
            reverses: posting.reverses.map(|id| id.to_string()),
            hash: posting.hash.clone(),
        }
    }
}

impl ProofView {
    fn of(proof: &Proof) -> Self {
        let sums = proof.sums.iter().map(|(currency, sum)| (currency.code().to_owned(), json!(sum)));
        Self {
            is_right: proof.is_right(),
            postings: proof.postings,
            sums: Value::Object(sums.collect()),
            faults: proof.faults.clone(),
            head: proof.head.clone(),
        }
    }
}

async fn subscriptions(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let listed = app.billing.till.subscriptions(customer_filter(&call)?, part(window)).await?;
    Ok(edit::list(listed, window, |one| SubscriptionView::of(&one)))
}

async fn auto_renew(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: crate::domain::ids::ServiceId = call.id("subscription")?;
    let object = call.object()?;
    let mut form = Form::new(&object);
    let on = form.required("auto_renew");
    let on: bool = form.finish(on)?;
    let owner =
        app.billing.till.subscription(id).await?.ok_or_else(|| ApiError::not_found("subscription"))?;
    let beside =
        |unit| audited(&app, &call, unit, "subscription.auto_renew", id, json!({ "auto_renew": on }));
    let till = &app.billing.till;
    let done = till.set_auto_renew(id, owner.subscriber_id, on, Some(&beside), call.now).await?;
    Ok(Answer::ok(&SubscriptionView::of(&done)))
}

async fn pause(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: crate::domain::ids::ServiceId = call.id("subscription")?;
    let beside = |unit| audited(&app, &call, unit, "subscription.pause", id, json!({}));
    let done = app.billing.till.pause(id, &call.actor.name, Some(&beside), call.now).await?;
    Ok(Answer::ok(&SubscriptionView::of(&done)))
}

async fn unpause(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: crate::domain::ids::ServiceId = call.id("subscription")?;
    let beside = |unit| audited(&app, &call, unit, "subscription.unpause", id, json!({}));
    let done = app.billing.till.unpause(id, Some(&beside), call.now).await?;
    Ok(Answer::ok(&SubscriptionView::of(&done)))
}

pub(super) async fn wallet_view(app: &App, id: SubscriberId) -> Result<WalletView, ApiError> {
    let balance = app.billing.till.wallet(id).await?;
    Ok(WalletView {
        customer_id: id.to_string(),
        currency: balance.currency.code().to_owned(),
        balance: balance.decimal(),
        owed: app.billing.till.owed(id).await?.decimal(),
    })
}

/// The customer of the path, who must exist.
async fn customer_of(app: &App, call: &Call) -> Result<SubscriberId, ApiError> {
    let id: SubscriberId = call.id("customer")?;
    app.billing.till.must_know(id).await?;
    Ok(id)
}

async fn wallet(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = customer_of(&app, &call).await?;
    Ok(Answer::ok(&wallet_view(&app, id).await?))
}

async fn statement(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = customer_of(&app, &call).await?;
    let before = match call.query("before") {
        Some(text) => Some(text.parse().map_err(|_| ApiError::field("before", "must be a whole number"))?),
        None => None,
    };
    let limit = call.window()?.limit;
    let lines = app.billing.till.statement(id, before, limit).await?;
    Ok(Answer::ok(&StatementView::of(&lines, app.site.currency, limit)))
}

async fn adjust(app: App, call: Call) -> Result<Answer, ApiError> {
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let id = customer_of(&app, &call).await?;
    let object = call.object()?;
    let mut form = Form::new(&object);
    let asked = form.required_with("amount", |value| amount(value, app.site.currency));
    let asked = form.finish(asked)?;
    let reason = call.reason()?.to_owned();
    let key = call
        .header(super::commit::KEY_HEADER)
        .map_or_else(|| app.entropy.uuid_v7(call.now).map(|id| id.to_string()), |key| Ok(key.to_owned()))?;
    let beside = |unit| {
        audited(
            &app,
            &call,
            unit,
            "wallet.adjust",
            id,
            json!({ "amount": asked.decimal(), "reason": reason }),
        )
    };
    let till = &app.billing.till;
    till.adjust(id, asked, (&key, &reason), &call.actor, Some(&beside), call.now).await?;
    Ok(Answer::ok(&wallet_view(&app, id).await?))
}

async fn postings(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let account = match call.query("account") {
        None => None,
        Some(text) => Some(Account::try_from(text).map_err(|fault| ApiError::field("account", fault))?),
    };
    let listed = app.billing.till.postings(account.as_ref(), part(window)).await?;
    Ok(edit::list(listed, window, |posting| PostingView::of(&posting)))
}

/// Whether dunning has stopped.
#[derive(Debug, Serialize, ToSchema)]
pub struct DunningView {
    /// Whether it waits for an answer.
    pub held: bool,
    /// Services that it would lock or end.
    pub services: u32,
    /// What their invoices owe together.
    pub owed: String,
    /// ISO 4217.
    pub currency: String,
    /// Since when.
    pub since: Option<String>,
    /// Until when it was allowed.
    pub allowed_until: Option<String>,
}

/// An answer to dunning.
#[derive(Debug, ToSchema)]
pub struct AllowBody {
    /// Let the run that asks go on.
    pub allow: Option<bool>,
    /// The time by another clock, RFC 3339, where the box's own is not believed.
    pub time: Option<String>,
}

async fn dunning_view(app: &App) -> Result<DunningView, ApiError> {
    let hold = app.billing.till.hold().await?;
    let owed = crate::domain::money::Money {
        minor: hold.as_ref().map_or(0, |hold| hold.owed),
        currency: app.site.currency,
    };
    let allowed = hold.as_ref().and_then(|hold| hold.allowed.as_ref());
    Ok(DunningView {
        held: hold.is_some() && allowed.is_none(),
        services: hold.as_ref().map_or(0, |hold| hold.services),
        owed: owed.decimal(),
        currency: app.site.currency.code().to_owned(),
        since: hold.as_ref().map(|hold| hold.since.to_string()),
        allowed_until: allowed.map(|allowed| allowed.until.to_string()),
    })
}

async fn dunning(app: App, _call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&dunning_view(&app).await?))
}

async fn allow_dunning(app: App, call: Call) -> Result<Answer, ApiError> {
    let object = call.object()?;
    let mut form = Form::new(&object);
    let allow: Option<bool> = form.optional("allow");
    let time = form.optional_with("time", |value| {
        let parsed = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        parsed.ok_or("must be a time with its offset, as 2026-05-01T10:00:00Z")
    });
    form.finish(Some(()))?;
    if let Some(said) = time
        && !app.billing.watch.confirm(said, call.now, app.clock.monotonic())
    {
        return Err(ApiError::field(
            "time",
            "differs from the box's clock by more than an hour; set that right",
        ));
    }
    if allow == Some(true) {
        app.billing.till.allow_dunning(&call.actor.name, call.now).await?;
    }
    Ok(Answer::ok(&dunning_view(&app).await?))
}

async fn prove(app: App, _call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&ProofView::of(&app.billing.till.prove().await?)))
}

async fn close(app: App, call: Call) -> Result<Answer, ApiError> {
    let day = match call.query("date") {
        Some(text) => text.parse().map_err(|_| ApiError::field("date", "must be a day, as 2026-03-31"))?,
        None => call.now.to_zoned(app.site.timezone.clone()).date(),
    };
    let DailyClose { turnover, postings, proof } = app.billing.till.close_day(day).await?;
    let turnover = turnover.into_iter().map(|(account, (debit, credit))| {
        (account.to_string(), json!({ "debit_minor": debit, "credit_minor": credit }))
    });
    Ok(Answer::ok(&CloseView {
        date: day.to_string(),
        postings,
        turnover: Value::Object(turnover.collect()),
        proof: ProofView::of(&proof),
    }))
}
