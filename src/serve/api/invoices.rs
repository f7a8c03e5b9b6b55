//! Invoices and credit notes over HTTP: read, corrected, never changed.

use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::Once;
use super::edit::{self, form, part, reference};
use super::error::ApiError;
use super::money::{QuoteView, amount, audited};
use super::route::{Access, Route};
use super::shape::Answer;
use crate::billing::browse::{Document, InvoiceFilter};
use crate::billing::correct::Correction;
use crate::domain::ids::InvoiceId;
use crate::domain::invoice::{DocumentKind, InvoiceStatus, Party};
use crate::domain::money::Money;
use crate::domain::role::Permission;
use jiff::Timestamp;

/// The routes of invoices.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (read, write) =
        (Access::Staff(Permission::InvoicesRead), Access::StaffFresh(Permission::InvoicesWrite));
    vec![
        Route::get("/api/v1/invoices", read, "List invoices and credit notes, newest first", list)
            .query(&["customer_id", "status", "kind", "search"])
            .lists::<InvoiceView>(),
        Route::get("/api/v1/invoices/{id}", read, "Read an invoice by id or number", get)
            .answers::<InvoiceView>(200),
        Route::post(
            "/api/v1/invoices/{id}/credit-note",
            write,
            "Take part or all of an invoice back",
            credit,
        )
        .takes::<CreditBody>()
        .answers::<InvoiceView>(201),
        Route::post("/api/v1/invoices/{id}/void", write, "Declare an unpaid invoice void", void)
            .takes::<ReasonBody>()
            .answers::<InvoiceView>(200),
        Route::post(
            "/api/v1/invoices/{id}/write-off",
            Access::StaffFresh(Permission::WalletsAdjust),
            "Give up what is open of an invoice",
            write_off,
        )
        .takes::<ReasonBody>()
        .answers::<InvoiceView>(200),
    ]
}

/// What a credit note takes off.
#[derive(Debug, ToSchema)]
pub struct CreditBody {
    /// With tax; all that is left where nothing is said.
    pub amount: Option<String>,
    /// Why; it is printed on the note.
    pub reason: String,
}

/// Why something is done.
#[derive(Debug, ToSchema)]
pub struct ReasonBody {
    /// In a few words.
    pub reason: String,
}

/// An invoice or a credit note as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvoiceView {
    /// Identity.
    pub id: String,
    /// The same, as some frontends ask for it.
    pub invoice_id: String,
    /// `invoice` or `credit_note`.
    #[schema(value_type = String)]
    pub kind: DocumentKind,
    /// Its number in its series.
    pub invoice_number: Option<String>,
    /// Whose.
    pub customer_id: String,
    /// `draft`, `issued`, `partially_paid`, `paid`, `overdue`, `void`, `written_off`.
    pub status: &'static str,
    /// ISO 4217.
    pub currency: String,
    /// Without tax.
    pub subtotal: String,
    /// Tax.
    pub tax: String,
    /// With tax.
    pub total: String,
    /// The same.
    pub amount: String,
    /// What is owed.
    pub amount_due: String,
    /// What was paid.
    pub amount_paid: String,
    /// What credit notes took off.
    pub amount_credited: String,
    /// What it is for.
    pub description: String,
    /// Its lines and taxes.
    pub quote: QuoteView,
    /// Who it is made out to.
    pub customer: PartyView,
    /// Who makes it out.
    pub seller: PartyView,
    /// First instant that it pays for.
    pub period_start: Option<String>,
    /// First instant after.
    pub period_end: Option<String>,
    /// The invoice that a credit note corrects.
    pub corrects: Option<String>,
    /// A line for people.
    pub note: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When it was made final.
    pub issued_at: Option<String>,
    /// Until when it is to be paid.
    pub due_date: Option<String>,
    /// When nothing was owed any more.
    pub paid_date: Option<String>,
}

/// A name and an address as they were printed.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartyView {
    /// Name.
    pub name: String,
    /// Customer number, or tax number.
    pub number: String,
    /// E-mail address.
    pub email: String,
    /// Telephone number.
    pub phone: String,
    /// Street, city, state, zip, country.
    #[schema(value_type = Object)]
    pub address: crate::domain::subscriber::Address,
}

impl PartyView {
    fn of(party: &Party) -> Self {
        Self {
            name: party.name.clone(),
            number: party.number.clone(),
            email: party.email.clone(),
            phone: party.phone.clone(),
            address: party.address.clone(),
        }
    }
}

impl InvoiceView {
    pub(super) fn of(document: &Document, now: Timestamp) -> Self {
        let (invoice, standing) = (&document.invoice, document.standing.as_ref());
        let total = invoice.quote.total;
        let money = |minor: i64| Money { minor, ..total }.decimal();
        let of = |pick: fn(&crate::domain::invoice::InvoiceStanding) -> i64| money(standing.map_or(0, pick));
        let lines = &invoice.quote.lines;
        Self {
            id: invoice.id.to_string(),
            invoice_id: invoice.id.to_string(),
            kind: invoice.kind,
            invoice_number: invoice.number.clone(),
            customer_id: invoice.subscriber_id.to_string(),
            status: document.status(now).name(),
            currency: total.currency.code().to_owned(),
            subtotal: invoice.quote.net.decimal(),
            tax: invoice.quote.tax.decimal(),
            total: total.decimal(),
            amount: total.decimal(),
            amount_due: of(crate::domain::invoice::InvoiceStanding::owed),
            amount_paid: of(|one| one.paid),
            amount_credited: of(|one| one.credited),
            description: lines.first().map(|line| line.description.clone()).unwrap_or_default(),
            quote: QuoteView::of(&invoice.quote),
            customer: PartyView::of(&invoice.customer),
            seller: PartyView::of(&invoice.seller),
            period_start: invoice.subjects.iter().find_map(|one| one.from).map(|at| at.to_string()),
            period_end: invoice.subjects.iter().find_map(|one| one.until).map(|at| at.to_string()),
            corrects: invoice.corrects.map(|id| id.to_string()),
            note: invoice.note.clone(),
            created_at: invoice.created_at.to_string(),
            issued_at: invoice.issued_at.map(|at| at.to_string()),
            due_date: invoice.due_at.map(|at| at.to_string()),
            paid_date: standing.and_then(|one| one.cleared_at).map(|at| at.to_string()),
        }
    }
}

/// The status of that name.
pub(super) fn status(text: &str) -> Result<InvoiceStatus, &'static str> {
    serde_json::from_value(serde_json::Value::from(text.to_lowercase()))
        .map_err(|_| "must be one of draft, issued, partially_paid, paid, overdue, void, written_off")
}

/// The subscriber that a list is narrowed to.
pub(super) fn customer_filter(call: &Call) -> Result<Option<crate::domain::ids::SubscriberId>, ApiError> {
    let Some(text) = call.query("customer_id") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| ApiError::field("customer_id", "must be a customer's id"))
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let wanted = call.query("status").map(|text| status(&text)).transpose();
    let kind = call.query("kind").map(|text| serde_json::from_value(text.into())).transpose();
    let filter = InvoiceFilter {
        subscriber: customer_filter(&call)?,
        status: wanted.map_err(|fault| ApiError::field("status", fault))?,
        kind: kind.map_err(|_| ApiError::field("kind", "must be invoice or credit_note"))?,
        search: call.query("search"),
    };
    let listed = app.billing.till.invoices(&filter, part(window), call.now).await?;
    Ok(edit::list(listed, window, |document| InvoiceView::of(&document, call.now)))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let document = app.billing.till.document(reference(&call), None).await?;
    Ok(Answer::ok(&InvoiceView::of(&document, call.now)))
}

async fn credit(app: App, call: Call) -> Result<Answer, ApiError> {
    let document = app.billing.till.document(reference(&call), None).await?;
    let total = document.invoice.quote.total;
    let object = call.object()?;
    let asked = match object.get("amount") {
        None | Some(serde_json::Value::Null) => {
            let credited = document.standing.as_ref().map_or(0, |one| one.credited);
            Money { minor: total.minor.saturating_sub(credited), ..total }
        }
        Some(value) => amount(value, total.currency).map_err(|fault| ApiError::field("amount", fault))?,
    };
    correct(&app, &call, document.invoice.id, Correction::Credit(asked), true).await
}

async fn void(app: App, call: Call) -> Result<Answer, ApiError> {
    let document = app.billing.till.document(reference(&call), None).await?;
    correct(&app, &call, document.invoice.id, Correction::Void, false).await
}

async fn write_off(app: App, call: Call) -> Result<Answer, ApiError> {
    let document = app.billing.till.document(reference(&call), None).await?;
    correct(&app, &call, document.invoice.id, Correction::WriteOff, false).await
}

/// Corrects, with an audit entry and the kept answer in the same commit.
async fn correct(
    app: &App,
    call: &Call,
    id: InvoiceId,
    correction: Correction,
    is_new: bool,
) -> Result<Answer, ApiError> {
    form(call)?;
    let reason = call.reason()?.to_owned();
    let once = Once::of(app, call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let deed = match correction {
        Correction::Credit(amount) => ("invoice.credit", serde_json::json!({ "amount": amount.decimal() })),
        Correction::Void => ("invoice.void", serde_json::Value::Null),
        Correction::WriteOff => ("invoice.write_off", serde_json::Value::Null),
    };
    let beside = |unit| {
        let unit = audited(app, call, unit, deed.0, id, deed.1.clone())?;
        once.keep(unit, &Answer::ok(&serde_json::json!({ "invoice_id": id.to_string(), "done": true })))
    };
    let done = app.billing.till.correct(id, correction, &reason, Some(&beside), call.now).await;
    let answer = match done {
        Ok(invoice) => {
            let document = app.billing.till.document(&invoice.id.to_string(), None).await?;
            let view = InvoiceView::of(&document, call.now);
            Ok(if is_new { Answer::created(&view) } else { Answer::ok(&view) })
        }
        Err(error) => Err(error.into()),
    };
    once.or_kept(answer).await
}
