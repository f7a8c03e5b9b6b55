//! A change and its answer, as one commit.
//!
//! A client that lost our answer repeats its request with the same `Idempotency-Key`; it must get
//! the same answer and cause nothing twice. So the answer is kept in the unit of the change
//! itself: either both are there or neither. The one rule: nothing is answered before its commit.

use std::fmt::Write;
use std::future::Future;

use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::app::App;
use super::call::Call;
use super::error::{ApiError, Code};
use super::shape::Answer;
use crate::base::secret::Secret;
use crate::store::SealedSecret;
pub(super) use crate::store::contract::{CommitError, Unit};
pub(super) use crate::store::draft::Draft;
use crate::store::tables::{KeptAnswer, KeptAnswers};

/// Decides, commits and answers.
///
/// `draft` reads and decides; it runs again from fresh reads when somebody else changed the same
/// things meanwhile, at most `MAX_DRAFTS` times. `render` makes the answer of what then exists; it
/// is kept in the same commit when the request has an `Idempotency-Key`.
///
/// # Errors
/// What `draft` refuses; 422 for a key that was used for another request; 409 `contended`; 503 when
/// the store does not take the change.
pub async fn commit_answering<T, E, F>(
    app: &App,
    call: &Call,
    draft: impl Fn() -> F,
    render: impl Fn(&T) -> Answer,
) -> Result<Answer, ApiError>
where
    F: Future<Output = Result<Draft<T>, E>>,
    E: Into<ApiError>,
{
    let Some(key) = IdempotencyKey::of(call)? else {
        return commit(app, call, draft).await.map(|value| render(&value));
    };
    commit(app, call, || keep_answer(app, call, &key, &draft, &render)).await
}

/// Decides and commits; nothing is kept for a repeat. For what is safe to repeat, as a login.
///
/// # Errors
/// As [`commit_answering`].
pub async fn commit<T, E, F>(app: &App, call: &Call, draft: impl Fn() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<Draft<T>, E>>,
    E: Into<ApiError>,
{
    let mut drafts = 0;
    loop {
        drafts += 1;
        let Draft { unit, value } = draft().await.map_err(Into::into)?;
        match submit(app, call, unit).await {
            Ok(()) => return Ok(value),
            Err(CommitError::Conflict { .. }) if drafts < MAX_DRAFTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The kept answer of a use case that commits by itself: looked for before, and kept in its unit.
pub(super) struct Once<'a> {
    app: &'a App,
    call: &'a Call,
    key: Option<IdempotencyKey>,
}

impl<'a> Once<'a> {
    /// Of a request, which may have no key; then nothing is kept.
    pub(super) fn of(app: &'a App, call: &'a Call) -> Result<Self, ApiError> {
        Ok(Self { app, call, key: IdempotencyKey::of(call)? })
    }

    /// What was answered when the key was first used.
    pub(super) async fn kept(&self) -> Result<Option<Answer>, ApiError> {
        match &self.key {
            Some(key) => key.kept_answer(self.app).await,
            None => Ok(None),
        }
    }

    /// Adds the answer to the unit of its change.
    pub(super) fn keep(&self, unit: Unit, answer: &Answer) -> Result<Unit, CommitError> {
        let Some(key) = &self.key else { return Ok(unit) };
        let kept = key.keep(self.app, self.call, unit, answer);
        kept.map_err(|error| CommitError::Unavailable(error.to_string()))
    }

    /// The answer, or the one that was kept meanwhile: the first request of two at the same time made the second fail.
    pub(super) async fn or_kept(&self, made: Result<Answer, ApiError>) -> Result<Answer, ApiError> {
        match (made, &self.key) {
            (Err(error), Some(key)) => key.kept_answer(self.app).await?.ok_or(error),
            (made, _) => made,
        }
    }

    /// Keeps the answer of what was done and is safe to do again, and gives the one that is kept.
    pub(super) async fn keep_after(&self, answer: Answer) -> Result<Answer, ApiError> {
        let kept = submit(self.app, self.call, self.keep(Unit::natural(), &answer)?).await;
        self.or_kept(kept.map(|()| answer).map_err(Into::into)).await
    }
}

/// The kept answer with nothing to commit, or a draft that keeps the answer with its change.
async fn keep_answer<T, E, F>(
    app: &App,
    call: &Call,
    key: &IdempotencyKey,
    draft: &impl Fn() -> F,
    render: &impl Fn(&T) -> Answer,
) -> Result<Draft<Answer>, ApiError>
where
    F: Future<Output = Result<Draft<T>, E>>,
    E: Into<ApiError>,
{
    if let Some(kept) = key.kept_answer(app).await? {
        return Ok(Draft::new(Unit::natural(), kept));
    }
    let Draft { unit, value } = draft().await.map_err(Into::into)?;
    let answer = render(&value);
    Ok(Draft::new(key.keep(app, call, unit, &answer)?, answer))
}

/// Commits a unit; when its answer is lost, submits the same one again to find out.
async fn submit(app: &App, call: &Call, mut unit: Unit) -> Result<(), CommitError> {
    if unit.ops.is_empty() && unit.events.is_empty() {
        return Ok(());
    }
    if unit.id.is_none() {
        let id = app.entropy.uuid_v7(call.now);
        unit.id = Some(id.map_err(|error| CommitError::Unavailable(error.to_string()))?);
    }
    for _ in 1..MAX_SUBMITS {
        match app.store.commit(unit.clone()).await {
            Err(CommitError::Unknown(_)) => {}
            known => return known.map(|_| ()),
        }
    }
    app.store.commit(unit).await.map(|_| ())
}

/// A client's name for one change.
struct IdempotencyKey {
    record: String,
    request_hash: String,
}

impl IdempotencyKey {
    fn of(call: &Call) -> Result<Option<Self>, ApiError> {
        let Some(value) = call.headers.get(KEY_HEADER) else { return Ok(None) };
        let fits = |text: &&str| {
            (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let Some(key) = value.to_str().ok().filter(fits) else {
            let message = format!("Idempotency-Key must be 1 to {MAX_KEY} visible ASCII characters.");
            return Err(ApiError::new(Code::BadRequest, message));
        };
        Ok(Some(Self { record: format!("{}|{key}", call.actor.id), request_hash: request_hash(call) }))
    }

    /// What was answered when this key was first used.
    async fn kept_answer(&self, app: &App) -> Result<Option<Answer>, ApiError> {
        let Some(kept) = app.store.get::<KeptAnswers>(&self.record).await? else { return Ok(None) };
        if kept.body.request_hash != self.request_hash {
            let message = "This Idempotency-Key was used for another request; use a new one.";
            return Err(ApiError::new(Code::KeyReused, message));
        }
        let status = StatusCode::from_u16(kept.body.status).map_err(|error| ApiError::internal(&error))?;
        let body = SealedSecret::parse(&kept.body.body)
            .and_then(|sealed| app.vault.unseal(&self.context(), &sealed))
            .map_err(|error| ApiError::internal(&error))?;
        let answer = match body.expose() {
            [] => Answer::bare(status),
            json => {
                let value: Value =
                    serde_json::from_slice(json).map_err(|error| ApiError::internal(&error))?;
                Answer::json(status, &value)
            }
        };
        Ok(Some(answer.header(REPLAYED, HeaderValue::from_static("true"))))
    }

    /// Adds the answer to the unit of its change. Bodies can hold a secret that is shown once, so
    /// all are sealed.
    fn keep(&self, app: &App, call: &Call, unit: Unit, answer: &Answer) -> Result<Unit, ApiError> {
        let json = answer.object().map(Value::to_string).unwrap_or_default();
        let body = app
            .vault
            .seal(&app.entropy, &self.context(), &Secret::from_text(&json))
            .map_err(|error| ApiError::internal(&error))?;
        let kept = KeptAnswer {
            request_hash: self.request_hash.clone(),
            status: answer.status().as_u16(),
            body: body.into(),
            at: call.now,
        };
        Ok(unit.create::<KeptAnswers>(&self.record, &kept)?)
    }

    fn context(&self) -> String {
        format!("kept_answers/{}", self.record)
    }
}

fn request_hash(call: &Call) -> String {
    let mut hash = Sha256::new();
    for part in [call.method.as_str().as_bytes(), call.path.as_bytes(), call.query.as_bytes(), &call.body] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Header with a client's name for one change.
pub const KEY_HEADER: &str = "idempotency-key";
/// Says that an answer is a repeated one.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Drafts for one request: more contention than this is somebody's endless loop.
const MAX_DRAFTS: u32 = 4;
/// Submits of one unit whose answer is lost.
const MAX_SUBMITS: u32 = 3;
/// Longest key: clients use a UUID or up to 120 characters.
const MAX_KEY: usize = 200;
