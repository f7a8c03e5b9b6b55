//! `/login`, `/success`, `/logout`.
//!
//! The one rule: the answer to a login leaves only after packets pass, because the phone tests the network
//! on that very navigation.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};

use super::Portal;
use super::asked::Asked;
use super::devices;
use super::form::{Form, Input};
use super::page::{Links, LoginPage, go, message, our_fault, page, told, with_cookies};
use super::words;
use crate::base::secret::Secret;
use crate::domain::refusal::Refusal;
use crate::people::{CustomerCredentials, PeopleError};
use crate::reception::{Arrived, ReceptionError, Unconnected};

pub(super) async fn form(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    std::future::ready(login_page(&portal, &asked, StatusCode::OK, "Log in", "", None)).await
}

/// The form; with what was typed, and what was wrong, when it comes back.
pub(super) fn login_page(
    portal: &Portal,
    asked: &Asked,
    status: StatusCode,
    heading: &'static str,
    login: &str,
    wrong: Option<(&str, String)>,
) -> Response<Body> {
    let inputs = vec![
        Input {
            value: login.chars().take(MOST_LOGIN).collect(),
            hint: "Your e-mail address, customer number or network login.",
            longest: MOST_LOGIN,
            ..Input::new("login", "E-mail or login", "text", "username")
        },
        Input { longest: 128, ..Input::new("password", "Password", "password", "current-password") },
    ];
    let mut form = Form { inputs, ..asked.form(portal, LOGIN) };
    if let Some((summary, remedy)) = wrong {
        form = form.refused(summary, Some(remedy));
    }
    page(asked, status, &LoginPage { shell: portal.shell(), heading, form })
}

pub(super) async fn log_in(State(portal): State<Portal>, asked: Asked, body: Body) -> Response<Body> {
    let filled = match asked.filled(&portal, body, LOGIN).await {
        Ok(filled) => filled,
        Err(page) => return page,
    };
    let login: String = filled.text("login").chars().take(MOST_LOGIN).collect();
    let password = filled.exact("password");
    if login.is_empty() || password.is_empty() {
        count("incomplete");
        let remedy = "Both are needed: your login and your password.".to_owned();
        let wrong = ("Please fill in both fields", remedy);
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return login_page(&portal, &asked, status, "Log in", &login, Some(wrong));
    }
    let presented = CustomerCredentials {
        device: asked.known_device(&login),
        identifier: login.clone(),
        password: Secret::from_text(password),
        source: asked.source,
    };
    let device = asked.device.as_ref();
    match portal.reception.log_in(&presented, device, &asked.actor, asked.now).await {
        Ok(arrived) => arrived_page(&portal, &asked, &login, &arrived).await,
        Err(error) => refused(&portal, &asked, &login, &error),
    }
}

async fn arrived_page(portal: &Portal, asked: &Asked, login: &str, arrived: &Arrived) -> Response<Body> {
    let cookies = asked.arrival_cookies(login, arrived);
    let (outcome, status) = match &arrived.online {
        Ok(_) => ("online", None),
        Err(Unconnected::NotHere) => ("elsewhere", None),
        Err(Unconnected::NoService | Unconnected::Refused(_)) => ("not_entitled", Some(StatusCode::OK)),
        Err(why @ (Unconnected::NotCarriedOut(_) | Unconnected::Store(_))) => {
            tracing::error!(%why, "Somebody logged in and could not be let online");
            ("fault", Some(StatusCode::SERVICE_UNAVAILABLE))
        }
    };
    count(outcome);
    match (&arrived.online, status) {
        (Err(why), Some(_)) if devices::is_full(why) => {
            let page = devices::full(portal, asked, arrived.subscriber.id, why).await;
            with_cookies(page, cookies)
        }
        (Err(why), Some(status)) => {
            let said = words::unconnected(why, &portal.zone);
            let links: &[_] = match why {
                Unconnected::Refused(Refusal::DeviceLimit { .. } | Refusal::Busy) => {
                    &[("/login", "Try again"), ("/customer", "See my account")]
                }
                Unconnected::Refused(refusal) if refusal.money_helps() => {
                    &[("/pay", "Pay now"), ("/customer", "See my account"), ("/login", "Try again")]
                }
                Unconnected::Refused(_)
                | Unconnected::NotHere
                | Unconnected::NoService
                | Unconnected::NotCarriedOut(_)
                | Unconnected::Store(_) => &[("/customer", "See my account"), ("/login", "Try again")],
            };
            with_cookies(told(portal, asked, status, &said, Links(links)), cookies)
        }
        (Ok(_) | Err(_), _) => go("/success", cookies),
    }
}

fn refused(portal: &Portal, asked: &Asked, login: &str, error: &ReceptionError) -> Response<Body> {
    match error {
        ReceptionError::People(PeopleError::WrongCredentials) => {
            count("wrong");
            let remedy = "Check both. Capital letters matter in the password.".to_owned();
            let wrong = ("Login or password is not right", remedy);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            login_page(portal, asked, status, "Log in", login, Some(wrong))
        }
        ReceptionError::People(PeopleError::TooMany { wait_secs }) => {
            count("too_many");
            let remedy = format!("Please wait {} and try again.", words::wait(*wait_secs));
            too_many(portal, asked, login, remedy, *wait_secs)
        }
        ReceptionError::People(error) if error.is_busy() => {
            count("busy");
            too_many(
                portal,
                asked,
                login,
                "Many people are logging in. Please try again in a moment.".to_owned(),
                5,
            )
        }
        ReceptionError::People(_)
        | ReceptionError::NotFound
        | ReceptionError::Subscriber(_)
        | ReceptionError::Catalogue(_)
        | ReceptionError::Read(_)
        | ReceptionError::Commit(_)
        | ReceptionError::Entropy(_) => {
            count("fault");
            our_fault(portal, asked, error)
        }
    }
}

fn too_many(portal: &Portal, asked: &Asked, login: &str, remedy: String, secs: u32) -> Response<Body> {
    let wrong = ("Too many tries", remedy);
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = login_page(portal, asked, status, "Log in", login, Some(wrong));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    response
}

/// Nothing that matters is on it: mini-browsers close themselves here.
pub(super) async fn success(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let online = match &asked.device {
        Some(device) => portal.reception.online(device, asked.now).await,
        None => None,
    };
    let links = Links(&[("/status", "See my connection"), ("/customer", "See my account")]);
    if online.is_some() {
        let said = ("done", "You are online", "You can close this page and use the Internet.", "");
        return message(&portal, &asked, StatusCode::OK, said, links);
    }
    if asked.visitor(&portal).await.is_none() {
        return go("/", None);
    }
    match &asked.device {
        None => {
            let said = words::unconnected(&Unconnected::NotHere, &portal.zone);
            told(&portal, &asked, StatusCode::OK, &said, links)
        }
        Some(_) => go("/status", None),
    }
}

pub(super) async fn log_out(State(portal): State<Portal>, asked: Asked, body: Body) -> Response<Body> {
    if let Err(page) = asked.filled(&portal, body, LOGOUT).await {
        return page;
    }
    if let Some(token) = asked.visit_token()
        && let Err(error) = portal.reception.log_out(token, asked.now).await
    {
        return our_fault(&portal, &asked, &error);
    }
    if let Some(device) = &asked.device
        && let Err(error) = portal.reception.disconnect(device, asked.now).await
    {
        return our_fault(&portal, &asked, &error);
    }
    go("/", asked.no_visit_cookie())
}

fn count(outcome: &'static str) {
    metrics::counter!("portal_logins_total", "outcome" => outcome).increment(1);
}

const LOGIN: &str = "login";
/// The form on every page of somebody who is logged in or online.
pub(super) const LOGOUT: &str = "logout";
/// As long as the longest address and login.
const MOST_LOGIN: usize = 254;
