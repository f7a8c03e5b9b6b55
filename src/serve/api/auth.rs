//! Logging in and out over HTTP, and the first admin.
//!
//! The login's answer is a superset of what the known frontends read. The one rule: tokens travel in
//! bodies and headers only; the one cookie set names a known device and opens nothing.

use axum::http::header::{HeaderValue, SET_COOKIE};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::commit::commit;
use super::router::cookie as cookie_value;
use super::users::{UserView, name_or_email, permissions, rfc3339};
use super::{Access, Answer, ApiError, App, Body, Call, Caller, Code, Form, Route, commit_answering};
use crate::base::secret::Secret;
use crate::domain::ids::VisitId;
use crate::domain::role::Role;
use crate::domain::staff::Staff;
use crate::domain::text::{Email, Line};
use crate::people::device::cookie_name;
use crate::people::login::{Checked, Credentials};
use crate::people::staff::NewStaff;
use crate::people::token::Made;
use crate::people::visits::Refreshed;

/// The routes of logins.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/auth/login", Access::Public, "Log in with e-mail and password", login)
            .takes::<Login>()
            .answers::<TokenView>(200),
        Route::post("/api/v1/auth/refresh", Access::Public, "Exchange a refresh token", refresh)
            .takes::<Refresh>()
            .answers::<TokenView>(200),
        Route::post("/api/v1/auth/logout", Access::Public, "End the visit", logout)
            .takes::<Refresh>()
            .answers::<LogoutView>(200),
        Route::get("/api/v1/auth/me", Access::SelfStaff, "Who am I", me).answers::<UserView>(200),
        Route::post("/api/v1/auth/change-password", Access::SelfStaff, "Change one's password", password)
            .takes::<PasswordChange>()
            .answers::<UserView>(200),
        Route::post("/api/v1/auth/create-admin", Access::Public, "Claim the box: the first owner", claim)
            .takes::<Claim>()
            .answers::<UserView>(201),
        Route::get("/api/v1/auth/admin-status", Access::Public, "Whether there is an admin", admin_status)
            .answers::<AdminStatus>(200),
    ]
}

/// A login.
#[derive(Debug, ToSchema)]
pub struct Login {
    /// The e-mail address; `username`, `identifier` and `login` mean the same.
    pub email: String,
    /// The password.
    #[schema(value_type = String)]
    pub password: Secret,
    /// The code of the second factor, where it is known already; `mfaCode` means the same.
    #[schema(value_type = Option<String>)]
    pub mfa_code: Option<Secret>,
}

impl Body for Login {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let named = form.first_of(IDENTIFIERS).unwrap_or("email");
        let email = form.required::<String>(named).map(|text| text.trim().to_owned());
        let password = form.required::<String>("password");
        if email.as_ref().is_some_and(|text| text.chars().count() > MAX_IDENTIFIER) {
            form.fault(named, format!("must not be longer than {MAX_IDENTIFIER} characters"));
        }
        let mfa_code = super::mfa::read_code(form, false);
        Some(Self { email: email?, password: Secret::from_text(&password?), mfa_code })
    }
}

/// A refresh token.
#[derive(Debug, ToSchema)]
pub struct Refresh {
    /// The token; `refreshToken` means the same.
    #[schema(value_type = String)]
    pub refresh_token: Option<Secret>,
}

impl Body for Refresh {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let named = form.first_of(&["refresh_token", "refreshToken"]).unwrap_or("refresh_token");
        let token = form.optional::<String>(named);
        Some(Self { refresh_token: token.map(|token| Secret::from_text(&token)) })
    }
}

/// A new password of one's own.
#[derive(Debug, ToSchema)]
pub struct PasswordChange {
    /// The present one.
    #[schema(value_type = String)]
    pub current_password: Secret,
    /// 8 to 128 characters.
    pub new_password: String,
}

impl Body for PasswordChange {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let current = form.required::<String>("current_password");
        let new_password = form.required("new_password");
        Some(Self { current_password: Secret::from_text(&current?), new_password: new_password? })
    }
}

/// The first owner.
#[derive(ToSchema)]
pub struct Claim {
    /// The code that the box shows at its start.
    pub claim: String,
    /// Login.
    #[schema(value_type = String)]
    pub email: Email,
    /// Name.
    #[schema(value_type = Option<String>)]
    pub name: Option<Line>,
    /// 8 to 128 characters.
    pub password: String,
}

impl Body for Claim {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let claim = form.required("claim");
        let email = form.required("email");
        let name_field = form.first_of(&["name", "full_name"]).unwrap_or("name");
        let name = form.optional(name_field);
        let password = form.required("password");
        Some(Self { claim: claim?, email: email?, name, password: password? })
    }
}

/// What a login and a refresh answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// For the next refresh; left out where another tab got it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Always `bearer`.
    pub token_type: &'static str,
    /// Seconds that the access token counts.
    pub expires_in: i64,
    /// When it ends.
    pub expires_at: String,
    /// The visit.
    pub session_id: String,
    /// Who logged in.
    pub user: UserView,
    /// Whether a second factor is still to be given.
    pub mfa_required: bool,
    /// The same under other names.
    pub data: Value,
}

impl TokenView {
    fn of(
        app: &App,
        call: &Call,
        staff: &Staff,
        visit: VisitId,
        access: &Made,
        refresh: Option<&Secret>,
    ) -> Self {
        let user = UserView::of(app, staff);
        let refresh_token = refresh.and_then(|token| token.expose_text()).map(str::to_owned);
        let expires_at = rfc3339(access.expires_at);
        let mut data = json!({
            "user": user, "token": access.text, "accessToken": access.text,
            "expiresAt": expires_at, "tenant": app.site.tenant,
        });
        if let (Some(token), Some(data)) = (&refresh_token, data.as_object_mut()) {
            data.insert("refreshToken".to_owned(), token.clone().into());
        }
        Self {
            access_token: access.text.clone(),
            refresh_token,
            token_type: "bearer",
            expires_in: access.expires_at.duration_since(call.now).as_secs(),
            expires_at,
            session_id: visit.to_string(),
            user,
            mfa_required: false,
            data,
        }
    }
}

/// What a logout answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogoutView {
    /// Always true.
    pub success: bool,
    /// When the visit ended.
    pub revoked_at: String,
}

/// Whether there is an admin.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminStatus {
    /// Whether there is one.
    pub admin_exists: bool,
    /// Whether the box waits to be claimed.
    pub setup_required: bool,
}

async fn login(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: Login = call.json()?;
    let cookie = cookie_name(&body.email);
    let presented = Credentials {
        device: cookie_value(&call.headers, &cookie).map(str::to_owned),
        identifier: body.email,
        password: body.password,
        source: call.source,
    };
    let checked = match app.people.check(&presented, call.now).await {
        Ok(checked) => checked,
        Err(error) => {
            metrics::counter!("staff_logins_total", "outcome" => "refused").increment(1);
            return Err(error.into());
        }
    };
    let code = body.mfa_code.as_ref().and_then(|code| code.expose_text());
    if checked.asks_factor && code.is_none() {
        return Ok(Answer::ok(&super::mfa::asked(&app.people.pending_login(checked))));
    }
    login_answer(&app, &call, checked, code, Some(&cookie)).await
}

/// Begins the visit of somebody whose password was right. The cookie of the device is set where its name is
/// known: the second step of a login knows no address.
pub(super) async fn login_answer(
    app: &App,
    call: &Call,
    checked: Checked,
    code: Option<&str>,
    cookie: Option<&str>,
) -> Result<Answer, ApiError> {
    let begun = commit(app, call, || app.people.begin_visit(checked, code, &call.actor, call.now)).await;
    let outcome = if begun.is_ok() { "accepted" } else { "refused" };
    metrics::counter!("staff_logins_total", "outcome" => outcome).increment(1);
    let begun = begun?;
    let view = TokenView::of(app, call, &begun.staff, begun.visit, &begun.access, Some(&begun.refresh));
    let answer = Answer::ok(&view);
    let cookie = cookie.map_or_else(|| cookie_name(begun.staff.email.as_str()), str::to_owned);
    let set = format!("{cookie}={}; Path=/; Max-Age={DEVICE_AGE_SECS}; HttpOnly; SameSite=Lax", begun.device);
    match HeaderValue::from_str(&set) {
        Ok(set) => Ok(answer.header(SET_COOKIE, set)),
        Err(error) => Err(ApiError::internal(&error)),
    }
}

async fn refresh(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: Refresh = call.json()?;
    let Some(token) = body.refresh_token.as_ref().and_then(|token| token.expose_text()) else {
        return Err(ApiError::field("refresh_token", "is required"));
    };
    let ended = || ApiError::new(Code::AuthenticationRequired, "Your login has ended; please log in again.");
    match commit(&app, &call, || app.people.refresh(token, &call.actor, call.now)).await? {
        Refreshed::Revoked => Err(ended()),
        Refreshed::Goes { staff, visit, access, refresh } => {
            let view = TokenView::of(&app, &call, &staff, visit, &access, refresh.as_ref());
            Ok(Answer::ok(&view))
        }
    }
}

async fn logout(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: Refresh = call.json()?;
    let visit = match &call.caller {
        Caller::Staff(visitor) => Some(visitor.visit_id),
        Caller::Anonymous | Caller::Program(_) | Caller::Customer(_) | Caller::Console { .. } => None,
    };
    let token = body.refresh_token.as_ref().and_then(|token| token.expose_text());
    let ended = commit(&app, &call, || app.people.logout(visit, token, &call.actor, call.now)).await?;
    Ok(Answer::ok(&LogoutView { success: true, revoked_at: rfc3339(ended) }))
}

/// The bare user, and a copy under `data` for clients that unwrap it.
async fn me(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut user = match &call.caller {
        Caller::Staff(visitor) => json!(UserView::of(&app, &app.people.get_staff(visitor.staff_id).await?)),
        Caller::Console { .. } | Caller::Program(_) | Caller::Customer(_) | Caller::Anonymous => json!({
            "id": call.actor.id, "name": call.actor.name, "role": Role::Owner.name(),
            "roles": [Role::Owner.name()], "permissions": permissions(Role::Owner),
        }),
    };
    let copy = user.clone();
    if let Some(user) = user.as_object_mut() {
        user.insert("data".to_owned(), copy);
    }
    Ok(Answer::ok(&user))
}

async fn password(app: App, call: Call) -> Result<Answer, ApiError> {
    let visitor = call.visitor()?;
    let body: PasswordChange = call.json()?;
    let present = body.current_password;
    match app.people.check_own_password(visitor, present, call.source, call.now).await {
        Ok(()) => {}
        // 401 would say that the visit has ended.
        Err(crate::people::PeopleError::WrongCredentials) => {
            return Err(ApiError::field("current_password", "is wrong"));
        }
        Err(error) => return Err(error.into()),
    }
    let verifier = app.people.hash_password(&body.new_password, visitor.email.as_str()).await?;
    let draft = || app.people.change_own_password(visitor.staff_id, &verifier, &call.actor, call.now);
    commit_answering(&app, &call, draft, |staff| Answer::ok(&UserView::of(&app, staff))).await
}

async fn claim(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: Claim = call.json()?;
    // Before the password is worked on: only who has the code may cost us that.
    app.people.check_claim(&body.claim).await?;
    let new = NewStaff {
        verifier: app.people.hash_password(&body.password, body.email.as_str()).await?,
        name: name_or_email(body.name, &body.email)?,
        email: body.email,
        role: Role::Owner,
    };
    let draft = || app.people.claim(&body.claim, &new, &call.actor, call.now);
    commit_answering(&app, &call, draft, |staff| Answer::created(&UserView::of(&app, staff))).await
}

async fn admin_status(app: App, _: Call) -> Result<Answer, ApiError> {
    let exists = app.people.has_staff().await?;
    Ok(Answer::ok(&AdminStatus { admin_exists: exists, setup_required: !exists }))
}

/// The names under which clients send who logs in.
pub(super) const IDENTIFIERS: &[&str] = &[
    "email",
    "username",
    "identifier",
    "login",
    "portalId",
    "portal_id",
    "accountNumber",
    "account_number",
    "partnerCode",
    "partner_code",
];
/// RFC 5321's longest address; bounds what is hashed and remembered.
pub(super) const MAX_IDENTIFIER: usize = 254;
/// A device is forgotten after 180 days without a login.
pub(super) const DEVICE_AGE_SECS: u32 = 180 * 24 * 3600;
