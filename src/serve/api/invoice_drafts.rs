//! Drafts of invoices over HTTP: written, changed and thrown away by staff, and made final.
//!
//! The one rule: a draft is no invoice. It has no number and no part in the list of invoices until it is made final,
//! and from then on nothing here reaches it.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::{Once, commit_answering};
use super::edit::{self, part};
use super::error::ApiError;
use super::form::{Form, text};
use super::invoices::{InvoiceView, customer_filter};
use super::money::{QuoteView, amount, audited, percent, with_deed};
use super::route::{Access, Route};
use super::shape::Answer;
use super::users::rfc3339;
use crate::billing::BillingError;
use crate::catalogue::audit::Deed;
use crate::domain::ids::{InvoiceId, ServiceId, SubscriberId};
use crate::domain::invoice_draft::{DraftContent, DraftLine, InvoiceDraft, MOST_LINES};
use crate::domain::money::Currency;
use crate::domain::role::Permission;
use crate::domain::tax::{TaxTreatment, percent_ppm};
use crate::domain::text::Line;

/// The routes of drafts.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (read, write) = (Access::Staff(Permission::InvoicesRead), Access::Staff(Permission::InvoicesWrite));
    vec![
        Route::get("/api/v1/invoice-drafts", read, "List drafts of invoices, newest first", list)
            .query(&["customer_id"])
            .lists::<DraftView>(),
        Route::post("/api/v1/invoice-drafts", write, "Draft an invoice", create)
            .takes::<DraftBody>()
            .answers::<DraftView>(201),
        Route::get("/api/v1/invoice-drafts/{id}", read, "Read a draft", get).answers::<DraftView>(200),
        Route::patch(
            "/api/v1/invoice-drafts/{id}",
            write,
            "Change a draft; lines are replaced whole",
            change,
        )
        .takes::<DraftBody>()
        .answers::<DraftView>(200),
        Route::delete("/api/v1/invoice-drafts/{id}", write, "Throw a draft away", discard)
            .answers::<DraftView>(200),
        Route::post(
            "/api/v1/invoice-drafts/{id}/finalise",
            Access::StaffFresh(Permission::InvoicesWrite),
            "Make a draft final: it gets its number and is owed",
            finalise,
        )
        .answers::<InvoiceView>(200),
    ]
}

/// A draft; in a change what is left out stays.
#[derive(Debug, ToSchema)]
pub struct DraftBody {
    /// Whose; cannot be changed.
    pub customer_id: String,
    /// What is billed.
    pub lines: Vec<DraftLineBody>,
    /// The service that it is for: what dunning may lock.
    pub service_id: Option<String>,
    /// Days until it is due; the site's where nothing is said.
    pub due_days: Option<u32>,
    /// A line for people, printed below.
    pub note: Option<String>,
}

/// A line of a draft.
#[derive(Debug, Serialize, ToSchema)]
pub struct DraftLineBody {
    /// What it is.
    pub description: String,
    /// How many; one unless said.
    pub quantity: u32,
    /// What one costs, decimal.
    pub amount: String,
    /// `exclusive` (unless said), `inclusive`, `exempt`.
    #[schema(value_type = String)]
    pub tax_class: TaxTreatment,
    /// Percent; the site's where nothing is said.
    pub tax_rate: Option<String>,
}

/// A draft as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DraftView {
    /// Identity; the invoice has it, too.
    pub id: String,
    /// Whose.
    pub customer_id: String,
    /// Always `draft`.
    pub status: &'static str,
    /// ISO 4217.
    pub currency: String,
    /// What is billed.
    pub lines: Vec<DraftLineBody>,
    /// What it comes to now.
    pub quote: QuoteView,
    /// The service that it is for.
    pub service_id: Option<String>,
    /// Days until it is due.
    pub due_days: Option<u32>,
    /// A line for people.
    pub note: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
}

impl DraftView {
    fn of(app: &App, draft: &InvoiceDraft) -> Result<Self, BillingError> {
        let content = &draft.content;
        let line = |line: &DraftLine| DraftLineBody {
            description: line.text.to_string(),
            quantity: line.quantity,
            amount: line.unit_price.decimal(),
            tax_class: line.treatment,
            tax_rate: line.tax_ppm.map(percent),
        };
        Ok(Self {
            id: draft.id.to_string(),
            customer_id: draft.subscriber_id.to_string(),
            status: "draft",
            currency: app.site.currency.code().to_owned(),
            lines: content.lines.iter().map(line).collect(),
            quote: QuoteView::of(&app.billing.till.draft_quote(content)?),
            service_id: content.service_id.map(|id| id.to_string()),
            due_days: content.due_days,
            note: content.note.as_ref().map(ToString::to_string),
            created_at: rfc3339(draft.created_at),
            updated_at: rfc3339(draft.updated_at),
        })
    }
}

/// What a body says of a draft.
struct Said {
    lines: Option<Vec<DraftLine>>,
    service_id: Option<Option<ServiceId>>,
    due_days: Option<Option<u32>>,
    note: Option<Option<Line>>,
}

impl Said {
    fn read(form: &mut Form<'_>, currency: Currency) -> Self {
        Self {
            lines: form.optional_with("lines", |value| lines(value, currency)),
            service_id: form.change("service_id"),
            due_days: form.change("due_days"),
            note: form.change("note"),
        }
    }

    fn over(&self, held: DraftContent) -> DraftContent {
        DraftContent {
            lines: self.lines.clone().unwrap_or(held.lines),
            service_id: self.service_id.unwrap_or(held.service_id),
            due_days: self.due_days.unwrap_or(held.due_days),
            note: self.note.clone().unwrap_or(held.note),
        }
    }
}

fn lines(value: &Value, currency: Currency) -> Result<Vec<DraftLine>, String> {
    let fault = || format!("must be a list of 1 to {MOST_LINES} lines with description and amount");
    let all = value.as_array().filter(|all| (1..=MOST_LINES).contains(&all.len())).ok_or_else(fault)?;
    let read = |(at, one): (usize, &Value)| {
        let object = one.as_object().ok_or_else(fault)?;
        line(object, currency).map_err(|(field, fault)| format!("line {}: {field} {fault}", at + 1))
    };
    all.iter().enumerate().map(read).collect()
}

fn line(object: &Map<String, Value>, currency: Currency) -> Result<DraftLine, (&'static str, String)> {
    let value = |name: &str| object.get(name).filter(|value| !value.is_null());
    let missing = |field: &'static str| move || (field, "is required".to_owned());
    let said = value("description").ok_or_else(missing("description"))?;
    let said = text(said).map_err(|fault| ("description", fault))?;
    let said = Line::parse(said).map_err(|fault| ("description", fault.to_string()))?;
    let price = value("amount").ok_or_else(missing("amount"))?;
    let unit_price = amount(price, currency).map_err(|fault| ("amount", fault))?;
    let quantity = match value("quantity") {
        None => 1,
        Some(value) => value
            .as_u64()
            .and_then(|many| u32::try_from(many).ok())
            .ok_or_else(|| ("quantity", "must be a whole number from 1".to_owned()))?,
    };
    let treatment = match value("tax_class") {
        None => TaxTreatment::Exclusive,
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| ("tax_class", "must be exclusive, inclusive or exempt".to_owned()))?,
    };
    let tax_ppm = match value("tax_rate") {
        None => None,
        Some(Value::String(rate)) => Some(percent_ppm(rate).map_err(|fault| ("tax_rate", fault.to_owned()))?),
        Some(other) => Some(percent_ppm(&other.to_string()).map_err(|fault| ("tax_rate", fault.to_owned()))?),
    };
    Ok(DraftLine { text: said, quantity, unit_price, treatment, tax_ppm })
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let listed = app.billing.till.drafts(customer_filter(&call)?, part(window)).await?;
    let shown: Result<Vec<DraftView>, BillingError> =
        listed.items.iter().map(|draft| DraftView::of(&app, draft)).collect();
    let listed = crate::catalogue::Listed { items: shown?, total: listed.total, complete: listed.complete };
    Ok(edit::list(listed, window, |view| view))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let draft = app.billing.till.draft(call.id("draft")?).await?;
    Ok(Answer::ok(&DraftView::of(&app, &draft)?))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let object = call.object()?;
    let mut form = Form::new(&object);
    let customer: Option<SubscriberId> = form.required("customer_id");
    if form.value("lines").is_none() {
        form.fault("lines", "is required");
    }
    let said = Said::read(&mut form, app.site.currency);
    let customer = form.finish(customer)?;
    let empty = DraftContent { lines: Vec::new(), service_id: None, due_days: None, note: None };
    let content = said.over(empty);
    let draft = || async {
        let made = app.billing.till.make_draft(customer, &content, &call.actor, call.now).await?;
        let view = DraftView::of(&app, &made.value)?;
        let deed = Deed::made("invoice_draft.create", made.value.id, shown(&view));
        with_deed(&app, &call, made.map(|_| view), deed)
    };
    commit_answering(&app, &call, draft, Answer::created).await
}

async fn change(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: InvoiceId = call.id("draft")?;
    let object = call.object()?;
    let mut form = Form::new(&object);
    if form.value("customer_id").is_some() {
        form.fault("customer_id", "cannot be changed; throw this draft away and make another");
    }
    let said = Said::read(&mut form, app.site.currency);
    form.finish(Some(()))?;
    let draft = || async {
        let made = app.billing.till.change_draft(id, |held| said.over(held), call.now).await?;
        let (before, view) = (DraftView::of(&app, &made.value.0)?, DraftView::of(&app, &made.value.1)?);
        let deed = Deed::changed("invoice_draft.update", id, shown(&before), shown(&view));
        with_deed(&app, &call, made.map(|_| view), deed)
    };
    commit_answering(&app, &call, draft, Answer::ok).await
}

async fn discard(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: InvoiceId = call.id("draft")?;
    let draft = || async {
        let gone = app.billing.till.discard_draft(id).await?;
        let view = DraftView::of(&app, &gone.value)?;
        let deed = Deed::removed("invoice_draft.discard", id, shown(&view));
        with_deed(&app, &call, gone.map(|_| view), deed)
    };
    commit_answering(&app, &call, draft, Answer::ok).await
}

async fn finalise(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: InvoiceId = call.id("draft")?;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let beside = |unit| audited(&app, &call, unit, "invoice_draft.finalise", id, json!({ "invoice_id": id }));
    app.billing.till.finalise_draft(id, Some(&beside), call.now).await?;
    let document = app.billing.till.document(&id.to_string(), None).await?;
    once.keep_after(Answer::ok(&InvoiceView::of(&document, call.now))).await
}

fn shown(view: &DraftView) -> Value {
    serde_json::to_value(view).unwrap_or_default()
}
