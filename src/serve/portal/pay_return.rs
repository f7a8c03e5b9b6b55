//! `/pay/return` and `/pay/status`: a payer's browser comes back from the gateway, and sees what came of it.
//!
//! A payment's reference is known to its payer and the gateway only; with it comes what was paid and how it
//! stands, and nothing about whom. The one rule: what the browser brings is a hint which payment to ask about.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderName, HeaderValue, LOCATION};
use axum::http::{Response, StatusCode};

use super::Portal;
use super::asked::Asked;
use super::page::{Links, MessagePage, message, our_fault, page};
use super::words as said;
use crate::billing::BillingError;
use crate::domain::money::Money;
use crate::domain::payment::{Payment, PaymentStatus};

pub(super) async fn back(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let payment = match ask(&portal, &asked).await {
        Ok(payment) => payment,
        Err(page) => return page,
    };
    // Of our own record, not of the request.
    let Ok(to) = HeaderValue::from_str(&place(&payment)) else {
        return our_fault(&portal, &asked, &"a reference does not fit a header");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, to);
    response
}

pub(super) async fn status(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let payment = match ask(&portal, &asked).await {
        Ok(payment) => payment,
        Err(page) => return page,
    };
    let place = place(&payment);
    let (look, title, remedy) = words(payment.status);
    let sentence = amounts(&payment);
    // What became of the order is true of money that is still here.
    let own = payment.note.as_deref().filter(|_| payment.status == PaymentStatus::Succeeded);
    let own_note = own.is_some();
    let remedy = own.map_or_else(|| remedy.to_owned(), |note| format!("{remedy} {}.", capital(note)));
    let order = payment.order_id.map(|id| format!("/orders/{id}"));
    let next = match own_note {
        true => Some(("/wallet", "See my wallet")),
        false => next_step(payment.status).zip(order.as_deref()).map(|(label, order)| (order, label)),
    };
    let again = is_open(payment.status).then_some((place.as_str(), "Look again"));
    let links: Vec<(&str, &str)> =
        again.into_iter().chain(next).chain(std::iter::once(("/customer", "To my account"))).collect();
    let page_ = MessagePage {
        shell: portal.shell(),
        look,
        title,
        sentence: &sentence,
        remedy: remedy.trim(),
        password: None,
        links: &links,
    };
    let mut response = page(&asked, StatusCode::OK, &page_);
    if is_open(payment.status)
        && let Ok(refresh) = HeaderValue::from_str(&format!("{LOOK_AGAIN_SECS}; url={place}"))
    {
        response.headers_mut().insert(HeaderName::from_static("refresh"), refresh);
    }
    response
}

/// How much it is about, and what of it is still with us.
fn amounts(payment: &Payment) -> String {
    let came = payment.received.unwrap_or(payment.expected);
    let amount = said::money(&came);
    match payment.status {
        PaymentStatus::Succeeded => format!("We have received {amount}."),
        PaymentStatus::PartiallyRefunded => {
            let back = Money { minor: payment.refunded(), ..came };
            format!("We had received {amount}, and {} went back.", said::money(&back))
        }
        PaymentStatus::Refunded => format!("We had received {amount}, and all of it went back."),
        PaymentStatus::Disputed => format!("We had received {amount}, and your bank took it back."),
        PaymentStatus::Created
        | PaymentStatus::Pending
        | PaymentStatus::Unknown
        | PaymentStatus::Failed
        | PaymentStatus::Expired
        | PaymentStatus::Cancelled => format!("The amount is {amount}."),
    }
}

/// Where a payer goes on, in the words of the link to the order.
const fn next_step(status: PaymentStatus) -> Option<&'static str> {
    match status {
        PaymentStatus::Failed | PaymentStatus::Expired | PaymentStatus::Cancelled => Some("Try again"),
        PaymentStatus::Succeeded => Some("See what you paid for"),
        PaymentStatus::Created
        | PaymentStatus::Pending
        | PaymentStatus::Unknown
        | PaymentStatus::PartiallyRefunded
        | PaymentStatus::Refunded
        | PaymentStatus::Disputed => None,
    }
}

async fn ask(portal: &Portal, asked: &Asked) -> Result<Payment, Response<Body>> {
    let unknown = || {
        let said = ("note", "We do not know this payment", "The address is not one of ours.", "");
        message(portal, asked, StatusCode::NOT_FOUND, said, Links(&[("/customer", "To my account")]))
    };
    let Some(reference) = reference(asked.query.as_deref().unwrap_or_default()) else {
        return Err(unknown());
    };
    match portal.reception.payment_returned(reference, asked.now).await {
        Ok(payment) => Ok(payment),
        Err(BillingError::NotFound { .. }) => Err(unknown()),
        Err(error) => Err(our_fault(portal, asked, &error)),
    }
}

/// The reference in a query, under our own name for it or a gateway's.
fn reference(query: &str) -> Option<&str> {
    let plain = |text: &str| {
        (1..=LONGEST_REFERENCE).contains(&text.len())
            && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    let pairs = || query.split('&').filter_map(|pair| pair.split_once('='));
    let named = |name: &str| pairs().find(|(given, _)| *given == name).map(|(_, value)| value);
    ["payment", "reference", "tx_ref"].into_iter().find_map(named).filter(|text| plain(text))
}

fn place(payment: &Payment) -> String {
    format!("/pay/status?payment={}", payment.reference)
}

const fn is_open(status: PaymentStatus) -> bool {
    matches!(status, PaymentStatus::Created | PaymentStatus::Pending | PaymentStatus::Unknown)
}

/// Look, title and remedy.
const fn words(status: PaymentStatus) -> (&'static str, &'static str, &'static str) {
    match status {
        PaymentStatus::Created | PaymentStatus::Pending | PaymentStatus::Unknown => (
            "note",
            "Not confirmed yet",
            "We keep asking the payment service, and this page looks again by itself. You need not pay twice.",
        ),
        PaymentStatus::Succeeded => ("done", "Paid", ""),
        PaymentStatus::Failed => {
            ("alert", "The payment failed", "Nothing was taken by us. You can try again, or pay another way.")
        }
        PaymentStatus::Expired => (
            "alert",
            "Nothing was paid in time",
            "You can try again. Should the money still come, it goes to your wallet.",
        ),
        PaymentStatus::Cancelled => ("alert", "The payment was cancelled", "You can try again at any time."),
        PaymentStatus::PartiallyRefunded => ("note", "Paid, and partly given back", ""),
        PaymentStatus::Refunded => ("note", "Given back", ""),
        PaymentStatus::Disputed => {
            ("alert", "Taken back by the bank", "Please speak to the people who run this network.")
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Long enough to read the page, short enough to wait for.
const LOOK_AGAIN_SECS: u32 = 4;
/// Ours have 36.
const LONGEST_REFERENCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_found_under_each_gateways_name_and_nothing_else_is_taken() {
        assert_eq!(reference("payment=pay-1&status=successful&tx_ref=pay-2"), Some("pay-1"));
        assert_eq!(reference("trxref=pay-1&reference=pay-1"), Some("pay-1"));
        assert_eq!(reference("status=x&tx_ref=pay-2&transaction_id=9"), Some("pay-2"));
        for wrong in ["", "payment=", "payment=a%0d%0ab", "payment=../x", "x=y"] {
            assert_eq!(reference(wrong), None, "{wrong}");
        }
    }
}
