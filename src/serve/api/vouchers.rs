//! Vouchers over HTTP: batches and their codes, vouchers as staff look at them, and their use.
//!
//! The one rule: a code is in a body and never in an address, and goes out of here only from an envelope that is
//! opened or a sale that is made.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::commit::{Once, commit, commit_answering};
use super::customer_auth::{device, text, with_kept_token};
use super::edit::{self, part, reference};
use super::form::{Body, Form, text as as_text};
use super::money::amount;
use super::plans::ValidityView;
use super::sessions::{OwedView, owed_view};
use super::users::rfc3339;
use super::voucher_codes::codes;
use super::{Access, Answer, ApiError, App, Call, Caller, Code, Route};
use crate::billing::voucher::batch::BatchWish;
use crate::billing::voucher::envelope::Card;
use crate::billing::voucher::list::{VoucherFilter, VoucherView as Seen};
use crate::billing::voucher::replace::Replaced;
use crate::domain::ids::StaffId;
use crate::domain::money::Currency;
use crate::domain::plan::{Validity, ValidityUnit};
use crate::domain::role::{Permission, Role};
use crate::domain::voucher::{VoucherBatch, VoucherRefusal, VoucherState};
use crate::domain::voucher_code::Prefix;
use crate::people::throttle::Source;
use crate::reception::{RedeemError, Redeemed, Redeemer};

/// The routes of vouchers.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (reading, writing) =
        (Access::Staff(Permission::VouchersRead), Access::Staff(Permission::VouchersWrite));
    // What shows or ends many codes at once asks for the second factor again.
    let fresh = Access::StaffFresh(Permission::VouchersWrite);
    let batches = "/api/v1/voucher-batches";
    vec![
        Route::get(batches, reading, "List voucher batches", list_batches).lists::<BatchView>(),
        Route::post(batches, writing, "Make a batch of vouchers", create)
            .takes::<BatchBody>()
            .answers::<BatchView>(201),
        Route::get("/api/v1/voucher-batches/{id}", reading, "Read a batch by id or code", get_batch)
            .answers::<BatchView>(200),
        Route::post(
            "/api/v1/voucher-batches/{id}/codes",
            fresh,
            "Fetch the codes, for a short time once",
            codes,
        )
        .query(&["format"])
        .answers::<CodesView>(200),
        Route::post(
            "/api/v1/voucher-batches/{id}/forget-codes",
            writing,
            "Throw the codes away, so that nobody fetches them again",
            forget_codes,
        )
        .answers::<BatchView>(200),
        Route::post("/api/v1/voucher-batches/{id}/revoke", fresh, "Take a whole batch back", revoke_batch)
            .answers::<RevokedBatchView>(200),
        Route::get("/api/v1/vouchers", reading, "List vouchers", list)
            .query(&["batch", "state", "sold", "seller"])
            .lists::<VoucherView>(),
        Route::get("/api/v1/vouchers/{id}", reading, "Read a voucher by id or number", get)
            .answers::<VoucherView>(200),
        Route::post(
            "/api/v1/vouchers/lookup",
            Access::Staff(Permission::VouchersSell),
            "Look a voucher up by its code",
            look_up,
        )
        .takes::<CodeBody>()
        .answers::<VoucherView>(200),
        Route::post("/api/v1/vouchers/{id}/revoke", writing, "Take a voucher back, and what it gave", revoke)
            .answers::<RevokedView>(200),
        Route::post("/api/v1/vouchers/{id}/replace", fresh, "Give another code for a lost one", replace)
            .answers::<ReplacedView>(201),
        Route::post("/api/v1/vouchers/redeem", Access::Public, "Use a voucher", redeem)
            .takes::<CodeBody>()
            .answers::<RedeemedView>(200)
            .on_portal(),
    ]
}

/// What makes a batch.
#[derive(Debug, ToSchema)]
pub struct BatchBody {
    /// What it is for.
    pub name: String,
    /// Which plan: code or id.
    pub plan: String,
    /// How many to print, up to 100,000; 0 where all are made as they are sold.
    pub count: Option<u32>,
    /// Whether more may be made one by one as they are sold.
    pub for_sale: Option<bool>,
    /// What stands before the codes: up to 8 letters and digits.
    pub prefix: Option<String>,
    /// What one costs, tax included, decimal text; the plan's price unless said.
    pub price: Option<String>,
    /// How long one lasts from its first use; as the plan unless said.
    pub validity: Option<ValidityView>,
    /// Devices at a time; as the plan unless said.
    pub device_limit: Option<u32>,
    /// Octets that one gives; as the plan unless said.
    pub data_allowance_octets: Option<u64>,
    /// From then on none can be used for the first time: a day or a local time (`2026-06-01T00:00`), or with an
    /// offset.
    pub redeem_by: Option<String>,
}

/// A batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchView {
    /// Identity.
    pub id: String,
    /// Its code: what its vouchers' numbers begin with.
    pub code: String,
    /// What it is for.
    pub name: String,
    /// `making`, `ready`, `revoked`.
    pub status: &'static str,
    /// The plan's code.
    pub plan_code: String,
    /// What stands before the codes.
    pub prefix: Option<String>,
    /// What one costs, tax included.
    pub price: String,
    /// The tax in it.
    pub tax: String,
    /// ISO 4217.
    pub currency: String,
    /// How many are printed.
    pub count: u32,
    /// How many of those exist.
    pub made: u32,
    /// How many were made at a sale.
    pub made_at_sale: u32,
    /// Whether more are made as they are sold.
    pub for_sale: bool,
    /// How long one lasts.
    pub validity: Option<ValidityView>,
    /// Devices at a time.
    pub device_limit: u32,
    /// Octets that one gives; null is unlimited.
    pub data_allowance_octets: Option<u64>,
    /// From then on none can be used for the first time.
    pub redeem_by: Option<String>,
    /// Until when its codes can be fetched; null when they are not kept any more.
    pub codes_until: Option<String>,
    /// When it was taken back.
    pub revoked_at: Option<String>,
    /// When it was made.
    pub created_at: String,
}

/// The codes of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct CodesView {
    /// The batch.
    pub batch: BatchView,
    /// Its vouchers.
    pub codes: Vec<CardView>,
    /// Until when they can be fetched again.
    pub until: String,
}

/// One voucher with its code.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardView {
    /// Its number.
    pub serial: String,
    /// Its code.
    pub code: String,
}

/// A voucher, without its code, which nobody knows any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct VoucherView {
    /// Identity.
    pub id: String,
    /// Its number, for people.
    pub serial: String,
    /// Its batch.
    pub batch_id: String,
    /// The batch's code.
    pub batch: String,
    /// The plan's code.
    pub plan_code: String,
    /// `unused`, `active`, `exhausted`, `expired`, `revoked`.
    pub state: &'static str,
    /// When it was first used.
    pub used_at: Option<String>,
    /// When what it gave begins.
    pub from: Option<String>,
    /// When that ends.
    pub until: Option<String>,
    /// The service that got it.
    pub service_id: Option<String>,
    /// Whose.
    pub customer_id: Option<String>,
    /// When it was sold, where that was written down.
    pub sold_at: Option<String>,
    /// By whom.
    pub sold_by: Option<String>,
    /// When it was taken back.
    pub revoked_at: Option<String>,
    /// The id of the one that came in its place.
    pub replaced_by: Option<String>,
}

/// A voucher that was taken back.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedView {
    /// The voucher.
    #[serde(flatten)]
    pub voucher: VoucherView,
    /// Sessions at other NAS that must still end there: pending until they report their end.
    pub pending_at_nas: usize,
}

/// A batch that was taken back.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedBatchView {
    /// The batch.
    #[serde(flatten)]
    pub batch: BatchView,
    /// Sessions at other NAS that must still end there: pending until they report their end.
    pub pending_at_nas: usize,
    /// The first of them, oldest first; all are under `GET /api/v1/pending-changes`.
    pub pending: Vec<OwedView>,
}

/// A voucher in the place of another.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacedView {
    /// The new voucher.
    #[serde(flatten)]
    pub voucher: VoucherView,
    /// Its code, as it is printed; shown this once.
    pub code: String,
    /// The number of the one that it replaces, which is dead.
    pub replaces: String,
}

/// A code, as it was typed.
#[derive(Debug, ToSchema)]
pub struct CodeBody {
    /// The code, in any case and spacing.
    pub code: String,
}

/// What a code came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedeemedView {
    /// The voucher's number.
    pub voucher: String,
    /// Whether this was its first use.
    pub first_use: bool,
    /// The plan's name.
    pub plan: String,
    /// The service that has what it gave.
    pub service_id: String,
    /// Whose.
    pub customer_id: String,
    /// When what it gives begins.
    pub from: String,
    /// When that ends.
    pub until: String,
    /// Whether the device that asked is online now.
    pub online: bool,
    /// Why not, where a device asked.
    pub reason: Option<String>,
    /// For `Authorization: Bearer`, for a stranger.
    pub access_token: Option<String>,
    /// When that ends.
    pub expires_at: Option<String>,
}

impl CardView {
    pub(super) fn of(card: &Card) -> Self {
        Self { serial: card.serial.clone(), code: card.code.clone() }
    }
}

impl BatchView {
    pub(super) fn of(batch: &VoucherBatch) -> Self {
        let status = match (batch.revoked_at, batch.is_complete()) {
            (Some(_), _) => "revoked",
            (None, true) => "ready",
            (None, false) => "making",
        };
        let validity = batch.terms.validity.map(|one| ValidityView { count: one.count, unit: one.unit });
        Self {
            id: batch.id.to_string(),
            code: batch.code.to_string(),
            name: batch.name.to_string(),
            status,
            plan_code: batch.plan_code.to_string(),
            prefix: batch.prefix.as_ref().map(|prefix| prefix.as_str().to_owned()),
            price: batch.price.decimal(),
            tax: batch.tax.decimal(),
            currency: batch.price.currency.to_string(),
            count: batch.count,
            made: batch.made,
            made_at_sale: batch.made_at_sale,
            for_sale: batch.for_sale,
            validity,
            device_limit: batch.terms.device_limit,
            data_allowance_octets: batch.terms.data_allowance,
            redeem_by: batch.redeem_by.map(rfc3339),
            codes_until: batch.envelope.as_ref().map(|envelope| rfc3339(envelope.until)),
            revoked_at: batch.revoked_at.map(rfc3339),
            created_at: rfc3339(batch.created_at),
        }
    }
}

impl VoucherView {
    fn of(seen: &Seen) -> Self {
        let (voucher, used) = (&seen.voucher, seen.voucher.used.as_ref());
        Self {
            id: voucher.id.to_string(),
            serial: seen.batch.serial(voucher.number),
            batch_id: voucher.batch_id.to_string(),
            batch: seen.batch.code.to_string(),
            plan_code: seen.batch.plan_code.to_string(),
            state: seen.state.name(),
            used_at: used.map(|used| rfc3339(used.at)),
            from: used.map(|used| rfc3339(used.from)),
            until: used.map(|used| rfc3339(used.until)),
            service_id: used.map(|used| used.service_id.to_string()),
            customer_id: used.map(|used| used.subscriber_id.to_string()),
            sold_at: voucher.sold.as_ref().map(|sold| rfc3339(sold.at)),
            sold_by: voucher.sold.as_ref().map(|sold| sold.seller.to_string()),
            revoked_at: voucher.revoked_at.or(seen.batch.revoked_at).map(rfc3339),
            replaced_by: voucher.replaced_by.map(|id| id.to_string()),
        }
    }
}

impl RedeemedView {
    fn of(redeemed: &Redeemed, asked_device: bool) -> Self {
        let reason = redeemed.online.as_ref().err().filter(|_| asked_device).map(ToString::to_string);
        Self {
            voucher: redeemed.serial.clone(),
            first_use: redeemed.is_first,
            plan: redeemed.plan.clone(),
            service_id: redeemed.service.to_string(),
            customer_id: redeemed.subscriber.to_string(),
            from: rfc3339(redeemed.from),
            until: rfc3339(redeemed.until),
            online: redeemed.online.is_ok(),
            reason,
            access_token: redeemed.visit.as_ref().map(|visit| text(visit).to_owned()),
            expires_at: redeemed.visit.as_ref().map(|visit| rfc3339(visit.expires_at)),
        }
    }
}

struct Wanted(BatchWish);

impl Wanted {
    fn read(form: &mut Form<'_>, currency: Currency, zone: &TimeZone) -> Option<Self> {
        let (name, plan) = (form.required("name"), form.required("plan"));
        let count = form.optional("count");
        let for_sale: Option<bool> = form.optional("for_sale");
        let prefix = form.optional_with("prefix", |value| {
            Prefix::parse(as_text(value)?).map_err(|error| error.to_string())
        });
        let price = form.optional_with("price", |value| amount(value, currency));
        let validity = form.nested("validity", |form| {
            let (count, unit) = (form.required("count"), form.required_with("unit", unit));
            Some(Validity { count: count?, unit: unit? })
        });
        let (device_limit, data) = (form.optional("device_limit"), form.optional("data_allowance_octets"));
        let redeem_by = form.optional_with("redeem_by", |value| moment(as_text(value)?, zone));
        let for_sale = for_sale.unwrap_or(false);
        Some(Self(BatchWish {
            name: name?,
            plan: plan?,
            count: count.unwrap_or(0),
            for_sale,
            prefix,
            price,
            validity,
            device_limit,
            data_allowance: data,
            redeem_by,
        }))
    }
}

struct Typed(String);

impl Body for Typed {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        Some(Self(form.required("code")?))
    }
}

async fn list_batches(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let listed = app.reception.vouchers().batches(part(window)).await.map_err(ApiError::from)?;
    Ok(edit::list(listed, window, |batch| BatchView::of(&batch)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let object = call.object()?;
    let mut form = Form::new(&object);
    let wanted = Wanted::read(&mut form, app.site.currency, &app.site.timezone);
    let Wanted(wish) = form.finish(wanted)?;
    let vouchers = app.reception.vouchers();
    let draft =
        || async { vouchers.begin_batch(&call.actor, wish.clone(), call.now).await.map_err(ApiError::from) };
    let answer = commit_answering(&app, &call, draft, |batch| Answer::created(&BatchView::of(batch))).await?;
    vouchers.work().pull();
    Ok(answer)
}

async fn get_batch(app: App, call: Call) -> Result<Answer, ApiError> {
    let batch = app.reception.vouchers().batch(reference(&call)).await.map_err(ApiError::from)?;
    Ok(Answer::ok(&BatchView::of(&batch.body)))
}

async fn forget_codes(app: App, call: Call) -> Result<Answer, ApiError> {
    let batch = app
        .reception
        .vouchers()
        .forget_codes(&call.actor, reference(&call), call.now)
        .await
        .map_err(ApiError::from)?;
    Ok(Answer::ok(&BatchView::of(&batch)))
}

async fn revoke_batch(app: App, call: Call) -> Result<Answer, ApiError> {
    let vouchers = app.reception.vouchers();
    let (reference, note) = (reference(&call), call.actor.why.as_deref());
    let draft = || async {
        vouchers.revoke_batch(&call.actor, reference, note, call.now).await.map_err(ApiError::from)
    };
    let batch = commit(&app, &call, draft).await?;
    if !batch.revocation_done {
        vouchers.take_back_all(batch.id, call.now).await.map_err(ApiError::from)?;
    }
    let owed = app.reception.owed_of_batch(batch.id, call.now).await.map_err(ApiError::from)?;
    let (pending_at_nas, shown) = (owed.len(), owed.iter().take(MOST_PENDING));
    let view = |one| owed_view(one, app.reception.attempted(one).as_ref());
    let pending = shown.map(view).collect();
    Ok(Answer::ok(&RevokedBatchView { batch: BatchView::of(&batch), pending_at_nas, pending }))
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let state = match call.query("state") {
        Some(name) => Some(VoucherState::parse(&name).ok_or_else(|| {
            let names: Vec<_> = VoucherState::ALL.iter().map(|state| state.name()).collect();
            ApiError::field("state", format!("must be one of: {}", names.join(", ")))
        })?),
        None => None,
    };
    let filter = VoucherFilter {
        batch: call.query("batch"),
        state,
        sold: call.query_as("sold")?,
        seller: call.query_as::<StaffId>("seller")?,
    };
    let listed =
        app.reception.list_vouchers(&filter, part(window), call.now).await.map_err(ApiError::from)?;
    Ok(edit::list(listed, window, |seen| VoucherView::of(&seen)))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let found = app.reception.vouchers().voucher(reference(&call)).await.map_err(ApiError::from)?;
    Ok(Answer::ok(&VoucherView::of(&app.reception.view_voucher(found, call.now))))
}

async fn look_up(app: App, call: Call) -> Result<Answer, ApiError> {
    let Typed(typed) = call.json()?;
    let not_found = || ApiError::not_found("voucher");
    let vouchers = app.reception.vouchers();
    // Whoever may look up must not be able to guess either.
    let tried = vouchers.may_try(&call.actor.id, call.now).map_err(|wait| too_many(wait.as_secs()))?;
    let code = vouchers.code_in(&typed).await.map_err(ApiError::from)?.ok_or_else(not_found)?;
    let Some(found) = vouchers.find(&code).await.map_err(ApiError::from)? else {
        tried.was_wrong(call.now);
        return Err(not_found());
    };
    if let Caller::Staff(visitor) = &call.caller
        && visitor.role == Role::Agent
        && found.voucher.sold.as_ref().is_none_or(|sold| sold.seller != visitor.staff_id)
    {
        return Err(not_found());
    }
    Ok(Answer::ok(&VoucherView::of(&app.reception.view_voucher(found, call.now))))
}

async fn revoke(app: App, call: Call) -> Result<Answer, ApiError> {
    let vouchers = app.reception.vouchers();
    let (reference, note) = (reference(&call), call.actor.why.as_deref());
    let draft =
        || async { vouchers.revoke(&call.actor, reference, note, call.now).await.map_err(ApiError::from) };
    let found = commit(&app, &call, draft).await?;
    let pending_at_nas = match &found.voucher.used {
        Some(used) => app.reception.cut(used.service_id).await.at_nas,
        None => 0,
    };
    let voucher = VoucherView::of(&app.reception.view_voucher(found, call.now));
    Ok(Answer::ok(&RevokedView { voucher, pending_at_nas }))
}

async fn replace(app: App, call: Call) -> Result<Answer, ApiError> {
    let vouchers = app.reception.vouchers();
    let (reference, note) = (reference(&call), call.actor.why.as_deref());
    let draft =
        || async { vouchers.replace(&call.actor, reference, note, call.now).await.map_err(ApiError::from) };
    commit_answering(&app, &call, draft, |replaced| {
        let Replaced { old, voucher, batch, card } = replaced;
        let state = voucher.state(batch, false, call.now);
        let seen = Seen { voucher: voucher.clone(), batch: batch.clone(), state };
        let (voucher, code) = (VoucherView::of(&seen), card.code.clone());
        Answer::created(&ReplacedView { voucher, code, replaces: old.serial() })
    })
    .await
}

async fn redeem(app: App, call: Call) -> Result<Answer, ApiError> {
    let Typed(typed) = call.json()?;
    let code = app.reception.vouchers().code_in(&typed).await.map_err(ApiError::from)?.ok_or_else(|| {
        ApiError::field(
            "code",
            "is not a voucher's code: twelve letters and digits, without 0, O, 1, I and L",
        )
    })?;
    let subscriber = match &call.caller {
        Caller::Customer(visitor) => Some(visitor.subscriber_id),
        Caller::Anonymous | Caller::Staff(_) | Caller::Program(_) | Caller::Console { .. } => None,
    };
    let device = device(&app, &call);
    if subscriber.is_none() && device.is_none() {
        return Err(ApiError::rule(
            "Use a voucher on the network that it is for, or log in as a customer first: its time begins at once.",
        ));
    }
    let source =
        Source::of(device.as_ref(), call.source).map_or_else(|| "console".to_owned(), |s| s.to_string());
    let who =
        Redeemer { subscriber, device: device.as_ref(), source: &source, begins_visit: subscriber.is_none() };
    let once = Once::of(&app, &call)?;
    if let Some(kept) = once.kept().await? {
        return with_kept_token(kept, &call);
    }
    let asked = device.is_some();
    let answer = |redeemed: &Redeemed| Answer::ok(&RedeemedView::of(redeemed, asked));
    let beside = |unit, redeemed: &Redeemed| once.keep(unit, &answer(redeemed));
    let made = app.reception.redeem(&code, who, &beside, &call.actor, call.now).await;
    let answered = once.or_kept(made.map(|redeemed| answer(&redeemed)).map_err(Into::into)).await?;
    with_kept_token(answered, &call)
}

impl From<RedeemError> for ApiError {
    fn from(error: RedeemError) -> Self {
        match error {
            RedeemError::Refused(VoucherRefusal::Unknown) => {
                Self::new(Code::NotFound, VoucherRefusal::Unknown.sentence())
                    .with_details(json!({ "reason": VoucherRefusal::Unknown.code() }))
            }
            RedeemError::Refused(why) => {
                Self::rule(why.sentence()).with_details(json!({ "reason": why.code() }))
            }
            RedeemError::TooMany(wait) => too_many(wait.as_secs()),
            RedeemError::Billing(error) => error.into(),
            RedeemError::Subscriber(error) => error.into(),
            RedeemError::People(error) => error.into(),
            RedeemError::Catalogue(error) => error.into(),
            RedeemError::Read(error) => error.into(),
            RedeemError::Commit(error) => error.into(),
            RedeemError::Text(error) => Self::internal(&error),
            RedeemError::Entropy(error) => error.into(),
        }
    }
}

fn too_many(wait_secs: i64) -> ApiError {
    let secs = u32::try_from(wait_secs.max(1)).unwrap_or(u32::MAX);
    let said = "Too many wrong codes came from there; please wait and read the code again.";
    ApiError::retry_after(Code::RateLimited, said, secs)
        .with_details(json!({ "reason": VoucherRefusal::TooMany.code() }))
}

fn unit(value: &Value) -> Result<ValidityUnit, String> {
    let wrong = |_| "must be one of: minutes, hours, days, weeks, months, years".to_owned();
    serde_json::from_value(value.clone()).map_err(wrong)
}

/// A moment of the site: a day is its beginning there.
fn moment(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let wrong = || "must be a day such as 2026-06-01, or a time such as 2026-06-01T00:00".to_owned();
    let local = match text.parse::<DateTime>() {
        Ok(local) => local,
        Err(_) => text.parse::<Date>().map_err(|_| wrong())?.to_datetime(jiff::civil::Time::midnight()),
    };
    local.to_zoned(zone.clone()).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

/// Sessions at other NAS that are listed with a batch that was taken back: a page of them.
const MOST_PENDING: usize = 50;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_life_is_the_sites_own_day() {
        let zone = TimeZone::get("Africa/Lagos").unwrap();
        let said = |text: &str| moment(text, &zone).map(|at| at.to_string());
        assert_eq!(said("2026-06-01T00:00"), Ok("2026-05-31T23:00:00Z".to_owned()));
        assert_eq!(said("2026-06-01"), Ok("2026-05-31T23:00:00Z".to_owned()));
        assert_eq!(said("2026-06-01T00:00:00Z"), Ok("2026-06-01T00:00:00Z".to_owned()));
        assert!(said("soon").is_err() && said("2026-02-30").is_err());
    }
}
