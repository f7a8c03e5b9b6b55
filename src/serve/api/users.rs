//! Staff accounts over HTTP: `users` in the API's words.
//!
//! A password is taken, never a hash of one. The one rule: a verifier never leaves the box.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Access, Answer, ApiError, App, Body, Call, Caller, Code, Form, Route, commit_answering};
use crate::domain::ids::StaffId;
use crate::domain::role::{Permission, Role};
use crate::domain::staff::Staff;
use crate::domain::text::{Email, Line};
use crate::people::PeopleError;
use crate::people::staff::{By, NewStaff, StaffChange, StaffFilter};

/// The routes of staff accounts.
#[must_use]
pub fn routes() -> Vec<Route> {
    let read = Access::Staff(Permission::UsersRead);
    let write = Access::Staff(Permission::UsersWrite);
    vec![
        Route::get("/api/v1/users", read, "List staff accounts", list)
            .query(&["search", "role", "is_active"])
            .lists::<UserView>(),
        Route::post("/api/v1/users", write, "Create a staff account", create)
            .takes::<UserCreate>()
            .answers::<UserView>(201),
        Route::get("/api/v1/users/{id}", read, "Read a staff account", get).answers::<UserView>(200),
        Route::patch("/api/v1/users/{id}", write, "Change a staff account", change)
            .takes::<UserUpdate>()
            .answers::<UserView>(200),
        Route::delete("/api/v1/users/{id}", write, "Deactivate a staff account", deactivate)
            .answers::<UserView>(200),
    ]
}

/// A staff account as it is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UserView {
    /// Identity.
    pub id: String,
    /// Login.
    pub email: String,
    /// The same, for clients that know only user names.
    pub username: String,
    /// Name.
    pub name: String,
    /// The same, for clients that ask for it so.
    pub full_name: String,
    /// What they may do.
    pub role: &'static str,
    /// The same as a list.
    pub roles: Vec<&'static str>,
    /// Every permission of the role.
    pub permissions: Vec<&'static str>,
    /// Whether they may log in.
    pub is_active: bool,
    /// `active` or `disabled`.
    pub status: &'static str,
    /// The tenant of this box.
    pub tenant_id: Option<String>,
    /// Whether a second factor is asked of them.
    pub mfa_enabled: bool,
    /// When they last logged in.
    pub last_login_at: Option<String>,
    /// When the account was made.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// A generated password; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_password: Option<String>,
}

impl UserView {
    /// The view of an account on this box.
    #[must_use]
    pub fn of(app: &App, staff: &Staff) -> Self {
        Self {
            id: staff.id.to_string(),
            email: staff.email.to_string(),
            username: staff.email.to_string(),
            name: staff.name.to_string(),
            full_name: staff.name.to_string(),
            role: staff.role.name(),
            roles: vec![staff.role.name()],
            permissions: permissions(staff.role),
            is_active: staff.is_active,
            status: if staff.is_active { "active" } else { "disabled" },
            tenant_id: app.site.tenant.clone(),
            mfa_enabled: staff.second_factor_since.is_some(),
            last_login_at: staff.last_login_at.map(rfc3339),
            created_at: rfc3339(staff.created_at),
            updated_at: rfc3339(staff.updated_at),
            generated_password: None,
        }
    }
}

pub(super) fn permissions(role: Role) -> Vec<&'static str> {
    Permission::ALL.iter().copied().filter(|one| role.may(*one)).map(Permission::name).collect()
}

/// A time as the API writes it: RFC 3339, UTC, to the millisecond.
pub(super) fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A new account.
#[derive(Debug, ToSchema)]
pub struct UserCreate {
    /// Login.
    #[schema(value_type = String)]
    pub email: Email,
    /// Name; the e-mail address where it is left out.
    #[schema(value_type = Option<String>)]
    pub name: Option<Line>,
    /// `owner`, `admin`, `cashier`, `agent`, `technician` or `auditor`.
    #[schema(value_type = String)]
    pub role: Role,
    /// 8 to 128 characters; generated and shown once where it is left out.
    pub password: Option<String>,
}

impl Body for UserCreate {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        refuse_hash(form);
        let email = form.required("email");
        let name_field = form.first_of(&["name", "full_name"]).unwrap_or("name");
        let name = form.optional(name_field);
        let role = form.required("role");
        let password = form.optional("password");
        Some(Self { email: email?, name, role: role?, password })
    }
}

/// What to change; what is left out stays.
#[derive(Debug, ToSchema)]
pub struct UserUpdate {
    /// Login.
    #[schema(value_type = Option<String>)]
    pub email: Option<Email>,
    /// Name.
    #[schema(value_type = Option<String>)]
    pub name: Option<Line>,
    /// What they may do; ends their visits.
    #[schema(value_type = Option<String>)]
    pub role: Option<Role>,
    /// Whether they may log in.
    pub is_active: Option<bool>,
    /// A new password; ends their visits.
    pub password: Option<String>,
}

impl Body for UserUpdate {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        refuse_hash(form);
        let name_field = form.first_of(&["name", "full_name"]).unwrap_or("name");
        Some(Self {
            email: form.optional("email"),
            name: form.optional(name_field),
            role: form.optional("role"),
            is_active: form.optional("is_active"),
            password: form.optional("password"),
        })
    }
}

/// Somebody who could write a hash could write one of a password that only they know.
fn refuse_hash(form: &mut Form<'_>) {
    if form.value("password_hash").is_some() {
        form.fault("password_hash", "is not taken; send the password");
    }
}

/// A name that was left out is the e-mail address, which fits a name's rules but for its length.
pub(super) fn name_or_email(name: Option<Line>, email: &Email) -> Result<Line, ApiError> {
    match name {
        Some(name) => Ok(name),
        None => Line::parse(email.as_str()).map_err(|fault| ApiError::field("name", fault.to_string())),
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let filter = StaffFilter {
        search: call.query("search"),
        role: call.query_as("role")?,
        is_active: call.query_as("is_active")?,
    };
    let found = app.people.list_staff(&filter, window.offset, window.limit).await?;
    Ok(Answer::list(found.items.iter().map(|staff| UserView::of(&app, staff)), found.total, window))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let staff = app.people.get_staff(call.id("user")?).await?;
    Ok(Answer::ok(&UserView::of(&app, &staff)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let body: UserCreate = call.json()?;
    let generated = body.password.is_none().then(|| app.people.generate_password()).transpose()?;
    let password = body.password.as_deref().or(generated.as_deref()).unwrap_or_default();
    let new = NewStaff {
        verifier: app.people.hash_password(password, body.email.as_str()).await?,
        name: name_or_email(body.name, &body.email)?,
        email: body.email,
        role: body.role,
    };
    let by = by(&call)?;
    let console = matches!(call.caller, Caller::Console { .. });
    let draft = || async {
        if console {
            app.people.create_from_console(by, &new).await
        } else {
            app.people.create_staff(by, &new)
        }
    };
    let render = |staff: &Staff| {
        let view = UserView { generated_password: generated.clone(), ..UserView::of(&app, staff) };
        Answer::created(&view)
    };
    commit_answering(&app, &call, draft, render).await
}

async fn change(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: StaffId = call.id("user")?;
    let body: UserUpdate = call.json()?;
    let verifier = match &body.password {
        None => None,
        Some(password) => {
            let email = body.email.clone().map_or_else(String::new, |email| email.to_string());
            Some(app.people.hash_password(password, &email).await?)
        }
    };
    let UserUpdate { email, name, role, is_active, password: _ } = body;
    let change = StaffChange { email, name, role, is_active, verifier };
    let by = by(&call)?;
    let draft = || app.people.change_staff(by, id, &change);
    commit_answering(&app, &call, draft, |staff| Answer::ok(&UserView::of(&app, staff))).await
}

async fn deactivate(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: StaffId = call.id("user")?;
    let by = by(&call)?;
    let draft = || app.people.deactivate_staff(by, id);
    commit_answering(&app, &call, draft, |staff| Answer::ok(&UserView::of(&app, staff))).await
}

pub(super) fn by(call: &Call) -> Result<By<'_>, ApiError> {
    let role =
        call.caller.role().ok_or_else(|| ApiError::denied("This is done by people, not by programs."))?;
    Ok(By { actor: &call.actor, role, now: call.now })
}

impl From<PeopleError> for ApiError {
    fn from(error: PeopleError) -> Self {
        if error.is_busy() {
            return Self::retry_after(Code::Busy, "Too many logins at once; please try again.", 1);
        }
        match error {
            PeopleError::WrongCredentials => {
                Self::new(Code::WrongCredentials, "E-mail or password is wrong.")
            }
            PeopleError::VisitEnded => {
                Self::new(Code::AuthenticationRequired, "Your login has ended; please log in again.")
            }
            PeopleError::TooMany { wait_secs } => {
                let message = format!("Too many attempts; please wait {wait_secs} seconds.");
                Self::retry_after(Code::RateLimited, message, wait_secs)
            }
            PeopleError::WrongCode => Self::new(
                Code::WrongCredentials,
                "The code is wrong, too old, or was used already; take the next one of your app.",
            ),
            PeopleError::CodeNeeded => {
                Self::new(Code::MfaRequired, "Log in again, and send the code of your authenticator app.")
            }
            PeopleError::AlreadyEnrolled => {
                Self::conflict("You have a second factor already; disable it first to set up another.")
            }
            PeopleError::NotEnrolled => {
                Self::conflict("You have no second factor; set one up under /api/v1/auth/mfa/setup.")
            }
            PeopleError::NoSuchKey => Self::not_found("key"),
            PeopleError::NoSuchWebhook => Self::not_found("endpoint"),
            PeopleError::NoSuchDelivery => Self::not_found("delivery"),
            PeopleError::TooManyWebhooks => {
                Self::conflict("There are as many endpoints as this box tells; remove one first.")
            }
            PeopleError::ScopeNotGiven(scope) => {
                Self::field("scopes", format!("{scope} is not yours to give to a program"))
            }
            PeopleError::NoSuchStaff => Self::not_found("user"),
            PeopleError::MayNotManage => Self::denied("Your role may not manage accounts of that role."),
            PeopleError::LastOwner => {
                Self::conflict("This is the last active owner; make another one first.")
            }
            PeopleError::Weak(fault) => Self::field("password", fault.to_string()),
            PeopleError::WrongClaim => Self::denied(
                "The claim code is wrong; the box shows it on its console and in its log when it starts.",
            ),
            PeopleError::AlreadyClaimed => Self::conflict("The first admin exists already; log in."),
            PeopleError::Read(error) => error.into(),
            PeopleError::Commit(error) => error.into(),
            PeopleError::Password(_)
            | PeopleError::Entropy(_)
            | PeopleError::Sealed(_)
            | PeopleError::Sign => Self::internal(&error),
        }
    }
}
