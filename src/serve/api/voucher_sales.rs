//! Sales over HTTP: vouchers that are sold, agents and their floats, drawers and their shifts.
//!
//! The one rule: whoever has not the right to read all agents sees, sells and closes only as themselves; another's
//! things are not there for them.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::commit::{Once, commit_answering};
use super::edit::{self, part};
use super::form::{Body, Form};
use super::money::amount;
use super::users::rfc3339;
use super::vouchers::{BatchView, CardView};
use super::{Access, Answer, ApiError, App, Call, Caller, Route};
use crate::billing::agent::shift::Count;
use crate::billing::agent::{AgentTerms, AgentView as Seen, FloatLine};
use crate::billing::voucher::sale::{Goods, SaleFilter, SaleMade, SaleWish, Seller};
use crate::catalogue::Window as Part;
use crate::domain::agent::{Deposit, Shift, VoucherSale};
use crate::domain::ids::{ShiftId, StaffId};
use crate::domain::money::Money;
use crate::domain::role::{Permission, Role};

/// The routes of sales, agents and shifts.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (selling, own) = (Access::Staff(Permission::VouchersSell), Access::Staff(Permission::SalesRead));
    let (reading, writing) =
        (Access::Staff(Permission::AgentsRead), Access::StaffFresh(Permission::AgentsWrite));
    vec![
        Route::get("/api/v1/voucher-offers", own, "What can be sold", offers).lists::<BatchView>(),
        Route::get("/api/v1/voucher-sales", own, "List one's own sales, or all", list_sales)
            .query(&["seller", "shift"])
            .lists::<SaleView>(),
        Route::post("/api/v1/voucher-sales", selling, "Sell vouchers", sell)
            .takes::<SaleBody>()
            .answers::<SoldView>(201),
        Route::get("/api/v1/agents", reading, "List agents", list_agents).lists::<AgentView>(),
        Route::get("/api/v1/agents/{id}", own, "Read an agent: oneself, or anyone", get_agent)
            .answers::<AgentView>(200),
        Route::put(
            "/api/v1/agents/{id}",
            writing,
            "Make somebody an agent, or change their terms",
            set_agent,
        )
        .takes::<AgentBody>()
        .answers::<AgentView>(200),
        Route::post(
            "/api/v1/agents/{id}/deposits",
            Access::Staff(Permission::PaymentsWrite),
            "Take cash for an agent's float",
            deposit,
        )
        .takes::<AmountBody>()
        .answers::<DepositView>(201),
        Route::get("/api/v1/agents/{id}/statement", own, "What happened to a float", statement)
            .query(&["before"])
            .lists::<FloatLineView>(),
        Route::get("/api/v1/shifts", own, "List one's own shifts, or all", list_shifts)
            .query(&["staff"])
            .lists::<ShiftView>(),
        Route::post("/api/v1/shifts", selling, "Open a shift", open_shift)
            .takes::<OpeningBody>()
            .answers::<ShiftView>(201),
        Route::post("/api/v1/shifts/{id}/close", selling, "Close a shift by what was counted", close_shift)
            .takes::<CountBody>()
            .answers::<ShiftView>(200),
    ]
}

/// What is sold.
#[derive(Debug, ToSchema)]
pub struct SaleBody {
    /// Of which batch: code or id.
    pub batch: String,
    /// How many new ones; one unless said.
    pub count: Option<u32>,
    /// Or which printed cards, by their numbers in the batch.
    pub numbers: Option<Vec<u32>>,
    /// Where new codes are sent as well, by SMS.
    pub phone: Option<String>,
    /// On whose behalf (id or e-mail): at the console only, which has no account.
    pub seller: Option<String>,
}

/// A sale.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleView {
    /// Identity.
    pub id: String,
    /// By whom.
    pub seller: String,
    /// Of which batch.
    pub batch_id: String,
    /// The vouchers' numbers in it.
    pub numbers: Vec<u32>,
    /// ISO 4217.
    pub currency: String,
    /// What the buyer paid, tax included.
    pub price: String,
    /// The tax in it.
    pub tax: String,
    /// What the seller kept.
    pub commission: String,
    /// What the float or the till was charged.
    pub charged: String,
    /// Whether a float paid, or else the cash is in the seller's till.
    pub from_float: bool,
    /// In which shift.
    pub shift_id: Option<String>,
    /// When.
    pub sold_at: String,
}

/// A sale that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct SoldView {
    /// The sale.
    #[serde(flatten)]
    pub sale: SaleView,
    /// New codes; they are shown this once.
    pub codes: Vec<CardView>,
    /// Whether they are on their way by SMS too.
    pub sent_by_sms: bool,
}

/// An agent's terms.
#[derive(Debug, ToSchema)]
pub struct AgentBody {
    /// What they keep of each price, parts per million: 100000 is 10 %.
    pub commission_ppm: u32,
    /// How far below zero their float may go, decimal text; not at all unless said.
    pub credit_limit: Option<String>,
    /// Whether they may sell; yes unless said.
    pub is_active: Option<bool>,
}

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentView {
    /// The account.
    pub id: String,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// What they keep of each price, parts per million.
    pub commission_ppm: u32,
    /// ISO 4217.
    pub currency: String,
    /// How far below zero their float may go.
    pub credit_limit: String,
    /// What they paid in and did not sell for yet.
    pub float: String,
    /// Whether they may sell.
    pub is_active: bool,
}

/// An amount of cash.
#[derive(Debug, ToSchema)]
pub struct AmountBody {
    /// Decimal text.
    pub amount: String,
}

/// A deposit.
#[derive(Debug, Serialize, ToSchema)]
pub struct DepositView {
    /// Identity.
    pub id: String,
    /// Whose float.
    pub agent: String,
    /// Who took the cash.
    pub cashier: String,
    /// How much.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
    /// When.
    pub at: String,
}

/// One line of a float's statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct FloatLineView {
    /// Its place in the ledger; what `before` takes.
    pub seq: u64,
    /// When.
    pub at: String,
    /// What it was.
    pub memo: String,
    /// ISO 4217.
    pub currency: String,
    /// What it changed.
    pub change: String,
    /// The float afterwards.
    pub float: String,
}

/// What is in a drawer at the start.
#[derive(Debug, ToSchema)]
pub struct OpeningBody {
    /// Decimal text; nothing unless said.
    pub opening: Option<String>,
}

/// What is in a drawer at the end.
#[derive(Debug, ToSchema)]
pub struct CountBody {
    /// Decimal text.
    pub counted: String,
    /// A line to it.
    pub note: Option<String>,
}

/// A shift.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShiftView {
    /// Identity.
    pub id: String,
    /// Whose.
    pub staff_id: String,
    /// Whether it is an agent's own drawer.
    pub is_agent: bool,
    /// ISO 4217.
    pub currency: String,
    /// What was in the drawer at the start.
    pub opening: String,
    /// When it began.
    pub opened_at: String,
    /// When it ended.
    pub closed_at: Option<String>,
    /// What the drawer should have held.
    pub expected: Option<String>,
    /// What was counted.
    pub counted: Option<String>,
    /// Counted less expected: negative is missing.
    pub difference: Option<String>,
    /// What the person wrote to it.
    pub note: Option<String>,
}

impl SaleView {
    fn of(sale: &VoucherSale) -> Self {
        let charged = sale.price.checked_sub(sale.commission).unwrap_or(sale.price);
        Self {
            id: sale.id.to_string(),
            seller: sale.seller.to_string(),
            batch_id: sale.batch_id.to_string(),
            numbers: sale.numbers.clone(),
            currency: sale.price.currency.to_string(),
            price: sale.price.decimal(),
            tax: sale.tax.decimal(),
            commission: sale.commission.decimal(),
            charged: charged.decimal(),
            from_float: sale.from_float,
            shift_id: sale.shift_id.map(|id| id.to_string()),
            sold_at: rfc3339(sale.at),
        }
    }
}

impl SoldView {
    fn of(made: &SaleMade) -> Self {
        Self {
            sale: SaleView::of(&made.sale),
            codes: made.cards.iter().map(CardView::of).collect(),
            sent_by_sms: made.is_sent,
        }
    }
}

impl AgentView {
    fn of(seen: &Seen) -> Self {
        Self {
            id: seen.agent.staff_id.to_string(),
            name: seen.staff.name.to_string(),
            email: seen.staff.email.to_string(),
            commission_ppm: seen.agent.commission_ppm,
            currency: seen.float.currency.to_string(),
            credit_limit: seen.agent.credit_limit.decimal(),
            float: seen.float.decimal(),
            is_active: seen.agent.is_active,
        }
    }
}

impl DepositView {
    fn of(deposit: &Deposit) -> Self {
        Self {
            id: deposit.id.to_string(),
            agent: deposit.agent.to_string(),
            cashier: deposit.cashier.to_string(),
            amount: deposit.amount.decimal(),
            currency: deposit.amount.currency.to_string(),
            at: rfc3339(deposit.at),
        }
    }
}

impl FloatLineView {
    fn of(line: &FloatLine) -> Self {
        Self {
            seq: line.posting.seq,
            at: rfc3339(line.posting.at),
            memo: line.posting.memo.clone(),
            currency: line.change.currency.to_string(),
            change: line.change.decimal(),
            float: line.float.decimal(),
        }
    }
}

impl ShiftView {
    fn of(shift: &Shift) -> Self {
        let closed = shift.closed.as_ref();
        Self {
            id: shift.id.to_string(),
            staff_id: shift.staff_id.to_string(),
            is_agent: shift.is_agent,
            currency: shift.opening.currency.to_string(),
            opening: shift.opening.decimal(),
            opened_at: rfc3339(shift.opened_at),
            closed_at: closed.map(|closed| rfc3339(closed.at)),
            expected: closed.map(|closed| closed.expected.decimal()),
            counted: closed.map(|closed| closed.counted.decimal()),
            difference: closed.map(|closed| closed.difference.decimal()),
            note: closed.and_then(|closed| closed.note.clone()),
        }
    }
}

struct Selling {
    wish: SaleWish,
    seller: Option<String>,
}

impl Body for Selling {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let (batch, count, seller) =
            (form.required("batch"), form.optional("count"), form.optional("seller"));
        let numbers = form.optional_with("numbers", |value| {
            serde_json::from_value::<Vec<u32>>(value.clone())
                .map_err(|_| "must be a list of numbers".to_owned())
        });
        let what = match (numbers, count) {
            (Some(_), Some(_)) => {
                form.fault("count", "is for new ones; leave it out where numbers say which");
                None
            }
            (Some(numbers), None) => Some(Goods::Printed(numbers)),
            (None, count) => Some(Goods::New(count.unwrap_or(1))),
        };
        let phone = form.optional("phone");
        Some(Self { wish: SaleWish { batch: batch?, what: what?, phone }, seller })
    }
}

/// A body with amounts, which need the site's currency to be read.
fn amounts<T>(
    app: &App,
    call: &Call,
    read: impl FnOnce(&mut Form<'_>, &dyn Fn(&Value) -> Result<Money, String>) -> Option<T>,
) -> Result<T, ApiError> {
    let object = call.object()?;
    let mut form = Form::new(&object);
    let currency = app.site.currency;
    let value = read(&mut form, &|value| amount(value, currency));
    form.finish(value)
}

/// Whose things somebody sees: their own, unless they may read all agents; then whom they name.
fn scope(call: &Call, named: Option<StaffId>) -> Result<Option<StaffId>, ApiError> {
    if call.caller.may(Permission::AgentsRead) {
        return Ok(named);
    }
    let own = call.visitor()?.staff_id;
    if named.is_some_and(|named| named != own) {
        return Err(ApiError::not_found("member of staff"));
    }
    Ok(Some(own))
}

/// Who sells or counts: whoever is logged in, or at the console the person who is named.
async fn seller(app: &App, call: &Call, named: Option<&str>) -> Result<Seller, ApiError> {
    match (&call.caller, named) {
        (Caller::Staff(visitor), _) => {
            Ok(Seller { id: visitor.staff_id, is_agent: visitor.role == Role::Agent })
        }
        (Caller::Console { .. }, Some(named)) => {
            let staff = app.reception.agents().person(named).await.map_err(ApiError::from)?;
            Ok(Seller { id: staff.id, is_agent: staff.role == Role::Agent })
        }
        (Caller::Console { .. }, None) => {
            Err(ApiError::field("seller", "is required here: the e-mail address of whoever sells"))
        }
        (Caller::Anonymous | Caller::Program(_) | Caller::Customer(_), _) => {
            Err(ApiError::denied("Selling is done by people with an account of their own."))
        }
    }
}

async fn offers(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let all = Part { offset: 0, limit: MOST_OFFERS };
    let listed = app.reception.vouchers().batches(all).await.map_err(ApiError::from)?;
    let is_offer = |batch: &crate::domain::voucher::VoucherBatch| {
        batch.for_sale && batch.revoked_at.is_none() && batch.redeem_by.is_none_or(|end| call.now < end)
    };
    let offers: Vec<_> = listed.items.iter().filter(|batch| is_offer(batch)).map(BatchView::of).collect();
    let total = offers.len();
    Ok(Answer::list(window.of(offers), total, window))
}

async fn list_sales(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let seller = scope(&call, call.query_as("seller")?)?;
    let shift = match call.query("shift") {
        Some(text) => Some(text.parse::<ShiftId>().map_err(|_| ApiError::field("shift", "must be an id"))?),
        None => None,
    };
    let filter = SaleFilter { seller, shift };
    let listed = app.reception.vouchers().sales(filter, part(window)).await.map_err(ApiError::from)?;
    Ok(edit::list(listed, window, |sale| SaleView::of(&sale)))
}

async fn sell(app: App, call: Call) -> Result<Answer, ApiError> {
    let Selling { wish, seller: named } = call.json()?;
    let seller = seller(&app, &call, named.as_deref()).await?;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let answer = |made: &SaleMade| Answer::created(&SoldView::of(made));
    let beside = |unit, made: &SaleMade| once.keep(unit, &answer(made));
    let made = app.reception.vouchers().sell(seller, &wish, &call.actor, &beside, call.now).await;
    once.or_kept(made.map(|made| answer(&made)).map_err(ApiError::from)).await
}

async fn list_agents(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let listed = app.reception.agents().list(part(window)).await.map_err(ApiError::from)?;
    Ok(edit::list(listed, window, |seen| AgentView::of(&seen)))
}

async fn get_agent(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id("agent")?;
    scope(&call, Some(id))?;
    Ok(Answer::ok(&AgentView::of(&app.reception.agents().get(id).await.map_err(ApiError::from)?)))
}

async fn set_agent(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: StaffId = call.id("agent")?;
    let terms = amounts(&app, &call, |form, amount| {
        let commission_ppm = form.required("commission_ppm");
        let credit_limit = form.optional_with("credit_limit", amount);
        let is_active = form.optional("is_active");
        Some(AgentTerms {
            commission_ppm: commission_ppm?,
            credit_limit: credit_limit.map_or(0, |limit| limit.minor),
            is_active: is_active.unwrap_or(true),
        })
    })?;
    let agents = app.reception.agents();
    let draft = || async { agents.set(&call.actor, id, terms, call.now).await.map_err(ApiError::from) };
    commit_answering(&app, &call, draft, |seen| Answer::ok(&AgentView::of(seen))).await
}

async fn deposit(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: StaffId = call.id("agent")?;
    let (amount, named) = amounts(&app, &call, |form, amount| {
        let (amount, named) = (form.required_with("amount", amount), form.optional::<String>("cashier"));
        Some((amount?, named))
    })?;
    let cashier = seller(&app, &call, named.as_deref()).await?.id;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let answer = |deposit: &Deposit| Answer::created(&DepositView::of(deposit));
    let beside = |unit, deposit: &Deposit| once.keep(unit, &answer(deposit));
    let made = app.reception.agents().deposit(id, (amount, cashier), &call.actor, &beside, call.now).await;
    once.or_kept(made.map(|deposit| answer(&deposit)).map_err(ApiError::from)).await
}

async fn statement(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id("agent")?;
    scope(&call, Some(id))?;
    let window = call.window()?;
    let lines = app.reception.agents().statement(id, call.query_as("before")?, window.limit).await;
    let lines = lines.map_err(ApiError::from)?;
    let total = lines.len();
    Ok(Answer::list(lines.iter().map(FloatLineView::of), total, window))
}

async fn list_shifts(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let of = scope(&call, call.query_as("staff")?)?;
    let listed = app.reception.agents().shifts(of, part(window)).await.map_err(ApiError::from)?;
    Ok(edit::list(listed, window, |shift| ShiftView::of(&shift)))
}

async fn open_shift(app: App, call: Call) -> Result<Answer, ApiError> {
    let (opening, named) = amounts(&app, &call, |form, amount| {
        let (opening, named) = (form.optional_with("opening", amount), form.optional::<String>("seller"));
        Some((opening, named))
    })?;
    let who = seller(&app, &call, named.as_deref()).await?;
    let opening = opening.unwrap_or_else(|| Money::zero(app.site.currency));
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let answer = |shift: &Shift| Answer::created(&ShiftView::of(shift));
    let beside = |unit, shift: &Shift| once.keep(unit, &answer(shift));
    let made = app.reception.agents().open_shift(who, opening, &call.actor, &beside, call.now).await;
    once.or_kept(made.map(|shift| answer(&shift)).map_err(ApiError::from)).await
}

async fn close_shift(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: ShiftId = call.id("shift")?;
    let of = if call.caller.may(Permission::AgentsWrite) { None } else { Some(call.visitor()?.staff_id) };
    let count = amounts(&app, &call, |form, amount| {
        let (counted, note) = (form.required_with("counted", amount), form.optional("note"));
        let note: Option<crate::domain::text::Line> = note;
        Some(Count { counted: counted?, note: note.map(|note| note.to_string()) })
    })?;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let answer = |shift: &Shift| Answer::ok(&ShiftView::of(shift));
    let beside = |unit, shift: &Shift| once.keep(unit, &answer(shift));
    let made = app.reception.agents().close_shift((id, of), &count, &call.actor, &beside, call.now).await;
    once.or_kept(made.map(|shift| answer(&shift)).map_err(ApiError::from)).await
}

/// Batches that offers are looked for in: the newest, more than anybody sells of.
const MOST_OFFERS: usize = 1_000;
