//! `/signup`, `/confirm`, `/confirm/{secret}`: from a stranger to a subscriber.
//!
//! A signup that waits is found by its device, so that whoever comes back after their phone closed the
//! window goes on where they were. The one rule: a mailed link changes nothing by being opened, since mail
//! filters open links too; its page asks, and the answer counts.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};

use super::Portal;
use super::asked::Asked;
use super::form::{Filled, Form, Input};
use super::page::{
    ConfirmPage, LinkPage, Links, MessagePage, SignupPage, go, message, our_fault, page, told, with_cookies,
};
use super::words::{self, Told};
use crate::base::secret::Secret;
use crate::domain::device::Device;
use crate::domain::plan::Plan;
use crate::domain::signup::{CodeRefusal, SignupStage};
use crate::domain::subscriber::Address;
use crate::domain::text::{Email, Line, Phone, TextError};
use crate::reception::{ConfirmOutcome, Confirmed, SignupError, SignupForm, SignupView, nothing};

/// The signup that this device or browser has still to confirm.
pub(super) async fn waiting(portal: &Portal, asked: &Asked) -> Result<Option<SignupView>, SignupError> {
    // Several people may sign up on one device, or behind one that shares its line; a browser is one person's.
    let keys = asked.browser_key().into_iter().chain(asked.device.as_ref().map(Device::key));
    for key in keys {
        if let Some(found) = portal.reception.signup_of(&key, asked.now).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub(super) async fn form(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let plans = match plans(&portal, &asked).await {
        Ok(plans) => plans,
        Err(page) => return page,
    };
    let query = asked.query.as_deref().unwrap_or_default();
    let filled = Filled::read(query.as_bytes());
    let form = asked.form(&portal, SIGNUP);
    let preselected = Filled::read(format!("plan={}", known(&plans, filled.text("plan"))).as_bytes());
    let inputs = inputs(&plans, &preselected);
    let page_ = SignupPage { shell: portal.shell(), form: Form { inputs, ..form } };
    page(&asked, StatusCode::OK, &page_)
}

pub(super) async fn submit(State(portal): State<Portal>, asked: Asked, body: Body) -> Response<Body> {
    let filled = match asked.filled(&portal, body, SIGNUP).await {
        Ok(filled) => filled,
        Err(page) => return page,
    };
    let plans = match plans(&portal, &asked).await {
        Ok(plans) => plans,
        Err(page) => return page,
    };
    let mut inputs = inputs(&plans, &filled);
    let Some(form) = read(&filled, &mut inputs) else {
        return again(&portal, &asked, StatusCode::UNPROCESSABLE_ENTITY, inputs, CORRECT, None);
    };
    let browser = asked.browser_key();
    let place = asked.place(browser.as_deref());
    match portal.reception.sign_up(form, place, &nothing, &asked.actor, asked.now).await {
        Ok(_) => go("/confirm", asked.browser_cookie()),
        Err(error) => not_signed_up(&portal, &asked, inputs, &error),
    }
}

fn not_signed_up(
    portal: &Portal,
    asked: &Asked,
    mut inputs: Vec<Input>,
    error: &SignupError,
) -> Response<Body> {
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        SignupError::Weak(weak) => {
            blame(&mut inputs, "password", words::weak(*weak));
            again(portal, asked, wrong, inputs, CORRECT, None)
        }
        SignupError::UnknownPlan => {
            blame(&mut inputs, "plan", "This plan is not sold any more. Please choose another.".to_owned());
            again(portal, asked, wrong, inputs, CORRECT, None)
        }
        SignupError::TooMany { wait_secs } => {
            let remedy = format!("Please wait {} and send it again.", words::wait(*wait_secs));
            let status = StatusCode::TOO_MANY_REQUESTS;
            again(portal, asked, status, inputs, "Too many signups from here", Some(remedy))
        }
        SignupError::Closed
        | SignupError::Code(_)
        | SignupError::NotFound
        | SignupError::AccountClosed
        | SignupError::People(_)
        | SignupError::Subscriber(_)
        | SignupError::Catalogue(_)
        | SignupError::Notify(_)
        | SignupError::Read(_)
        | SignupError::Commit(_)
        | SignupError::Entropy(_) => not_possible(portal, asked, error),
    }
}

fn again(
    portal: &Portal,
    asked: &Asked,
    status: StatusCode,
    mut inputs: Vec<Input>,
    summary: &str,
    remedy: Option<String>,
) -> Response<Body> {
    for input in &mut inputs {
        // A password is never sent back.
        if input.kind == "password" {
            input.value.clear();
        }
    }
    let form = Form { inputs, ..asked.form(portal, SIGNUP) }.refused(summary, remedy);
    page(asked, status, &SignupPage { shell: portal.shell(), form })
}

async fn plans(portal: &Portal, asked: &Asked) -> Result<Vec<Plan>, Response<Body>> {
    if !portal.signup_open {
        return Err(not_possible(portal, asked, &SignupError::Closed));
    }
    match portal.reception.public_plans().await {
        Ok(plans) if plans.is_empty() => Err(not_possible(portal, asked, &SignupError::UnknownPlan)),
        Ok(plans) => Ok(plans),
        Err(error) => Err(our_fault(portal, asked, &error)),
    }
}

/// The code, if there is a plan of that code; else the first plan's.
fn known(plans: &[Plan], code: &str) -> String {
    let found = plans.iter().find(|plan| plan.code.as_str() == code).or_else(|| plans.first());
    found.map_or_else(String::new, |plan| plan.code.to_string())
}

fn inputs(plans: &[Plan], filled: &Filled) -> Vec<Input> {
    let choices = plans.iter().map(|plan| {
        let (price, period) = words::price(&plan.terms);
        (plan.code.to_string(), format!("{}: {price} {period}", plan.terms.name).trim_end().to_owned())
    });
    let typed = |name, label, kind, auto| Input {
        value: filled.text(name).chars().take(MOST_SHOWN).collect(),
        ..Input::new(name, label, kind, auto)
    };
    vec![
        Input { choices: choices.collect(), ..typed("plan", "Plan", "", "off") },
        Input { longest: 100, ..typed("first_name", "First name", "text", "given-name") },
        Input { longest: 100, ..typed("last_name", "Last name", "text", "family-name") },
        Input {
            hint: "The code goes there; you log in with it later.",
            longest: 254,
            ..typed("email", "E-mail", "email", "email")
        },
        Input {
            hint: "At least 8 characters.",
            longest: 128,
            value: String::new(),
            ..typed("password", "New password", "password", "new-password")
        },
        Input { required: false, longest: 32, ..typed("phone", "Phone", "tel", "tel") },
        Input { required: false, ..typed("street", "Street", "text", "address-line1") },
        Input { required: false, ..typed("city", "Town", "text", "address-level2") },
    ]
}

/// The form as a use case takes it, or every fault beside its field.
fn read(filled: &Filled, inputs: &mut [Input]) -> Option<SignupForm> {
    let email = checked(inputs, "email", Email::parse(filled.text("email")));
    let first_name = checked(inputs, "first_name", Line::parse(filled.text("first_name")));
    let last_name = checked(inputs, "last_name", Line::parse(filled.text("last_name")));
    let phone = optional(inputs, "phone", filled.text("phone"), Phone::parse);
    let street = optional(inputs, "street", filled.text("street"), Line::parse);
    let city = optional(inputs, "city", filled.text("city"), Line::parse);
    let password = filled.exact("password");
    if password.is_empty() {
        blame(inputs, "password", words::fault(TextError::Empty));
        return None;
    }
    let line = |line: Option<Line>| line.map(String::from).unwrap_or_default();
    Some(SignupForm {
        email: email?,
        first_name: first_name?,
        last_name: last_name?,
        phone: phone?,
        service_address: Address { street: line(street?), city: line(city?), ..Address::default() },
        plan: filled.text("plan").chars().take(MOST_SHOWN).collect(),
        password: Some(Secret::from_text(password)),
    })
}

fn checked<T>(inputs: &mut [Input], name: &str, parsed: Result<T, TextError>) -> Option<T> {
    match parsed {
        Ok(value) => Some(value),
        Err(fault) => {
            blame(inputs, name, words::fault(fault));
            None
        }
    }
}

/// `Some(None)` for what may be missing and is.
fn optional<T>(
    inputs: &mut [Input],
    name: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, TextError>,
) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { checked(inputs, name, parse(text)).map(Some) }
}

fn blame(inputs: &mut [Input], name: &str, fault: String) {
    if let Some(input) = inputs.iter_mut().find(|input| input.name == name) {
        input.fault = Some(fault);
    }
}

pub(super) async fn code(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    match waiting(&portal, &asked).await {
        Ok(Some(signup)) => {
            let signup = portal.reception.let_wait(signup, asked.device.as_ref(), asked.now).await;
            code_page(&portal, &asked, StatusCode::OK, &signup, asked.form(&portal, CONFIRM))
        }
        Ok(None) => nothing_waits(&portal, &asked),
        Err(error) => not_possible(&portal, &asked, &error),
    }
}

pub(super) async fn confirm(State(portal): State<Portal>, asked: Asked, body: Body) -> Response<Body> {
    let filled = match asked.filled(&portal, body, CONFIRM).await {
        Ok(filled) => filled,
        Err(page) => return page,
    };
    let signup = match waiting(&portal, &asked).await {
        Ok(Some(signup)) => portal.reception.let_wait(signup, asked.device.as_ref(), asked.now).await,
        Ok(None) => return nothing_waits(&portal, &asked),
        Err(error) => return not_possible(&portal, &asked, &error),
    };
    if filled.text("do") == "resend" {
        return match portal.reception.resend(signup.id, &nothing, &asked.actor, asked.now).await {
            Ok(_) => go("/confirm", None),
            Err(error) => not_confirmed(&portal, &asked, &signup, &error),
        };
    }
    let code: String = filled.text("code").chars().filter(char::is_ascii_digit).take(MOST_DIGITS).collect();
    let browser = asked.browser_key();
    let place = asked.place(browser.as_deref());
    match portal.reception.confirm(signup.id, &code, place, &asked.actor, asked.now).await {
        Ok(confirmed) => confirmed_page(&portal, &asked, &confirmed),
        Err(error) => not_confirmed(&portal, &asked, &signup, &error),
    }
}

fn code_page(
    portal: &Portal,
    asked: &Asked,
    status: StatusCode,
    signup: &SignupView,
    mut form: Form,
) -> Response<Body> {
    let fault = form.inputs.pop().and_then(|input| input.fault);
    form.inputs.push(Input {
        fault,
        longest: 12,
        ..Input::new("code", "Code from the mail", "text", "one-time-code")
    });
    let resend_wait = match signup.resend_in {
        None => Some("No more codes can be sent for this signup.".to_owned()),
        Some(wait) if wait.is_zero() => None,
        Some(wait) => {
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(0).saturating_add(1);
            Some(format!("You can ask for another code in {}.", words::wait(seconds)))
        }
    };
    let page_ = ConfirmPage {
        shell: portal.shell(),
        form,
        email: words::masked(signup.email.as_str()),
        access_until: signup.access_until.map(|until| words::clock(until, &portal.zone)),
        resend_wait,
    };
    page(asked, status, &page_)
}

fn not_confirmed(portal: &Portal, asked: &Asked, signup: &SignupView, error: &SignupError) -> Response<Body> {
    let (status, summary, remedy) = match error {
        SignupError::Code(CodeRefusal::Wrong { left }) => {
            let tries = if *left == 1 { "1 try is".to_owned() } else { format!("{left} tries are") };
            let remedy = format!("Only the newest mail counts. {tries} left for this code.");
            (StatusCode::UNPROCESSABLE_ENTITY, "That is not the code", remedy)
        }
        SignupError::Code(CodeRefusal::NoTriesLeft) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Too many wrong codes",
            "Ask for another code below.".to_owned(),
        ),
        SignupError::Code(CodeRefusal::Spent) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Too many wrong codes today",
            "Use the link in the mail, or try again tomorrow. If you have an account, log in.".to_owned(),
        ),
        SignupError::Code(CodeRefusal::TooOld) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "This code is too old",
            "Ask for another code below.".to_owned(),
        ),
        SignupError::TooMany { wait_secs } => (
            StatusCode::TOO_MANY_REQUESTS,
            "That was too fast",
            format!("Please wait {} and try again.", words::wait(*wait_secs)),
        ),
        SignupError::Code(CodeRefusal::Lapsed)
        | SignupError::Closed
        | SignupError::UnknownPlan
        | SignupError::Weak(_)
        | SignupError::NotFound
        | SignupError::AccountClosed
        | SignupError::People(_)
        | SignupError::Subscriber(_)
        | SignupError::Catalogue(_)
        | SignupError::Notify(_)
        | SignupError::Read(_)
        | SignupError::Commit(_)
        | SignupError::Entropy(_) => return not_possible(portal, asked, error),
    };
    let fault =
        Input { fault: Some("Type the eight digits of the newest mail.".to_owned()), ..Input::default() };
    let form = Form { inputs: vec![fault], ..asked.form(portal, CONFIRM) };
    code_page(portal, asked, status, signup, form.refused(summary, Some(remedy)))
}

/// What a confirmation came to. A password that was made is shown here and nowhere again, so this is no
/// redirect then.
fn confirmed_page(portal: &Portal, asked: &Asked, confirmed: &Confirmed) -> Response<Body> {
    let cookies = confirmed.visit.as_ref().and_then(|visit| asked.visit_cookie(visit));
    let is_online = matches!(confirmed.outcome, ConfirmOutcome::Online(_));
    if is_online && confirmed.portal_password.is_none() && !confirmed.already_customer {
        return go("/success", cookies);
    }
    let said = outcome(portal, confirmed);
    let awaits_payment = matches!(confirmed.outcome, ConfirmOutcome::AwaitsPayment);
    let links: &[(&str, &str)] = match (&confirmed.visit, awaits_payment) {
        (Some(_), true) => &[("/pay", "Pay now"), ("/customer", "See my account")],
        (Some(_), false) => &[("/status", "See my connection"), ("/customer", "See my account")],
        (None, _) => &[("/login", "Log in")],
    };
    let page_ = MessagePage {
        shell: portal.shell(),
        look: said.look,
        title: &said.title,
        sentence: &said.sentence,
        remedy: &said.remedy,
        password: confirmed.portal_password.as_ref().and_then(Secret::expose_text),
        links,
    };
    with_cookies(page(asked, StatusCode::OK, &page_), cookies)
}

fn outcome(portal: &Portal, confirmed: &Confirmed) -> Told {
    if confirmed.already_customer {
        return Told::note(
            "You have an account already",
            "This address belongs to an account, and it is yours.",
            "Log in with the password of that account; the one you just chose was not taken.",
        );
    }
    match &confirmed.outcome {
        ConfirmOutcome::Online(_) => {
            Told { look: "done", ..Told::note("You are online", "Your account is ready.", "") }
        }
        ConfirmOutcome::Active => Told {
            look: "done",
            ..Told::note(
                "Your account is ready",
                "Your address is confirmed.",
                "Log in on the device that you want online.",
            )
        },
        ConfirmOutcome::Provisioning => Told::note(
            "Almost there",
            "Your account is ready and your service is being switched on.",
            "Refresh the connection page in a minute.",
        ),
        ConfirmOutcome::AwaitsPayment => Told::note(
            "One step left: payment",
            "Your account is ready. Your plan starts when it is paid for.",
            "Pay here, or pay the people who run this network.",
        ),
        ConfirmOutcome::AwaitsApproval => Told::note(
            "One step left: approval",
            "Your account is ready. This plan is approved by the people who run this network first.",
            "They will be in touch. Once they have approved it, log in here.",
        ),
        ConfirmOutcome::NotOnline(why) => words::unconnected(why, &portal.zone),
    }
}

pub(super) async fn link(
    State(portal): State<Portal>,
    Path(secret): Path<String>,
    asked: Asked,
) -> Response<Body> {
    match portal.reception.link(&secret, asked.now).await {
        Ok(Some(signup)) => match signup.stage {
            SignupStage::Waiting => {
                let page_ = LinkPage {
                    shell: portal.shell(),
                    form: asked.form(&portal, LINK),
                    email: words::masked(signup.email.as_str()),
                };
                page(&asked, StatusCode::OK, &page_)
            }
            SignupStage::Confirmed => {
                let said = ("done", "Already confirmed", "This address is confirmed.", "");
                message(&portal, &asked, StatusCode::OK, said, Links(&[("/login", "Log in")]))
            }
            SignupStage::Lapsed => not_possible(&portal, &asked, &SignupError::Code(CodeRefusal::Lapsed)),
        },
        Ok(None) => not_possible(&portal, &asked, &SignupError::NotFound),
        Err(error) => not_possible(&portal, &asked, &error),
    }
}

pub(super) async fn confirm_link(
    State(portal): State<Portal>,
    Path(secret): Path<String>,
    asked: Asked,
    body: Body,
) -> Response<Body> {
    if let Err(page) = asked.filled(&portal, body, LINK).await {
        return page;
    }
    let browser = asked.browser_key();
    let place = asked.place(browser.as_deref());
    match portal.reception.confirm_by_link(&secret, place, &asked.actor, asked.now).await {
        Ok(confirmed) => confirmed_page(&portal, &asked, &confirmed),
        Err(error) => not_possible(&portal, &asked, &error),
    }
}

fn nothing_waits(portal: &Portal, asked: &Asked) -> Response<Body> {
    let said = ("note", "Nothing to confirm", "No signup of this device is waiting for a code.", "");
    let links = Links(&[("/plans", "Choose a plan"), ("/login", "Log in")]);
    message(portal, asked, StatusCode::OK, said, links)
}

/// A no that no field is to blame for.
fn not_possible(portal: &Portal, asked: &Asked, error: &SignupError) -> Response<Body> {
    let said = match error {
        SignupError::Closed => Told::note(
            "No signup here",
            "New accounts are not opened on this page.",
            "Ask the people who run this network for one, then log in.",
        ),
        SignupError::UnknownPlan => Told::note(
            "No plan to choose",
            "No plan can be ordered on this page right now.",
            "Please ask the people who run this network.",
        ),
        SignupError::Code(_) => Told::note(
            "This signup is too old",
            "It was not confirmed in time, so nothing came of it.",
            "Please sign up again.",
        ),
        SignupError::NotFound => Told::note(
            "This link does not count",
            "It was used before, is too old, or is not complete.",
            "Open the newest mail, or sign up again.",
        ),
        SignupError::AccountClosed => Told::note(
            "This account is closed",
            "The address belongs to an account that was closed.",
            "Please ask the people who run this network.",
        ),
        SignupError::TooMany { wait_secs } => {
            let remedy = format!("Please wait {} and try again.", words::wait(*wait_secs));
            Told::note("That was too fast", "There were too many tries.", &remedy)
        }
        SignupError::People(error) if error.is_busy() => {
            Told::note("Very busy", "Many people are signing up right now.", "Please try again in a minute.")
        }
        SignupError::Weak(_)
        | SignupError::People(_)
        | SignupError::Subscriber(_)
        | SignupError::Catalogue(_)
        | SignupError::Notify(_)
        | SignupError::Read(_)
        | SignupError::Commit(_)
        | SignupError::Entropy(_) => return our_fault(portal, asked, error),
    };
    let links = Links(&[("/plans", "See the plans"), ("/login", "Log in")]);
    told(portal, asked, StatusCode::OK, &said, links)
}

const SIGNUP: &str = "signup";
const CONFIRM: &str = "confirm";
const LINK: &str = "link";
const CORRECT: &str = "Please correct this";
/// Of what was typed, when it is shown again.
const MOST_SHOWN: usize = 254;
/// More than a code has, so that a longer number is not taken for one.
const MOST_DIGITS: usize = 12;
