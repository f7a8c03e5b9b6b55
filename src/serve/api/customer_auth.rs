//! Subscribers logging in and out over HTTP.
//!
//! The answer is the superset that the known frontends read, and the token goes out as a cookie too, since
//! their page guards look for one. The one rule: a cookie alone never changes anything for another site's page.

use axum::http::header::{HeaderValue, SET_COOKIE};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::auth::{DEVICE_AGE_SECS, Login, LogoutView};
use super::router::{CUSTOMER_COOKIE, bearer, cookie, is_same_origin};
use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Call, Route};
use crate::domain::device::Device;
use crate::domain::subscriber::Subscriber;
use crate::people::device::cookie_name;
use crate::people::{BegunCustomerVisit, CustomerCredentials};
use crate::reception::Arrived;

/// The routes of subscribers' logins.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/auth/customer/login", Access::Public, "Log in as a subscriber", login)
            .takes::<Login>()
            .answers::<CustomerTokenView>(200)
            .on_portal(),
        Route::post("/api/v1/auth/customer/logout", Access::Public, "End a subscriber's visit", logout)
            .answers::<LogoutView>(200)
            .on_portal(),
    ]
}

/// What a subscriber's login answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerTokenView {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: &'static str,
    /// Seconds that the token counts.
    pub expires_in: i64,
    /// When it ends.
    pub expires_at: String,
    /// The visit.
    pub session_id: String,
    /// Who logged in.
    pub user: CustomerUserView,
    /// Always false: there is no second factor for subscribers.
    pub mfa_required: bool,
    /// Whether the device that asked is online now.
    pub online: bool,
    /// The same under other names.
    pub data: Value,
}

/// A subscriber as frontends know their user.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CustomerUserView {
    /// Identity.
    pub id: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Given and family name.
    pub name: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// The ISP's own number.
    pub account_number: String,
    /// Eight characters to log in with.
    pub portal_id: String,
    /// Telephone number.
    pub phone: Option<String>,
    /// Always `customer`.
    pub role: &'static str,
    /// The same, in a list.
    pub roles: [&'static str; 1],
    /// Always empty: those are for staff.
    pub permissions: [&'static str; 0],
}

impl CustomerUserView {
    fn of(one: &Subscriber) -> Self {
        Self {
            id: one.id.to_string(),
            email: one.email.as_ref().map(ToString::to_string),
            name: one.display_name(),
            first_name: one.first_name.to_string(),
            last_name: one.last_name.to_string(),
            account_number: one.customer_number.to_string(),
            portal_id: one.portal_id.to_string(),
            phone: one.phone.as_ref().map(ToString::to_string),
            role: "customer",
            roles: ["customer"],
            permissions: [],
        }
    }
}

impl CustomerTokenView {
    fn of(app: &App, call: &Call, arrived: &Arrived) -> Self {
        let user = CustomerUserView::of(&arrived.subscriber);
        let access_token = text(&arrived.visit).to_owned();
        let expires_at = rfc3339(arrived.visit.expires_at);
        let data = json!({
            "user": user, "token": access_token, "accessToken": access_token,
            "expiresAt": expires_at, "tenant": app.site.tenant,
        });
        Self {
            access_token,
            token_type: "bearer",
            expires_in: arrived.visit.expires_at.duration_since(call.now).as_secs(),
            expires_at,
            session_id: arrived.visit.visit.to_string(),
            user,
            mfa_required: false,
            online: arrived.online.is_ok(),
            data,
        }
    }
}

async fn login(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: Login = call.json()?;
    let known_as = cookie_name(&format!("customer:{}", body.email));
    let presented = CustomerCredentials {
        device: cookie(&call.headers, &known_as).map(str::to_owned),
        identifier: body.email,
        password: body.password,
        source: call.source,
    };
    let device = device(&app, &call);
    let logged_in = app.reception.log_in(&presented, device.as_ref(), &call.actor, call.now).await;
    let outcome = if logged_in.is_ok() { "accepted" } else { "refused" };
    metrics::counter!("customer_logins_total", "outcome" => outcome).increment(1);
    let arrived = logged_in?;
    let answer = Answer::ok(&CustomerTokenView::of(&app, &call, &arrived));
    let known = format!(
        "{known_as}={}; Path=/; Max-Age={DEVICE_AGE_SECS}; HttpOnly; SameSite=Lax{}",
        arrived.device,
        secure(&call),
    );
    set(with_token(answer, &call, &arrived.visit)?, &known)
}

/// Whoever sends a token, in whichever way, is logged out; the cookie goes in any case.
async fn logout(app: App, call: Call) -> Result<Answer, ApiError> {
    let by_cookie = cookie(&call.headers, CUSTOMER_COOKIE);
    let token = match (bearer(&call.headers), by_cookie) {
        (None, Some(_)) if !is_same_origin(&call.headers) => {
            return Err(ApiError::denied("The request does not come from a page of this site."));
        }
        (given, kept) => given.or(kept),
    };
    if let Some(token) = token {
        app.reception.log_out(token, call.now).await?;
    }
    let answer = Answer::ok(&LogoutView { success: true, revoked_at: rfc3339(call.now) });
    set(answer, &format!("{CUSTOMER_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{}", secure(&call)))
}

/// The device that a request comes from, where this box serves its network.
pub(super) fn device(app: &App, call: &Call) -> Option<Device> {
    call.source.and_then(|source| app.reception.device(source))
}

/// The same answer with the visit's token as the cookie.
pub(super) fn with_token(
    answer: Answer,
    call: &Call,
    visit: &BegunCustomerVisit,
) -> Result<Answer, ApiError> {
    with_cookie(answer, call, text(visit), visit.expires_at)
}

/// The same for an answer that was kept: its token is in it.
pub(super) fn with_kept_token(answer: Answer, call: &Call) -> Result<Answer, ApiError> {
    let field = |name| answer.object().and_then(|body| body.get(name)).and_then(Value::as_str);
    let ends = field("expires_at").and_then(|text| text.parse::<Timestamp>().ok());
    let Some((token, ends)) = field("access_token").map(str::to_owned).zip(ends) else { return Ok(answer) };
    with_cookie(answer, call, &token, ends)
}

fn with_cookie(answer: Answer, call: &Call, token: &str, ends: Timestamp) -> Result<Answer, ApiError> {
    let age = ends.duration_since(call.now).as_secs().max(0);
    let cookie =
        format!("{CUSTOMER_COOKIE}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{}", secure(call));
    set(answer, &cookie)
}

/// The visit's token; it is given out in this one answer.
pub(super) fn text(visit: &BegunCustomerVisit) -> &str {
    visit.token.expose_text().unwrap_or_default()
}

fn set(answer: Answer, cookie: &str) -> Result<Answer, ApiError> {
    let value = HeaderValue::from_str(cookie).map_err(|error| ApiError::internal(&error))?;
    Ok(answer.header(SET_COOKIE, value))
}

const fn secure(call: &Call) -> &'static str {
    if call.over_tls { "; Secure" } else { "" }
}
