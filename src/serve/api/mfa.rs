//! Second factors over HTTP: set up, confirm, give, recover.
//!
//! A visit that lacks a fresh factor is refused with `mfa_required` (403) and told where to give it; a wrong
//! code within a visit is a field error, since 401 would say that the visit has ended. The one rule: secret
//! and recovery codes are shown once, to the person whose they are.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::auth::{TokenView, login_answer};
use super::users::{UserView, by, rfc3339};
use super::{Access, Answer, ApiError, App, Body, Call, Caller, Code, Form, Route, commit_answering};
use crate::base::secret::Secret;
use crate::domain::ids::StaffId;
use crate::domain::role::Permission;
use crate::people::PeopleError;
use crate::people::factor::SetUp;

/// The routes of second factors.
#[must_use]
pub fn routes() -> Vec<Route> {
    let own = Access::SelfStaff;
    let others = Access::StaffFresh(Permission::UsersWrite);
    vec![
        Route::get("/api/v1/auth/mfa", own, "How one's second factor stands", standing)
            .answers::<FactorView>(200),
        Route::post("/api/v1/auth/mfa/setup", own, "Make a secret for an authenticator app", set_up)
            .takes::<SetUpBody>()
            .answers::<SetUpView>(200),
        Route::post("/api/v1/auth/mfa/confirm", own, "Prove that the app has it", confirm)
            .takes::<CodeBody>()
            .answers::<RecoveryView>(200),
        Route::post("/api/v1/auth/mfa/verify", Access::Public, "Second step of a login", verify)
            .takes::<VerifyBody>()
            .answers::<TokenView>(200),
        Route::post("/api/v1/auth/mfa/step-up", own, "Give the second factor again", step_up)
            .takes::<CodeBody>()
            .answers::<FactorView>(200),
        Route::post("/api/v1/auth/mfa/recovery-codes", own, "New recovery codes", recovery_codes)
            .takes::<CodeBody>()
            .answers::<RecoveryView>(200),
        Route::post("/api/v1/auth/mfa/disable", own, "End one's second factor", disable)
            .takes::<CodeBody>()
            .answers::<UserView>(200),
        Route::delete("/api/v1/users/{id}/mfa", others, "End the second factor of who lost it", reset)
            .answers::<UserView>(200),
    ]
}

/// One's own password, before a secret is shown.
#[derive(Debug, ToSchema)]
pub struct SetUpBody {
    /// The password.
    #[schema(value_type = String)]
    pub current_password: Secret,
}

impl Body for SetUpBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let named = form.first_of(&["current_password", "password"]).unwrap_or("current_password");
        let password = form.required::<String>(named);
        Some(Self { current_password: Secret::from_text(&password?) })
    }
}

/// A code.
#[derive(Debug, ToSchema)]
pub struct CodeBody {
    /// Six digits of the app, or a recovery code; `mfa_code` and `mfaCode` mean the same.
    #[schema(value_type = String)]
    pub code: Secret,
}

impl Body for CodeBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        Some(Self { code: read_code(form, true)? })
    }
}

/// The second step of a login.
#[derive(Debug, ToSchema)]
pub struct VerifyBody {
    /// What the login answered.
    #[schema(value_type = String)]
    pub mfa_token: Secret,
    /// Six digits of the app, or a recovery code.
    #[schema(value_type = String)]
    pub code: Secret,
}

impl Body for VerifyBody {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let named = form.first_of(&["mfa_token", "mfaToken"]).unwrap_or("mfa_token");
        let token = form.required::<String>(named);
        let code = read_code(form, true);
        Some(Self { mfa_token: Secret::from_text(&token?), code: code? })
    }
}

/// A code under whichever name; bounded, so that nothing long is hashed.
pub(super) fn read_code(form: &mut Form<'_>, is_required: bool) -> Option<Secret> {
    let named = form.first_of(&["code", "mfa_code", "mfaCode", "totp_code", "otp"]).unwrap_or("code");
    let text: Option<String> = if is_required { form.required(named) } else { form.optional(named) };
    let text = text?;
    if text.len() > MOST_CODE {
        form.fault(named, "must be the six digits of your app, or a recovery code");
        return None;
    }
    Some(Secret::from_text(&text))
}

/// How a second factor stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactorView {
    /// Whether it is asked.
    pub enrolled: bool,
    /// Since when.
    pub enrolled_at: Option<String>,
    /// Whether the site asks it of all staff.
    pub demanded: bool,
    /// Recovery codes that are left.
    pub recovery_codes_left: usize,
    /// Until when money and secrets may be touched in this visit.
    pub fresh_until: Option<String>,
}

/// What an authenticator app needs; shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetUpView {
    /// The secret, for typing.
    pub secret: String,
    /// The same as a link.
    pub otpauth_uri: String,
    /// The link as a QR code, an SVG image: what an app's camera reads.
    pub qr_svg: String,
}

/// Recovery codes; shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryView {
    /// Each opens once.
    pub recovery_codes: Vec<String>,
    /// Always true.
    pub enrolled: bool,
}

/// What a login answers when the code is still to come: no token of any use, 200, since nothing was wrong.
pub(super) fn asked(token: &Secret) -> Value {
    let token = text(token);
    json!({
        "mfa_required": true, "requires_mfa": true, "mfa_token": token, "mfa_methods": ["totp", "recovery_code"],
        "message": "Send the code of your authenticator app with mfa_token to /api/v1/auth/mfa/verify.",
        "data": { "mfaRequired": true, "mfaToken": token },
    })
}

async fn standing(app: App, call: Call) -> Result<Answer, ApiError> {
    let fresh = match &call.caller {
        Caller::Staff(visitor) => visitor.fresh_until(),
        Caller::Console { .. } | Caller::Program(_) | Caller::Customer(_) | Caller::Anonymous => None,
    };
    view(&app, call.visitor()?.staff_id, fresh).await
}

async fn view(app: &App, id: StaffId, fresh: Option<jiff::Timestamp>) -> Result<Answer, ApiError> {
    let standing = app.people.factor_standing(id).await?;
    Ok(Answer::ok(&FactorView {
        enrolled: standing.since.is_some(),
        enrolled_at: standing.since.map(rfc3339),
        demanded: app.site.demands_second_factor,
        recovery_codes_left: standing.recovery_left,
        fresh_until: fresh.map(rfc3339),
    }))
}

async fn set_up(app: App, call: Call) -> Result<Answer, ApiError> {
    let visitor = call.visitor()?;
    let body: SetUpBody = call.json()?;
    match app.people.check_own_password(visitor, body.current_password, call.source, call.now).await {
        Ok(()) => {}
        Err(PeopleError::WrongCredentials) => return Err(ApiError::field("current_password", "is wrong")),
        Err(error) => return Err(error.into()),
    }
    let draft = || app.people.set_up_factor(visitor, &app.site.name, call.now);
    let render = |made: &SetUp| {
        Answer::ok(&SetUpView {
            secret: text(&made.secret).to_owned(),
            otpauth_uri: text(&made.link).to_owned(),
            qr_svg: crate::paper::qr_image(text(&made.link)).unwrap_or_default(),
        })
    };
    commit_answering(&app, &call, draft, render).await
}

async fn confirm(app: App, call: Call) -> Result<Answer, ApiError> {
    let visitor = call.visitor()?;
    let body: CodeBody = call.json()?;
    let draft = || app.people.confirm_factor(visitor, text(&body.code), &call.actor, call.now);
    let answered = commit_answering(&app, &call, draft, |codes| recovery(codes)).await;
    answered.map_err(as_field)
}

async fn verify(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: VerifyBody = call.json()?;
    let checked = app.people.resume_login(text(&body.mfa_token), call.now)?;
    login_answer(&app, &call, checked, Some(text(&body.code)), None).await
}

async fn step_up(app: App, call: Call) -> Result<Answer, ApiError> {
    let visitor = call.visitor()?;
    let body: CodeBody = call.json()?;
    let draft = || app.people.give_factor_again(visitor, text(&body.code), call.now);
    let fresh = super::commit::commit(&app, &call, draft).await.map_err(as_field)?;
    view(&app, visitor.staff_id, Some(fresh)).await
}

async fn recovery_codes(app: App, call: Call) -> Result<Answer, ApiError> {
    let visitor = call.visitor()?;
    let body: CodeBody = call.json()?;
    let draft = || app.people.renew_recovery_codes(visitor, text(&body.code), &call.actor, call.now);
    commit_answering(&app, &call, draft, |codes| recovery(codes)).await.map_err(as_field)
}

async fn disable(app: App, call: Call) -> Result<Answer, ApiError> {
    let visitor = call.visitor()?;
    let body: CodeBody = call.json()?;
    let draft = || app.people.drop_factor(visitor, text(&body.code), &call.actor, call.now);
    let answered = commit_answering(&app, &call, draft, |staff| Answer::ok(&UserView::of(&app, staff))).await;
    answered.map_err(as_field)
}

async fn reset(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: StaffId = call.id("user")?;
    let by = by(&call)?;
    let draft = || app.people.reset_factor(by, id);
    commit_answering(&app, &call, draft, |staff| Answer::ok(&UserView::of(&app, staff))).await
}

fn recovery(codes: &[String]) -> Answer {
    Answer::ok(&RecoveryView { recovery_codes: codes.to_vec(), enrolled: true })
}

/// Within a visit a wrong code is a wrong field.
fn as_field(error: ApiError) -> ApiError {
    if error.code == Code::WrongCredentials { ApiError::field("code", error.message) } else { error }
}

fn text(secret: &Secret) -> &str {
    secret.expose_text().unwrap_or_default()
}

/// Longest code taken, with spaces and a line.
const MOST_CODE: usize = 40;
