//! The NAS table over HTTP.
//!
//! The one rule: a shared secret is in the answer that made it and in no other.

use jiff::SignedDuration;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::commit_answering;
use super::edit::{self, expected, form, part, reference, tagged};
use super::error::ApiError;
use super::route::{Access, Route};
use super::shape::Answer;
use crate::base::secret::Secret;
use crate::catalogue::fault::Fault;
use crate::catalogue::form::{Form, Said};
use crate::catalogue::nas::{MOST_GRACE, NasFilter, NasWish, WithSecret, nas_address, standing_warnings};
use crate::catalogue::plan_form::named;
use crate::catalogue::plans::Kept;
use crate::domain::nas::{COA_PORT, MessageAuthenticatorPolicy, Nas, NasKind};
use crate::domain::role::Permission;
use crate::domain::text::{Code, Line};

/// The routes of the NAS table.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (reading, writing) = (Access::Staff(Permission::NasRead), Access::StaffFresh(Permission::NasWrite));
    vec![
        Route::get("/api/v1/nas-devices", reading, "List NAS", list)
            .query(&["search", "kind", "is_active"])
            .lists::<NasView>(),
        Route::post("/api/v1/nas-devices", writing, "Enter a NAS; its secret is shown once", create)
            .takes::<NasBody>()
            .answers::<NasSecretView>(201),
        Route::get("/api/v1/nas-devices/{id}", reading, "Read a NAS by id or name", get)
            .answers::<NasView>(200),
        Route::patch("/api/v1/nas-devices/{id}", writing, "Change a NAS", change)
            .takes::<NasBody>()
            .answers::<NasView>(200),
        Route::delete("/api/v1/nas-devices/{id}", writing, "Remove a NAS", remove).answers::<NasView>(200),
        Route::post("/api/v1/nas-devices/{id}/rotate-secret", writing, "Give a NAS a new secret", rotate)
            .takes::<RotateBody>()
            .answers::<NasSecretView>(200),
    ]
}

/// What enters or changes a NAS.
#[derive(Debug, ToSchema)]
pub struct NasBody {
    /// Name for people, unique.
    pub name: String,
    /// Where its requests come from: an address or a network.
    pub address: String,
    /// `mikrotik`, `wispr`, `coova`, `cisco`, `huawei`, `juniper`, `ubiquiti`, `accel-ppp`, `generic` (unless said).
    pub kind: Option<String>,
    /// The shared secret, when entering; made unless given.
    pub secret: Option<String>,
    /// `require` (unless said) or `allow`.
    pub message_authenticator: Option<String>,
    /// Where it listens for Disconnect- and CoA-Requests: 3799 unless said, 0 where it cannot be told.
    pub coa_port: Option<u32>,
    /// Whether it may be used; yes unless said.
    pub is_active: Option<bool>,
    /// What staff write down.
    pub note: Option<String>,
    /// The record's version that the change is about.
    pub version: Option<u64>,
}

/// What rotates a secret.
#[derive(Debug, ToSchema)]
pub struct RotateBody {
    /// The new secret; made unless given.
    pub secret: Option<String>,
    /// Hours that the old one is still heard, 0 to 24; 24 unless said.
    pub grace_hours: Option<u32>,
    /// The record's version that this is about.
    pub version: Option<u64>,
}

/// A NAS as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct NasView {
    /// Identity.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Where its requests come from.
    pub address: String,
    /// How replies are phrased.
    pub kind: &'static str,
    /// `require` or `allow`.
    #[schema(value_type = String)]
    pub message_authenticator: MessageAuthenticatorPolicy,
    /// Where it is told to end or change a session; nothing where it cannot be told.
    pub coa_port: Option<u16>,
    /// Whether it may be used.
    pub is_active: bool,
    /// What staff wrote down.
    pub note: Option<String>,
    /// Until when the secret before the last rotation is heard.
    pub previous_secret_until: Option<String>,
    /// When it was entered.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// The version to expect when changing it.
    pub version: u64,
    /// What stands against its settings.
    pub warnings: Vec<String>,
}

/// A NAS with a secret that is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct NasSecretView {
    /// The NAS, with warnings about the secret too.
    #[serde(flatten)]
    pub nas: NasView,
    /// The shared secret.
    pub secret: String,
}

impl NasView {
    fn of(kept: &Kept<Nas>) -> Self {
        let nas = &kept.body;
        let host = nas.address.prefix_len() == nas.address.max_prefix_len();
        Self {
            id: nas.id.to_string(),
            name: nas.name.to_string(),
            address: if host { nas.address.addr().to_string() } else { nas.address.to_string() },
            kind: nas.kind.name(),
            message_authenticator: nas.message_authenticator,
            coa_port: nas.coa_port,
            is_active: nas.is_active,
            note: nas.note.clone(),
            previous_secret_until: nas.previous_until.map(|until| until.to_string()),
            created_at: nas.created_at.to_string(),
            updated_at: nas.updated_at.to_string(),
            version: kept.version,
            warnings: standing_warnings(nas),
        }
    }
}

impl NasSecretView {
    fn of(made: &WithSecret) -> Self {
        let nas = NasView { warnings: made.warnings.clone(), ..NasView::of(&made.nas) };
        Self { nas, secret: made.secret.expose_text().unwrap_or_default().to_owned() }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let kind = match call.query("kind") {
        Some(text) => Some(kind(&text).map_err(|fault| ApiError::field("kind", fault))?),
        None => None,
    };
    let filter = NasFilter { search: call.query("search"), kind, is_active: call.query_as("is_active")? };
    let listed = app.catalogue.nas.list(&filter, part(window)).await?;
    Ok(edit::list(listed, window, |kept| NasView::of(&kept)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let secret = secret(&mut form);
    let wish = read(form, None)?;
    let nas = &app.catalogue.nas;
    commit_answering(
        &app,
        &call,
        || nas.create(&call.actor, wish.clone(), secret.clone(), call.now),
        |made| tagged(Answer::created(&NasSecretView::of(made)), made.nas.version),
    )
    .await
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    Ok(shown(&app.catalogue.nas.get(reference(&call)).await?))
}

async fn change(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    if form.has(&["secret"]) {
        return Err(ApiError::field(
            "secret",
            "is changed by rotate-secret, which keeps the old one for a while",
        ));
    }
    let wish = |held: &Nas| read(Form::read(&call.body)?, Some(held));
    let nas = &app.catalogue.nas;
    let draft = || nas.change(&call.actor, reference(&call), expected, wish, call.now);
    commit_answering(&app, &call, draft, shown).await
}

async fn remove(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    form.finish(Some(()))?;
    let nas = &app.catalogue.nas;
    let draft = || nas.remove(&call.actor, reference(&call), expected, call.now);
    let removed = |nas: &Nas| Answer::ok(&NasView::of(&Kept { body: nas.clone(), version: 0 }));
    commit_answering(&app, &call, draft, removed).await
}

async fn rotate(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    let secret = secret(&mut form);
    let most = u32::try_from(MOST_GRACE.as_hours()).unwrap_or(0);
    let hours = form.whole("grace_hours", Some(most), 0, most).unwrap_or(most);
    form.finish(Some(()))?;
    let grace = SignedDuration::from_hours(hours.into());
    let nas = &app.catalogue.nas;
    commit_answering(
        &app,
        &call,
        || nas.rotate_secret(&call.actor, reference(&call), expected, secret.clone(), grace, call.now),
        |made| tagged(Answer::ok(&NasSecretView::of(made)), made.nas.version),
    )
    .await
}

fn shown(kept: &Kept<Nas>) -> Answer {
    tagged(Answer::ok(&NasView::of(kept)), kept.version)
}

fn read(mut form: Form, held: Option<&Nas>) -> Result<NasWish, Fault> {
    let name = form.required(&["name"], held.map(|nas| nas.name.clone()), Code::parse);
    let address =
        form.required(&["address", "nas_ip", "ip_address"], held.map(|nas| nas.address), nas_address);
    let kind = form.required(&["kind", "vendor"], Some(held.map_or(NasKind::Generic, |nas| nas.kind)), kind);
    let policy = held.map_or(MessageAuthenticatorPolicy::Require, |nas| nas.message_authenticator);
    let policy = form.required(&["message_authenticator"], Some(policy), |text| {
        named::<MessageAuthenticatorPolicy>(text).ok_or("must be require or allow")
    });
    let held_port = held.map_or(Some(COA_PORT), |nas| nas.coa_port).map_or(0, u32::from);
    let coa_port = form.whole("coa_port", Some(held_port), 0, u16::MAX.into()).unwrap_or(held_port);
    let coa_port = u16::try_from(coa_port).ok().filter(|port| *port > 0);
    let is_active = form.flag("is_active", held.is_none_or(|nas| nas.is_active));
    let held_note = held.and_then(|nas| nas.note.as_deref()).and_then(|note| Line::parse(note).ok());
    let note = form.nullable(&["note"], held_note, Line::parse).map(String::from);
    let wish =
        name.zip(address).zip(kind.zip(policy)).map(|((name, address), (kind, message_authenticator))| {
            NasWish { name, address, kind, message_authenticator, coa_port, is_active, note }
        });
    form.finish(wish)
}

fn kind(text: &str) -> Result<NasKind, String> {
    NasKind::parse(&text.trim().to_lowercase())
        .ok_or_else(|| format!("must be one of {}", NasKind::ALL.map(NasKind::name).join(", ")))
}

fn secret(form: &mut Form) -> Option<Secret> {
    match form.text("secret") {
        Said::Value(text) => Some(Secret::from_text(&text)),
        Said::Null | Said::Nothing => None,
    }
}
