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
use crate::store::contract::{CommitError, Committed, Unit};
use crate::store::draft::Draft;
use crate::store::tables::{KeptAnswer, KeptAnswers};

/// Decides, commits and answers.
///
/// `draft` reads and decides; it runs again from fresh reads when somebody else changed the same
/// things meanwhile, at most [`MAX_DRAFTS`] times. `render` makes the answer of what then exists; it
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
    ApiError: From<E>,
{
    let key = IdempotencyKey::of(call)?;
    for _ in 1..MAX_DRAFTS {
        match attempt(app, call, key.as_ref(), &draft, &render).await {
            Err(Failure::Contended(_)) => {}
            Err(Failure::Final(error)) => return Err(error),
            Ok(answer) => return Ok(answer),
        }
    }
    match attempt(app, call, key.as_ref(), &draft, &render).await {
        Err(Failure::Contended(error)) => Err(error.into()),
        Err(Failure::Final(error)) => Err(error),
        Ok(answer) => Ok(answer),
    }
}

enum Failure {
    /// Somebody else was faster: decide again.
    Contended(CommitError),
    Final(ApiError),
}

async fn attempt<T, E, F>(
    app: &App,
    call: &Call,
    key: Option<&IdempotencyKey>,
    draft: &impl Fn() -> F,
    render: &impl Fn(&T) -> Answer,
) -> Result<Answer, Failure>
where
    F: Future<Output = Result<Draft<T>, E>>,
    ApiError: From<E>,
{
    if let Some(key) = key
        && let Some(kept) = key.kept_answer(app).await.map_err(Failure::Final)?
    {
        return Ok(kept);
    }
    let Draft { mut unit, value } = draft().await.map_err(|error| Failure::Final(error.into()))?;
    let answer = render(&value);
    if let Some(key) = key {
        unit = key.keep(app, call, unit, &answer).map_err(Failure::Final)?;
    }
    match submit(app, call, unit).await {
        Ok(_) => Ok(answer),
        Err(error @ CommitError::Conflict { .. }) => Err(Failure::Contended(error)),
        Err(error) => Err(Failure::Final(error.into())),
    }
}

/// Commits a unit; when its answer is lost, submits the same one again to find out.
async fn submit(app: &App, call: &Call, mut unit: Unit) -> Result<Committed, CommitError> {
    if unit.id.is_none() {
        unit.id = Some(
            app.entropy.uuid_v7(call.now).map_err(|_| CommitError::Unavailable("no randomness".into()))?,
        );
    }
    for _ in 1..MAX_SUBMITS {
        match app.store.commit(unit.clone()).await {
            Err(CommitError::Unknown(_)) => {}
            known => return known,
        }
    }
    app.store.commit(unit).await
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
