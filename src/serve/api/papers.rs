//! What is printed, over HTTP: invoices, receipts and statements as PDF, or with `?format=html` as a page to print.
//!
//! Staff ask for anybody's, subscribers for their own. The one rule: the numbers are the record's; nothing is
//! worked out on the way to paper.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Access, Answer, ApiError, App, Call, Route};
use crate::billing::browse;
use crate::domain::ids::{InvoiceId, PaymentId, SubscriberId};
use crate::domain::payment::Payment;
use crate::domain::role::Permission;
use crate::paper::{self, Document, PaperError, PaperSettings, ReceiptFacts, Statement, StatementLine};

/// The routes of papers.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (invoices, payments) =
        (Access::Staff(Permission::InvoicesRead), Access::Staff(Permission::PaymentsRead));
    let own = Access::Customer;
    let routes = vec![
        Route::get("/api/v1/invoices/{id}/pdf", invoices, "An invoice on paper", invoice).query(&["format"]),
        Route::get("/api/v1/payments/{id}/receipt", payments, "A receipt on paper", receipt)
            .query(&["format"]),
        Route::get(
            "/api/v1/customers/{id}/statement/pdf",
            invoices,
            "A customer's account on paper",
            statement,
        )
        .query(&["from", "until", "format"]),
        Route::get("/api/v1/customer/invoices/{id}/pdf", own, "One of one's invoices on paper", own_invoice)
            .query(&["format"])
            .on_portal(),
        Route::get("/api/v1/customer/payments/{id}/receipt", own, "One's receipt on paper", own_receipt)
            .query(&["format"])
            .on_portal(),
        Route::get("/api/v1/customer/statement/pdf", own, "One's account on paper", own_statement)
            .query(&["from", "until", "format"])
            .on_portal(),
    ];
    routes
}

async fn invoice(app: App, call: Call) -> Result<Answer, ApiError> {
    let found = app.billing.till.document(&call.id::<String>("invoice")?, None).await?;
    invoice_paper(&app, &call, &found)
}

async fn own_invoice(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id::<InvoiceId>("invoice")?;
    let found = app.billing.invoice_of(call.customer()?.subscriber_id, id).await?;
    invoice_paper(&app, &call, &found)
}

async fn receipt(app: App, call: Call) -> Result<Answer, ApiError> {
    let payment = app.billing.till.payment(&call.id::<String>("payment")?, None).await?;
    receipt_paper(&app, &call, &payment).await
}

async fn own_receipt(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = call.id::<PaymentId>("payment")?;
    let payment = app.billing.payment_of(call.customer()?.subscriber_id, id).await?;
    receipt_paper(&app, &call, &payment).await
}

async fn statement(app: App, call: Call) -> Result<Answer, ApiError> {
    let found = app.catalogue.directory.get(&call.id::<String>("customer")?, call.now).await;
    let id = found.map_err(ApiError::from)?.subscriber.id;
    statement_paper(&app, &call, id).await
}

async fn own_statement(app: App, call: Call) -> Result<Answer, ApiError> {
    statement_paper(&app, &call, call.customer()?.subscriber_id).await
}

fn invoice_paper(app: &App, call: &Call, found: &browse::Document) -> Result<Answer, ApiError> {
    let document = paper::invoice(&found.invoice, found.standing.as_ref(), &paper_settings(app));
    let name = found.invoice.number.clone().unwrap_or_else(|| format!("draft-{}", found.invoice.id));
    answered(call, &document, &name)
}

async fn receipt_paper(app: &App, call: &Call, payment: &Payment) -> Result<Answer, ApiError> {
    let facts = ReceiptFacts {
        seller: app.billing.settings.seller.clone(),
        payer: match payment.subscriber_id {
            Some(id) => app.billing.payer(id).await?,
            None => Default::default(),
        },
        applied: app.billing.used_for(payment).await?,
    };
    let document = paper::receipt(payment, &facts, &paper_settings(app));
    answered(call, &document, &format!("receipt-{}", payment.reference))
}

async fn statement_paper(app: &App, call: &Call, id: SubscriberId) -> Result<Answer, ApiError> {
    let (from, until) = (call.query_as("from")?, call.query_as("until")?);
    let until: Timestamp = until.unwrap_or(call.now);
    let from: Timestamp = from.unwrap_or_else(|| until - SPAN);
    if from >= until {
        return Err(ApiError::field("from", "must be before until"));
    }
    let mut lines: Vec<StatementLine> = Vec::new();
    let mut opening = None;
    for line in app.billing.till.statement(id, None, MOST_LINES).await? {
        let at = line.posting.at;
        if at < from {
            opening = Some(line.balance.minor);
            break;
        }
        if at < until {
            lines.push(StatementLine {
                at,
                what: line.posting.memo,
                change: line.change.minor,
                balance: line.balance.minor,
            });
        }
    }
    lines.reverse();
    let of_first = lines.first().map(|first| first.balance.saturating_sub(first.change));
    let opening = of_first.or(opening).unwrap_or(0);
    let facts = Statement {
        seller: app.billing.settings.seller.clone(),
        customer: app.billing.payer(id).await?,
        currency: app.billing.settings.currency,
        from,
        until,
        opening,
        closing: lines.last().map_or(opening, |last| last.balance),
        lines,
    };
    answered(call, &paper::statement(&facts, &paper_settings(app)), "statement")
}

pub(super) fn paper_settings(app: &App) -> PaperSettings {
    PaperSettings { zone: app.site.timezone.clone(), portal: app.reception.portal().map(str::to_owned) }
}

/// The document in the form that was asked for, under a name for whoever keeps it.
fn answered(call: &Call, document: &Document, name: &str) -> Result<Answer, ApiError> {
    if call.query("format").as_deref() == Some("html") {
        let page = paper::html::document(document).map_err(fault)?;
        return Ok(print_page(page));
    }
    let pdf = paper::pdf(document).map_err(fault)?;
    let safe: String =
        name.chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '-' }).take(80).collect();
    let disposition = HeaderValue::from_str(&format!("inline; filename=\"{safe}.pdf\""));
    let disposition = disposition.map_err(|error| ApiError::internal(&error))?;
    Ok(Answer::bytes("application/pdf", pdf).header(CONTENT_DISPOSITION, disposition))
}

/// A page that a browser prints: its style and nothing else is let in.
pub(super) fn print_page(page: String) -> Answer {
    let hash = STANDARD.encode(Sha256::digest(paper::html::STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'none'"
    );
    let answer = Answer::bytes("text/html; charset=utf-8", page.into_bytes());
    match HeaderValue::from_str(&policy) {
        Ok(policy) => answer.header(CONTENT_SECURITY_POLICY, policy),
        Err(_) => answer,
    }
}

/// Why there is no paper: too much asked for, or ours.
pub(super) fn fault(error: PaperError) -> ApiError {
    match error {
        PaperError::TooMany | PaperError::TooLong => ApiError::rule(error.to_string()),
        PaperError::Font | PaperError::Page | PaperError::Template => ApiError::internal(&error),
    }
}

/// A statement goes back this far where nobody says: a year.
const SPAN: jiff::SignedDuration = jiff::SignedDuration::from_hours(366 * 24);
/// Lines of one statement: thirty pages.
const MOST_LINES: usize = 1_000;
