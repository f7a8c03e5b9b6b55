//! Signing up over HTTP: the form, the code, another code.
//!
//! The one rule: the answer to a signup is the same whether the address is known or not.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::commit::Once;
use super::customer_auth::{device, text, with_kept_token};
use super::customers::{AddressView, address, names};
use super::edit::form;
use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Call, Code, Route};
use crate::base::secret::Secret;
use crate::domain::ids::SignupId;
use crate::domain::signup::CodeRefusal;
use crate::domain::subscriber::Address;
use crate::domain::text::{Email, Phone};
use crate::people::PeopleError;
use crate::people::password::WeakPassword;
use crate::reception::{
    ConfirmOutcome, Confirmed, ReceptionError, SignupError, SignupForm, SignupPlace, SignupView,
};

/// The routes of signups.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/customers/signup", Access::Public, "Sign up for a plan", sign_up)
            .takes::<SignupBody>()
            .answers::<SignedUpView>(201)
            .on_portal(),
        Route::post(
            "/api/v1/customers/signup/{id}/confirm",
            Access::Public,
            "Confirm the e-mail address by the code that was sent",
            confirm,
        )
        .takes::<CodeBody>()
        .answers::<ConfirmedView>(200)
        .on_portal(),
        Route::post("/api/v1/customers/signup/{id}/resend", Access::Public, "Send another code", resend)
            .answers::<SignedUpView>(200)
            .on_portal(),
    ]
}

/// What signs up. `name` may stand for both names, and an address may be a text.
#[derive(Debug, ToSchema)]
pub struct SignupBody {
    /// E-mail address; a code is sent there.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Telephone number.
    pub phone: Option<String>,
    /// Which plan: its code or id.
    pub service_plan: String,
    /// Where the service is.
    pub service_address: Option<AddressView>,
    /// The portal password, 8 to 128 characters; made at the confirmation, and shown once, unless given.
    pub password: Option<String>,
}

/// A code.
#[derive(Debug, ToSchema)]
pub struct CodeBody {
    /// The eight digits of the mail.
    pub code: String,
}

/// A signup.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedUpView {
    /// Identity; the customer that comes of it has the same.
    pub id: String,
    /// Null until the address is confirmed.
    pub customer_number: Option<String>,
    /// Null until the address is confirmed.
    pub portal_id: Option<String>,
    /// `pending_confirmation`, `confirmed`, `expired`.
    pub status: &'static str,
    /// What to do next: `confirm_email`, `log_in`, `sign_up`.
    pub next_step: &'static str,
    /// The address that the code went to.
    pub email: String,
    /// The plan's code.
    pub service_plan: String,
    /// Tries left for the code.
    pub tries_left: u32,
    /// Seconds until another code may be asked for; null is never.
    pub resend_in: Option<i64>,
    /// Until when the device is online to read the mail.
    pub access_until: Option<String>,
    /// When the signup lapses.
    pub expires_at: String,
    /// Where to ask how far it is.
    pub provisioning_status_url: String,
}

/// What a confirmation came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfirmedView {
    /// The signup.
    pub id: String,
    /// The customer.
    pub customer_id: String,
    /// The ISP's own number.
    pub customer_number: String,
    /// Eight characters to log in with.
    pub portal_id: String,
    /// Always `confirmed`.
    pub status: &'static str,
    /// Whether the address was a customer's already: then that account is logged in, and no second one made.
    pub already_customer: bool,
    /// `online`, `active`, `provisioning`, `awaits_payment`, `awaits_approval`, `not_online`.
    pub outcome: &'static str,
    /// What to do next: `none`, `connect`, `wait`, `pay`.
    pub next_step: &'static str,
    /// Why the device is not online, where it is not.
    pub reason: Option<String>,
    /// The portal password, where one was made; shown this once.
    pub portal_password: Option<String>,
    /// The service that came of it.
    pub service_id: Option<String>,
    /// For `Authorization: Bearer`.
    pub access_token: Option<String>,
    /// When that ends.
    pub expires_at: Option<String>,
    /// Where to ask how far it is.
    pub provisioning_status_url: String,
}

impl SignedUpView {
    fn of(view: &SignupView) -> Self {
        use crate::domain::signup::SignupStage::{Confirmed, Lapsed, Waiting};
        let (status, next_step) = match view.stage {
            Waiting => ("pending_confirmation", "confirm_email"),
            Confirmed => ("confirmed", "log_in"),
            Lapsed => ("expired", "sign_up"),
        };
        Self {
            id: view.id.to_string(),
            customer_number: None,
            portal_id: None,
            status,
            next_step,
            email: view.email.to_string(),
            service_plan: view.plan.clone(),
            tries_left: view.tries_left,
            resend_in: view.resend_in.map(|wait| wait.as_secs()),
            access_until: view.access_until.map(rfc3339),
            expires_at: rfc3339(view.expires_at),
            provisioning_status_url: status_url(view.id),
        }
    }
}

impl ConfirmedView {
    fn of(id: SignupId, confirmed: &Confirmed) -> Self {
        let (outcome, next_step) = match &confirmed.outcome {
            ConfirmOutcome::Online(_) => ("online", "none"),
            ConfirmOutcome::Active => ("active", "connect"),
            ConfirmOutcome::Provisioning => ("provisioning", "wait"),
            ConfirmOutcome::AwaitsPayment => ("awaits_payment", "pay"),
            ConfirmOutcome::AwaitsApproval => ("awaits_approval", "wait"),
            ConfirmOutcome::NotOnline(_) => ("not_online", "connect"),
        };
        let reason = match &confirmed.outcome {
            ConfirmOutcome::NotOnline(why) => Some(why.to_string()),
            ConfirmOutcome::Online(_)
            | ConfirmOutcome::Active
            | ConfirmOutcome::Provisioning
            | ConfirmOutcome::AwaitsPayment
            | ConfirmOutcome::AwaitsApproval => None,
        };
        let shown = |secret: &Secret| secret.expose_text().map(str::to_owned);
        Self {
            id: id.to_string(),
            customer_id: confirmed.subscriber.to_string(),
            customer_number: confirmed.customer_number.to_string(),
            portal_id: confirmed.portal_id.to_string(),
            status: "confirmed",
            already_customer: confirmed.already_customer,
            outcome,
            next_step,
            reason,
            portal_password: confirmed.portal_password.as_ref().and_then(shown),
            service_id: confirmed.service.map(|id| id.to_string()),
            access_token: confirmed.visit.as_ref().map(|visit| text(visit).to_owned()),
            expires_at: confirmed.visit.as_ref().map(|visit| rfc3339(visit.expires_at)),
            provisioning_status_url: status_url(id),
        }
    }
}

fn status_url(id: SignupId) -> String {
    format!("/api/v1/provisioning/status/{id}")
}

async fn sign_up(app: App, call: Call) -> Result<Answer, ApiError> {
    let wanted = read(&call)?;
    let device = device(&app, &call);
    let place = SignupPlace { device: device.as_ref(), browser: None, source: call.source };
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let answer = |view: &SignupView| Answer::created(&SignedUpView::of(view));
    let beside = |unit, view: &SignupView| once.keep(unit, &answer(view));
    let made = app.reception.sign_up(wanted, place, &beside, &call.actor, call.now).await;
    once.or_kept(made.map(|view| answer(&view)).map_err(Into::into)).await
}

async fn confirm(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: SignupId = call.id("signup")?;
    let mut form = form(&call)?;
    let code = form.required(&["code", "verification_code"], None, |text| Ok::<_, &str>(text.to_owned()));
    let code = form.finish(code)?;
    let device = device(&app, &call);
    let place = SignupPlace { device: device.as_ref(), browser: None, source: call.source };
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return match tries_left(&kept) {
            Some(left) => Err(SignupError::Code(CodeRefusal::Wrong { left }).into()),
            None => with_kept_token(kept, &call),
        };
    }
    // The right code may be given again, and a wrong one is a try: so what is kept is kept after it.
    let answer = match app.reception.confirm(id, &code, place, &call.actor, call.now).await {
        Ok(confirmed) => once.keep_after(Answer::ok(&ConfirmedView::of(id, &confirmed))).await?,
        Err(SignupError::Code(refusal @ CodeRefusal::Wrong { left })) => {
            once.keep_after(wrong_code(left)).await?;
            return Err(SignupError::Code(refusal).into());
        }
        Err(error) => return Err(error.into()),
    };
    with_kept_token(answer, &call)
}

async fn resend(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: SignupId = call.id("signup")?;
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return Ok(kept);
    }
    let answer = |view: &SignupView| Answer::ok(&SignedUpView::of(view));
    let beside = |unit, view: &SignupView| once.keep(unit, &answer(view));
    let made = app.reception.resend(id, &beside, &call.actor, call.now).await;
    once.or_kept(made.map(|view| answer(&view)).map_err(Into::into)).await
}

/// What is kept of a wrong code: a repeat of the request is no other try.
fn wrong_code(left: u32) -> Answer {
    Answer::json(Code::ValidationError.http_status(), &json!({ "tries_left": left }))
}

fn tries_left(kept: &Answer) -> Option<u32> {
    let is_refusal = kept.status() == Code::ValidationError.http_status();
    let left = kept.object().filter(|_| is_refusal)?.get("tries_left")?.as_u64()?;
    u32::try_from(left).ok()
}

fn read(call: &Call) -> Result<SignupForm, ApiError> {
    let mut form = form(call)?;
    let email = form.required(&["email"], None, Email::parse);
    let names = names(&mut form, None);
    let phone = form.nullable(&["phone"], None, Phone::parse);
    let service_address = address(&mut form, &["service_address", "address"], Address::default());
    let plan = form.required(PLAN_NAMES, None, |text| Ok::<_, &str>(text.to_owned()));
    let password = form.nullable(&["password"], None, |text| Ok::<_, &str>(Secret::from_text(text)));
    let read = email.zip(names).zip(plan).map(|((email, (first_name, last_name)), plan)| SignupForm {
        email,
        first_name,
        last_name,
        phone,
        service_address,
        plan,
        password,
    });
    Ok(form.finish(read)?)
}

impl From<SignupError> for ApiError {
    fn from(error: SignupError) -> Self {
        match error {
            SignupError::Closed => Self::rule("Signing up is not offered here; please ask your provider."),
            SignupError::UnknownPlan => {
                Self::field("service_plan", "is no plan that can be signed up for; choose another")
            }
            SignupError::Weak(weak) => weak_password("password", weak),
            SignupError::TooMany { wait_secs } => {
                let message = format!("Too many requests; please wait {wait_secs} seconds.");
                Self::retry_after(Code::RateLimited, message, wait_secs)
            }
            SignupError::Code(refusal) => Self::field("code", code_sentence(refusal)),
            SignupError::NotFound => Self::not_found("signup"),
            SignupError::AccountClosed => {
                Self::rule("The account of this address is closed; please ask your provider.")
            }
            SignupError::People(error) => error.into(),
            SignupError::Subscriber(error) => error.into(),
            SignupError::Catalogue(fault) => fault.into(),
            SignupError::Notify(error) => Self::internal(&error),
            SignupError::Read(error) => error.into(),
            SignupError::Commit(error) => error.into(),
            SignupError::Entropy(error) => error.into(),
        }
    }
}

impl From<ReceptionError> for ApiError {
    fn from(error: ReceptionError) -> Self {
        match error {
            ReceptionError::People(PeopleError::WrongCredentials) => {
                Self::new(Code::WrongCredentials, "Login or password is wrong.")
            }
            ReceptionError::People(error) => error.into(),
            ReceptionError::NotFound => Self::not_found("customer"),
            ReceptionError::Subscriber(error) => error.into(),
            ReceptionError::Catalogue(fault) => fault.into(),
            ReceptionError::Read(error) => error.into(),
            ReceptionError::Commit(error) => error.into(),
            ReceptionError::Entropy(error) => error.into(),
        }
    }
}

/// A field's fault where a password is too easy.
pub(super) fn weak_password(field: &str, weak: WeakPassword) -> ApiError {
    ApiError::field(field, weak.to_string())
}

fn code_sentence(refusal: CodeRefusal) -> String {
    match refusal {
        CodeRefusal::Wrong { left: 0 } => "is wrong; ask for another one".to_owned(),
        CodeRefusal::Wrong { left: 1 } => "is wrong; one try is left".to_owned(),
        CodeRefusal::Wrong { left } => format!("is wrong; {left} tries are left"),
        CodeRefusal::NoTriesLeft => "was tried too often; ask for another one".to_owned(),
        CodeRefusal::Spent => {
            "was tried too often today; use the link in the mail, or try again tomorrow".to_owned()
        }
        CodeRefusal::TooOld => "is too old; ask for another one".to_owned(),
        CodeRefusal::Lapsed => "came too late; please sign up again".to_owned(),
    }
}

/// The names under which frontends send the plan.
const PLAN_NAMES: &[&str] = &["service_plan", "plan_code", "plan_id", "plan"];
