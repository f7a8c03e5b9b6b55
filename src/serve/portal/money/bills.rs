//! `/invoices`, `/invoices/{id}`, `/payments`, `/receipt/{id}`, and both as PDF.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use jiff::Timestamp;

use super::{Asking, Button, Card, Item, Link, MoneyPage, refused, who};
use crate::billing::BillingError;
use crate::billing::browse::Document;
use crate::domain::ids::{InvoiceId, PaymentId, SubscriberId};
use crate::domain::invoice::{DocumentKind, InvoiceStatus};
use crate::domain::money::Money;
use crate::domain::payment::{Method, Payment, PaymentStatus};
use crate::paper::{self, PaperSettings, ReceiptFacts};
use crate::serve::portal::Portal;
use crate::serve::portal::asked::Asked;
use crate::serve::portal::page::{our_fault, page};
use crate::serve::portal::words;

pub(in crate::serve::portal) async fn invoices(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    let all = match portal.reception.billing().invoices_of(owner).await {
        Ok(all) => all,
        Err(error) => return refused(&portal, &asked, &error),
    };
    let items = all.iter().take(MOST_SHOWN).map(|one| invoice_item(&portal, &asked, one)).collect();
    let links = vec![
        Link::quiet("/pay", "Pay"),
        Link::quiet("/payments", "Payments"),
        Link::quiet("/customer", "My account"),
    ];
    listing(&portal, &asked, "Invoices", items, links)
}

fn invoice_item(portal: &Portal, asked: &Asked, one: &Document) -> Item {
    let invoice = &one.invoice;
    let at = invoice.issued_at.unwrap_or(invoice.created_at);
    let owed = one.owed();
    let mut lines = vec![
        format!("{}, {}", words::money(&invoice.quote.total), words::near(at, asked.now, &portal.zone)),
        status(one, asked.now).to_owned(),
    ];
    if owed.minor > 0 && owed.minor != invoice.quote.total.minor {
        lines.push(format!("{} is left to pay", words::money(&owed)));
    }
    Item {
        title: invoice.number.clone().unwrap_or_default(),
        href: Some(format!("/invoices/{}", invoice.id)),
        lines,
    }
}

fn listing(
    portal: &Portal,
    asked: &Asked,
    heading: &str,
    items: Vec<Item>,
    links: Vec<Link>,
) -> Response<Body> {
    let soft = if items.is_empty() { vec!["None yet.".to_owned()] } else { Vec::new() };
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: heading.to_owned(),
        told: None,
        cards: vec![Card { soft, items, ..Card::default() }],
        links,
    };
    page(asked, StatusCode::OK, &page_)
}

fn status(one: &Document, now: Timestamp) -> &'static str {
    if one.invoice.kind == DocumentKind::CreditNote {
        return "Credit note";
    }
    match one.status(now) {
        InvoiceStatus::Draft => "Not final",
        InvoiceStatus::Issued => "To pay",
        InvoiceStatus::PartiallyPaid => "Partly paid",
        InvoiceStatus::Paid => "Paid",
        InvoiceStatus::Overdue => "Overdue",
        InvoiceStatus::Void => "Void: nothing to pay",
        InvoiceStatus::WrittenOff => "Closed",
    }
}

async fn own_invoice(portal: &Portal, owner: SubscriberId, id: &str) -> Result<Document, BillingError> {
    let parsed: InvoiceId = id.parse().map_err(|_| BillingError::not_found("invoice", id))?;
    portal.reception.billing().invoice_of(owner, parsed).await
}

pub(in crate::serve::portal) async fn invoice(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    let one = match own_invoice(&portal, owner, &id).await {
        Ok(one) => one,
        Err(error) => return refused(&portal, &asked, &error),
    };
    let invoice = &one.invoice;
    let (quote, owed) = (&invoice.quote, one.owed());
    let near = |at| words::near(at, asked.now, &portal.zone);
    let mut facts = vec![("Status", status(&one, asked.now).to_owned())];
    facts.extend(invoice.issued_at.map(|at| ("Issued", near(at))));
    facts.extend(invoice.due_at.filter(|_| owed.minor > 0).map(|at| ("Due", near(at))));
    facts.push(("Net", words::money(&quote.net)));
    facts.extend((quote.tax.minor != 0).then(|| ("Tax", words::money(&quote.tax))));
    facts.push(("Total", words::money(&quote.total)));
    facts.extend((one.paid().minor != 0).then(|| ("Paid", words::money(&one.paid()))));
    let pay = Asking::new(&portal, &asked, "/pay").hidden("id", invoice.id.to_string()).with(Button::new(
        "what",
        "invoice",
        format!("Pay {}", words::money(&owed)),
    ));
    let card = Card {
        title: invoice.number.clone().unwrap_or_default(),
        facts,
        items: quote.lines.iter().map(|line| line_item(&line.description, &line.total)).collect(),
        forms: if owed.minor > 0 { vec![pay] } else { Vec::new() },
        links: vec![Link::quiet(format!("/invoices/{}/pdf", invoice.id), "Open as PDF")],
        ..Card::default()
    };
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: if invoice.kind == DocumentKind::CreditNote { "Credit note" } else { "Invoice" }.to_owned(),
        told: None,
        cards: vec![card],
        links: vec![Link::quiet("/invoices", "All invoices"), Link::quiet("/customer", "My account")],
    };
    page(&asked, StatusCode::OK, &page_)
}

fn line_item(what: &str, amount: &Money) -> Item {
    Item { title: what.to_owned(), href: None, lines: vec![words::money(amount)] }
}

pub(in crate::serve::portal) async fn invoice_pdf(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    match own_invoice(&portal, owner, &id).await {
        Ok(one) => {
            let pdf = paper::invoice_pdf(&one.invoice, one.standing.as_ref(), &paper_settings(&portal));
            file(&portal, &asked, pdf, "invoice.pdf")
        }
        Err(error) => refused(&portal, &asked, &error),
    }
}

pub(in crate::serve::portal) async fn payments(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    let all = match portal.reception.billing().payments_of(owner).await {
        Ok(all) => all,
        Err(error) => return refused(&portal, &asked, &error),
    };
    let items = all.iter().take(MOST_SHOWN).map(|one| {
        let amount = one.received.unwrap_or(one.expected);
        let at = one.settled_at.unwrap_or(one.created_at);
        Item {
            title: words::money(&amount),
            href: Some(format!("/receipt/{}", one.id)),
            lines: vec![
                format!("{}, {}", method(one.method), words::near(at, asked.now, &portal.zone)),
                payment_status(one.status).to_owned(),
            ],
        }
    });
    let links = vec![Link::quiet("/invoices", "Invoices"), Link::quiet("/customer", "My account")];
    listing(&portal, &asked, "Payments", items.collect(), links)
}

const fn method(method: Method) -> &'static str {
    match method {
        Method::Card => "Card",
        Method::Transfer => "Bank transfer",
        Method::MobileMoney => "Mobile money",
        Method::Cash => "Cash",
        Method::Check => "Cheque",
        Method::Wallet => "Wallet",
        Method::Other => "Other",
    }
}

const fn payment_status(status: PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::Created | PaymentStatus::Pending => "Waiting for the payment",
        PaymentStatus::Unknown => "Being looked up",
        PaymentStatus::Succeeded => "Received",
        PaymentStatus::Failed => "Did not go through",
        PaymentStatus::Expired => "Not paid in time",
        PaymentStatus::Cancelled => "Cancelled",
        PaymentStatus::PartiallyRefunded => "Received, partly paid back",
        PaymentStatus::Refunded => "Paid back",
        PaymentStatus::Disputed => "Taken back by your bank",
    }
}

async fn own_receipt(
    portal: &Portal,
    owner: SubscriberId,
    id: &str,
) -> Result<(Payment, ReceiptFacts), BillingError> {
    let billing = portal.reception.billing();
    let parsed: PaymentId = id.parse().map_err(|_| BillingError::not_found("payment", id))?;
    let payment = billing.payment_of(owner, parsed).await?;
    let facts = ReceiptFacts {
        seller: billing.settings.seller.clone(),
        payer: billing.payer(owner).await?,
        applied: billing.used_for(&payment).await?,
    };
    Ok((payment, facts))
}

pub(in crate::serve::portal) async fn receipt(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    let (payment, facts) = match own_receipt(&portal, owner, &id).await {
        Ok(found) => found,
        Err(error) => return refused(&portal, &asked, &error),
    };
    let amount = payment.received.unwrap_or(payment.expected);
    let at = payment.settled_at.unwrap_or(payment.created_at);
    let mut shown = vec![
        ("Status", payment_status(payment.status).to_owned()),
        ("When", words::near(at, asked.now, &portal.zone)),
        ("How", method(payment.method).to_owned()),
        ("Reference", payment.reference.clone()),
    ];
    let back = payment.refunded();
    shown.extend((back != 0).then(|| ("Paid back", words::money(&Money { minor: back, ..amount }))));
    let card = Card {
        title: String::new(),
        big: Some(words::money(&amount)),
        facts: shown,
        items: facts.applied.iter().map(|(what, amount)| line_item(what, amount)).collect(),
        links: vec![Link::quiet(format!("/receipt/{}/pdf", payment.id), "Open as PDF")],
        ..Card::default()
    };
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: if payment.status.is_booked() { "Receipt" } else { "Payment" }.to_owned(),
        told: None,
        cards: vec![card],
        links: vec![Link::quiet("/payments", "All payments"), Link::quiet("/customer", "My account")],
    };
    page(&asked, StatusCode::OK, &page_)
}

pub(in crate::serve::portal) async fn receipt_pdf(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    match own_receipt(&portal, owner, &id).await {
        Ok((payment, facts)) => {
            let pdf = paper::receipt_pdf(&payment, &facts, &paper_settings(&portal));
            file(&portal, &asked, pdf, "receipt.pdf")
        }
        Err(error) => refused(&portal, &asked, &error),
    }
}

fn paper_settings(portal: &Portal) -> PaperSettings {
    PaperSettings { zone: portal.zone.clone(), portal: portal.reception.portal().map(str::to_owned) }
}

fn file(
    portal: &Portal,
    asked: &Asked,
    pdf: Result<Vec<u8>, paper::PaperError>,
    name: &'static str,
) -> Response<Body> {
    let pdf = match pdf {
        Ok(pdf) => pdf,
        Err(error) => return our_fault(portal, asked, &error),
    };
    let mut response = Response::new(Body::from(pdf));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/pdf"));
    if let Ok(disposition) = HeaderValue::from_str(&format!("inline; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

/// What fits into a page of 30 KB; all of them are in the API.
const MOST_SHOWN: usize = 60;
