//! Messages and the channels they go by, over HTTP.
//!
//! The one rule: neither a text nor a whole address is in an answer; who may write to somebody has it from the
//! customer's record.

use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::{commit, commit_answering};
use super::edit::{self, form, part};
use super::error::{ApiError, Code};
use super::route::{Access, Route};
use super::shape::Answer;
use super::users::rfc3339;
use crate::domain::ids::MessageId;
use crate::domain::language::Language;
use crate::domain::message::{Channel, Kind, Message, Recipient, Stage};
use crate::domain::role::Permission;
use crate::domain::text::{Email, Phone};
use crate::reception::messages::{
    ChannelState, Confirmation, MessageError, MessageFilter, NotAgain, NotifyError, ProofError,
};

/// The routes of messages and channels.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (reading, writing) =
        (Access::Staff(Permission::MessagesRead), Access::Staff(Permission::MessagesWrite));
    vec![
        Route::get("/api/v1/messages", reading, "What was sent to whom, newest first", list)
            .query(&["customer_id", "recipient", "state", "channel", "kind", "since"])
            .lists::<MessageView>(),
        Route::get("/api/v1/messages/{id}", reading, "Read what became of a message", get)
            .answers::<MessageView>(200),
        Route::post("/api/v1/messages/{id}/resend", writing, "Send a message again", resend)
            .answers::<MessageView>(201),
        Route::get(
            "/api/v1/channels",
            reading,
            "Ways that messages go, and whether each is proven",
            channels,
        )
        .answers::<ChannelsView>(200),
        Route::post("/api/v1/channels/{channel}/test", writing, "Send a code by a channel", test)
            .takes::<TestBody>()
            .answers::<TestView>(202),
        Route::post("/api/v1/channels/{channel}/confirm", writing, "Prove a channel by the code", confirm)
            .takes::<ConfirmBody>()
            .answers::<ChannelsView>(200),
    ]
}

/// Where a test goes.
#[derive(Debug, ToSchema)]
pub struct TestBody {
    /// An e-mail address or a telephone number of yours.
    pub to: String,
    /// What it is written in; the site's language unless said.
    pub language: Option<String>,
}

/// The code of a test.
#[derive(Debug, ToSchema)]
pub struct ConfirmBody {
    /// Eight digits.
    pub code: String,
}

/// A test that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestView {
    /// Which channel.
    pub channel: &'static str,
    /// Until when its code counts.
    pub code_until: String,
}

/// A message as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    /// Identity.
    pub id: String,
    /// What it is about: `receipt`, `reminder` …
    pub kind: &'static str,
    /// `mail` or `sms`.
    pub channel: &'static str,
    /// To whom, masked.
    pub to: String,
    /// About which customer.
    pub customer_id: Option<String>,
    /// What it is written in.
    pub language: String,
    /// `waiting`, `sent`, `given_up`.
    pub state: &'static str,
    /// When it was made.
    pub created_at: String,
    /// When it is tried next.
    pub next_try_at: Option<String>,
    /// When it was taken.
    pub sent_at: Option<String>,
    /// `pending`, `delivered`, `failed`, where the carrier says so.
    pub delivery: Option<&'static str>,
    /// How often it was tried.
    pub tries: u32,
    /// Why it was not sent, or has to wait.
    pub fault: Option<String>,
    /// Parts of an SMS; 0 for a mail.
    pub segments: u32,
    /// Whether it can be sent again.
    pub can_resend: bool,
    /// The message that it repeats.
    pub repeats: Option<String>,
}

/// The channels.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelsView {
    /// One entry each.
    pub channels: Vec<ChannelView>,
    /// What messages can be written in.
    pub languages: Vec<String>,
    /// What is written to whoever did not say.
    pub default_language: String,
}

/// A way that messages go.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelView {
    /// `mail` or `sms`.
    pub channel: &'static str,
    /// Whether the configuration names something to send by.
    pub is_configured: bool,
    /// Whether a test has shown that it works with these settings; only then it is used for notices.
    pub is_proven: bool,
    /// Since when.
    pub proven_at: Option<String>,
    /// By whom.
    pub proven_by: Option<String>,
    /// Whether it was proven with other settings, which counts no more.
    pub settings_changed: bool,
    /// Until when the code that was sent last counts.
    pub code_until: Option<String>,
}

impl MessageView {
    fn of(message: &Message) -> Self {
        let stage = message.stage();
        Self {
            id: message.id.to_string(),
            kind: message.kind.name(),
            channel: message.to.channel().name(),
            to: message.to.masked(),
            customer_id: message.subscriber_id.map(|id| id.to_string()),
            language: message.language.to_string(),
            state: stage.name(),
            created_at: rfc3339(message.created_at),
            next_try_at: message.next_try_at.map(rfc3339),
            sent_at: message.sent_at.map(rfc3339),
            delivery: message.delivery.map(|delivery| delivery.name()),
            tries: message.tries,
            fault: message.fault.clone(),
            segments: message.segments,
            can_resend: stage != Stage::Waiting
                && !message.kind.holds_a_code()
                && !message.sealed_text.is_empty(),
            repeats: message.repeats.map(|id| id.to_string()),
        }
    }
}

impl ChannelView {
    fn of(state: &ChannelState) -> Self {
        Self {
            channel: state.channel.name(),
            is_configured: state.is_configured,
            is_proven: state.proven_at.is_some(),
            proven_at: state.proven_at.map(rfc3339),
            proven_by: state.proven_by.clone(),
            settings_changed: state.is_stale,
            code_until: state.test_until.map(rfc3339),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let named = |name: &str, known: &str| ApiError::field(name, format!("must be one of {known}"));
    let stage = match call.query("state") {
        Some(text) => Some(Stage::parse(&text).ok_or_else(|| named("state", "waiting, sent, given_up"))?),
        None => None,
    };
    let channel = match call.query("channel") {
        Some(text) => Some(Channel::parse(&text).ok_or_else(|| named("channel", "mail, sms"))?),
        None => None,
    };
    let kind = match call.query("kind") {
        Some(text) => {
            Some(Kind::parse(&text).ok_or_else(|| named("kind", &Kind::ALL.map(Kind::name).join(", ")))?)
        }
        None => None,
    };
    let (subscriber, recipient) = (call.query("customer_id"), call.query("recipient"));
    let filter =
        MessageFilter { subscriber, recipient, stage, channel, kind, since: call.query_as("since")? };
    let listed = app.reception.messages(&filter, part(window)).await?;
    Ok(edit::list(listed, window, |message| MessageView::of(&message)))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: MessageId = call.id("message")?;
    let message = app.reception.message(id).await?.ok_or_else(|| ApiError::not_found("message"))?;
    Ok(Answer::ok(&MessageView::of(&message)))
}

async fn resend(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: MessageId = call.id("message")?;
    let draft = || app.reception.send_again(&call.actor, id, call.now);
    let answer =
        commit_answering(&app, &call, draft, |message| Answer::created(&MessageView::of(message))).await?;
    app.reception.send_now();
    Ok(answer)
}

async fn channels(app: App, call: Call) -> Result<Answer, ApiError> {
    shown(&app, &call).await
}

async fn shown(app: &App, call: &Call) -> Result<Answer, ApiError> {
    let states = app.reception.channels(call.now).await?;
    let (languages, default) = app.reception.languages();
    Ok(Answer::ok(&ChannelsView {
        channels: states.iter().map(ChannelView::of).collect(),
        languages: languages.iter().map(ToString::to_string).collect(),
        default_language: default.to_string(),
    }))
}

async fn test(app: App, call: Call) -> Result<Answer, ApiError> {
    let channel = channel(&call)?;
    let mut form = form(&call)?;
    let to = form.required(&["to"], None, |text| match channel {
        Channel::Mail => Email::parse(text).map(Recipient::Mail).map_err(|fault| fault.to_string()),
        Channel::Sms => Phone::parse(text).map(Recipient::Sms).map_err(|fault| fault.to_string()),
    });
    let language = form.nullable(&["language"], None, Language::parse);
    let to = (form.finish(to)?, language);
    let draft = || app.reception.test_channel(&call.actor, channel, to.clone(), call.now);
    let answer = commit_answering(&app, &call, draft, |until| {
        let (channel, code_until) = (channel.name(), rfc3339(*until));
        Answer::accepted(&TestView { channel, code_until })
    })
    .await?;
    app.reception.send_now();
    Ok(answer)
}

async fn confirm(app: App, call: Call) -> Result<Answer, ApiError> {
    let channel = channel(&call)?;
    let mut form = form(&call)?;
    let code = form.required(&["code"], None, |text| {
        let fits = text.len() <= MAX_CODE && text.bytes().any(|octet| octet.is_ascii_digit());
        if fits { Ok(text.to_owned()) } else { Err("must be the eight digits of the test") }
    });
    let code = form.finish(code)?;
    // A wrong code is committed too, since it is counted; so nothing is kept for a repeat.
    let draft = || app.reception.confirm_channel(&call.actor, channel, &code, call.now);
    match commit(&app, &call, draft).await? {
        Confirmation::Proven => shown(&app, &call).await,
        Confirmation::Wrong => Err(ApiError::field("code", "is not the code that was sent")),
        Confirmation::Lapsed => {
            Err(ApiError::rule("There is no code to compare it with any more; send another test."))
        }
    }
}

fn channel(call: &Call) -> Result<Channel, ApiError> {
    let name: String = call.parameter("channel", "channel")?;
    Channel::parse(&name).ok_or_else(|| ApiError::not_found("channel"))
}

impl From<MessageError> for ApiError {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::NotAgain(NotAgain::NotFound) => Self::not_found("message"),
            MessageError::NotAgain(error @ (NotAgain::Waits | NotAgain::Code)) => {
                Self::rule(format!("It is not sent again: {error}."))
            }
            MessageError::Channel(ProofError::TooSoon { wait_secs }) => Self::retry_after(
                Code::RateLimited,
                "A test was sent just now; wait a little.",
                u32::try_from(wait_secs).unwrap_or(1),
            ),
            MessageError::Channel(error @ (ProofError::NotConfigured(_) | ProofError::OtherChannel(_))) => {
                Self::rule(format!("It is not tested: {error}."))
            }
            MessageError::NotAgain(NotAgain::Notify(error))
            | MessageError::Channel(ProofError::Notify(error)) => match error {
                NotifyError::Read(error) => error.into(),
                NotifyError::Commit(error) => error.into(),
                error @ (NotifyError::Vault(_) | NotifyError::Entropy(_)) => Self::internal(&error),
            },
            MessageError::Audit(fault) => fault.into(),
        }
    }
}

/// Eight digits, and what people put between them.
const MAX_CODE: usize = 20;
