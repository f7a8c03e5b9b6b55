//! Customers over HTTP: entered, read, changed, closed, and imported from a roster.
//!
//! The one rule: deleting a customer closes the account; the record stays.

use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::commit::commit_answering;
use super::edit::{self, expected, form, part, reference, tagged};
use super::error::ApiError;
use super::route::{Access, IMPORT_LIMIT, Route};
use super::shape::Answer;
use crate::base::secret::Secret;
use crate::catalogue::directory::{CustomerFilter, CustomerView as Kept};
use crate::catalogue::fault::Fault;
use crate::catalogue::form::{Form, Said};
use crate::catalogue::import::{Part, Register, Report};
use crate::catalogue::plan_form::named;
use crate::catalogue::roster::{BadLine, Person, split_name};
use crate::catalogue::standing::CustomerStatus;
use crate::domain::language::Language;
use crate::domain::role::Permission;
use crate::domain::subscriber::{Address, Category, Standing, Subscriber};
use crate::domain::text::{Code, Email, Line, Phone};
use crate::people::subscribers::{Details, PortalPassword, SubscriberError};

/// The routes of customers.
#[must_use]
pub fn routes() -> Vec<Route> {
    let reading = Access::Staff(Permission::CustomersRead);
    let writing = Access::Staff(Permission::CustomersWrite);
    let importing = Access::Staff(Permission::ServicesWrite);
    vec![
        Route::get("/api/v1/customers", reading, "List customers", list)
            .query(&["search", "status"])
            .lists::<CustomerView>(),
        Route::post("/api/v1/customers", writing, "Enter a customer", create)
            .takes::<CustomerBody>()
            .answers::<EnteredView>(201),
        Route::post("/api/v1/customers/import", importing, "Import a roster in CSV", import)
            .query(&["dry_run", "from_line"])
            .body_limit(IMPORT_LIMIT)
            .answers::<ReportView>(200),
        Route::get("/api/v1/customers/{id}", reading, "Read a customer by id or customer number", get)
            .answers::<CustomerView>(200),
        Route::patch("/api/v1/customers/{id}", writing, "Change a customer", change)
            .takes::<CustomerBody>()
            .answers::<CustomerView>(200),
        Route::delete("/api/v1/customers/{id}", writing, "Close a customer's account", close)
            .answers::<CustomerView>(200),
        Route::post(
            "/api/v1/customers/{id}/reset-portal-password",
            writing,
            "Give a customer another portal password",
            reset_portal_password,
        )
        .takes::<PortalPasswordBody>()
        .answers::<EnteredView>(200),
    ]
}

/// What enters or changes a customer. `name` may stand for both names, and an address may be a text.
#[derive(Debug, ToSchema)]
pub struct CustomerBody {
    /// The ISP's own number; counted up unless given.
    pub customer_number: Option<String>,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// E-mail address, unique.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// What messages are written in (`en`, `fr`, `sw` …), where it is not the site's language.
    pub language: Option<String>,
    /// Where bills go.
    pub billing_address: Option<AddressView>,
    /// Where the service is.
    pub service_address: Option<AddressView>,
    /// `residential` (unless said), `business`, `government`, `ngo`.
    pub category: Option<String>,
    /// `open` or `closed`.
    pub standing: Option<String>,
    /// The record's version that the change is about.
    pub version: Option<u64>,
}

/// What gives a customer another portal password.
#[derive(Debug, ToSchema)]
pub struct PortalPasswordBody {
    /// The password; made, and shown once, unless given.
    pub password: Option<String>,
    /// The record's version that the change is about.
    pub version: Option<u64>,
}

/// A customer as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerView {
    /// Identity.
    pub id: String,
    /// The ISP's own number.
    pub customer_number: String,
    /// Eight characters to log in with.
    pub portal_id: String,
    /// Given and family name.
    pub display_name: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// What messages are written in (`en`, `fr`, `sw` …), where it is not the site's language.
    pub language: Option<String>,
    /// Where bills go.
    pub billing_address: AddressView,
    /// Where the service is.
    pub service_address: AddressView,
    /// What kind of customer.
    #[schema(value_type = String)]
    pub category: Category,
    /// `open` or `closed`.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// `new`, `active`, `suspended`, `disabled`: derived from the services.
    pub status: &'static str,
    /// How many services there are.
    pub services_count: usize,
    /// When the record was made.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// The version to expect when changing it.
    pub version: u64,
}

/// A postal address.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddressView {
    /// Street and number.
    pub street: String,
    /// Town.
    pub city: String,
    /// State or region.
    pub state: String,
    /// Postal code.
    pub zip: String,
    /// Country.
    pub country: String,
}

/// A customer whose portal password was just set.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnteredView {
    /// The customer.
    #[serde(flatten)]
    pub customer: CustomerView,
    /// The portal password; shown this once.
    pub portal_password: Option<String>,
}

/// What an import came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportView {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// New customers.
    pub created: u64,
    /// Customers that changed or got a service.
    pub updated: u64,
    /// Lines that changed nothing.
    pub unchanged: u64,
    /// Services put on their way.
    pub services: u64,
    /// Lines that were not taken.
    pub failed: Vec<BadLineView>,
    /// The line to go on from, as `from_line`, where the roster is longer than one request takes.
    pub next_line: Option<u64>,
    /// Network passwords that were made; shown this once.
    pub credentials: Vec<CredentialView>,
}

/// A line that was not taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct BadLineView {
    /// Which line, from 1.
    pub line: u64,
    /// Which column; empty for the line as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// A network password that was made for a line.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialView {
    /// The line.
    pub line: u64,
    /// Whose.
    pub customer_number: String,
    /// The login.
    pub username: String,
    /// Its password.
    pub network_password: String,
}

impl CustomerView {
    fn of(kept: &Kept) -> Self {
        Self::with(&kept.subscriber, kept.version, kept.status, kept.services.len())
    }

    fn with(one: &Subscriber, version: u64, status: CustomerStatus, services_count: usize) -> Self {
        Self {
            id: one.id.to_string(),
            customer_number: one.customer_number.to_string(),
            portal_id: one.portal_id.to_string(),
            display_name: one.display_name(),
            first_name: one.first_name.to_string(),
            last_name: one.last_name.to_string(),
            email: one.email.as_ref().map(ToString::to_string),
            phone: one.phone.as_ref().map(ToString::to_string),
            language: one.language.as_ref().map(ToString::to_string),
            billing_address: AddressView::of(&one.billing_address),
            service_address: AddressView::of(&one.service_address),
            category: one.category,
            standing: one.standing,
            status: status.name(),
            services_count,
            created_at: one.created_at.to_string(),
            updated_at: one.updated_at.to_string(),
            version,
        }
    }
}

impl EnteredView {
    fn of(customer: CustomerView, password: Option<&Secret>) -> Self {
        let portal_password = password.and_then(Secret::expose_text).map(str::to_owned);
        Self { customer, portal_password }
    }
}

impl AddressView {
    fn of(address: &Address) -> Self {
        let Address { street, city, state, zip, country } = address.clone();
        Self { street, city, state, zip, country }
    }
}

impl From<BadLine> for BadLineView {
    fn from(bad: BadLine) -> Self {
        Self { line: bad.line, field: bad.field, message: bad.message }
    }
}

impl ReportView {
    pub(super) fn of(report: Report, dry_run: bool) -> Self {
        let credential = |made: crate::catalogue::import::MadeCredential| CredentialView {
            line: made.line,
            customer_number: made.customer_number,
            username: made.username,
            network_password: made.network_password.expose_text().unwrap_or_default().to_owned(),
        };
        // What a dry run made is thrown away, and so must never be handed out.
        let credentials = if dry_run { Vec::new() } else { report.credentials };
        Self {
            dry_run,
            created: report.created,
            updated: report.updated,
            unchanged: report.unchanged,
            services: report.services,
            next_line: report.next_line,
            failed: report.failed.into_iter().map(BadLineView::from).collect(),
            credentials: credentials.into_iter().map(credential).collect(),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let status =
        match call.query("status") {
            Some(text) => Some(CustomerStatus::parse(&text).ok_or_else(|| {
                ApiError::field("status", "must be one of new, active, suspended, disabled")
            })?),
            None => None,
        };
    let filter = CustomerFilter { search: call.query("search"), status };
    let listed = app.catalogue.directory.list(&filter, part(window), call.now).await?;
    Ok(edit::list(listed, window, |kept| CustomerView::of(&kept)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let details = read(form(&call)?, None)?;
    commit_answering(
        &app,
        &call,
        || app.subscribers.create(&call.actor, details.clone(), call.now),
        |entered| {
            let customer = CustomerView::with(&entered.subscriber, 1, CustomerStatus::New, 0);
            tagged(Answer::created(&EnteredView::of(customer, entered.portal_password.as_ref())), 1)
        },
    )
    .await
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let kept = app.catalogue.directory.get(reference(&call), call.now).await?;
    Ok(tagged(Answer::ok(&CustomerView::of(&kept)), kept.version))
}

async fn change(app: App, call: Call) -> Result<Answer, ApiError> {
    let expected = expected(&call, &mut form(&call)?, &["version"])?;
    let held = app.catalogue.directory.get(reference(&call), call.now).await?;
    let wish = |held: &Subscriber| Ok::<_, ApiError>(read(Form::read(&call.body)?, Some(held))?);
    commit_answering(
        &app,
        &call,
        || app.subscribers.change(&call.actor, reference(&call), expected, wish, call.now),
        |changed| {
            let status = held.status_of(changed.subscriber.standing);
            let view = CustomerView::with(&changed.subscriber, changed.version, status, held.services.len());
            tagged(Answer::ok(&view), changed.version)
        },
    )
    .await
}

async fn close(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    form.finish(Some(()))?;
    let held = app.catalogue.directory.get(reference(&call), call.now).await?;
    commit_answering(
        &app,
        &call,
        || app.subscribers.close(&call.actor, reference(&call), expected, call.now),
        |closed| {
            let services = held.services.len();
            let view =
                CustomerView::with(&closed.subscriber, closed.version, CustomerStatus::Disabled, services);
            tagged(Answer::ok(&view), closed.version)
        },
    )
    .await
}

async fn reset_portal_password(app: App, call: Call) -> Result<Answer, ApiError> {
    let mut form = form(&call)?;
    let expected = expected(&call, &mut form, &["version"])?;
    let given =
        form.nullable(&["password", "portal_password"], None, |text| Ok::<_, &str>(Secret::from_text(text)));
    form.finish(Some(()))?;
    let held = app.catalogue.directory.get(reference(&call), call.now).await?;
    let subscribers = &app.subscribers;
    commit_answering(
        &app,
        &call,
        || {
            subscribers.reset_portal_password(
                &call.actor,
                reference(&call),
                expected,
                given.clone(),
                call.now,
            )
        },
        |set| {
            let customer = CustomerView::with(&set.subscriber, set.version, held.status, held.services.len());
            tagged(Answer::ok(&EnteredView::of(customer, Some(&set.portal_password))), set.version)
        },
    )
    .await
}

async fn import(app: App, call: Call) -> Result<Answer, ApiError> {
    call.expect_type(&["text/csv"])?;
    let dry_run = call.query_as("dry_run")?.unwrap_or(false);
    let part = Part { from_line: call.query_as("from_line")?.unwrap_or(0), dry_run };
    let register = register(&app, &call);
    let report = app.catalogue.import.run(&register, &call.actor, &call.body, part, call.now).await?;
    Ok(Answer::ok(&ReportView::of(report, dry_run)))
}

/// Lets the import enter customers on behalf of the caller.
pub(super) fn register<'a>(app: &'a App, call: &'a Call) -> Register<'a> {
    let subscribers = &app.subscribers;
    Register {
        enter: Box::new(move |unit, person| {
            let later = PortalPassword::Later;
            Box::pin(async move {
                let draft = subscribers.create_in(unit, &call.actor, details(person, None), later, call.now);
                Ok(draft.await.map_err(fault)?.map(|entered| entered.subscriber))
            })
        }),
        amend: Box::new(move |unit, held, person| {
            Box::pin(async move {
                let details = details(person, Some(&held.body));
                let draft = subscribers.change_in(unit, &call.actor, held, details, call.now);
                Ok(draft.await.map_err(fault)?.map(|changed| changed.subscriber))
            })
        }),
    }
}

/// What a roster's line leaves out stays as it is.
fn details(person: Person, held: Option<&Subscriber>) -> Details {
    let service_address = held.map(|held| held.service_address.clone()).unwrap_or_default();
    let billing_address = match held {
        Some(held) if person.billing_address == Address::default() => held.billing_address.clone(),
        Some(_) | None => person.billing_address,
    };
    Details {
        customer_number: person.customer_number,
        first_name: person.first_name,
        last_name: person.last_name,
        email: person.email.or_else(|| held.and_then(|held| held.email.clone())),
        phone: person.phone.or_else(|| held.and_then(|held| held.phone.clone())),
        language: held.and_then(|held| held.language.clone()),
        billing_address,
        service_address,
        category: person.category.or_else(|| held.map(|held| held.category)).unwrap_or_default(),
        standing: person.standing.or_else(|| held.map(|held| held.standing)).unwrap_or_default(),
    }
}

fn fault(error: SubscriberError) -> Fault {
    match error {
        SubscriberError::NotFound(reference) => Fault::not_found("customer", reference),
        SubscriberError::Taken { field } => Fault::Taken { field, value: "this value".to_owned() },
        SubscriberError::Stale { expected, is } => Fault::Stale { expected, is },
        SubscriberError::Weak(_)
        | SubscriberError::Exhausted(_)
        | SubscriberError::Password(_)
        | SubscriberError::Audit(_) => Fault::Rule(error.to_string()),
        SubscriberError::Read(error) => error.into(),
        SubscriberError::Commit(error) => error.into(),
        SubscriberError::Entropy(error) => error.into(),
    }
}

/// Reads a customer; over `held`, only the fields that are there differ from it.
pub(super) fn read(mut form: Form, held: Option<&Subscriber>) -> Result<Details, Fault> {
    let number = held.map(|held| held.customer_number.clone());
    let customer_number = form.nullable(&["customer_number"], number, Code::parse);
    let names = names(&mut form, held);
    let email = form.nullable(&["email"], held.and_then(|held| held.email.clone()), Email::parse);
    let phone = form.nullable(&["phone"], held.and_then(|held| held.phone.clone()), Phone::parse);
    let language = form.nullable(&["language"], held.and_then(|held| held.language.clone()), Language::parse);
    let billing = held.map(|held| held.billing_address.clone()).unwrap_or_default();
    let billing_address = address(&mut form, &["billing_address", "address"], billing);
    let service = held.map(|held| held.service_address.clone()).unwrap_or_default();
    let service_address = address(&mut form, &["service_address"], service);
    let category = Some(held.map(|held| held.category).unwrap_or_default());
    let category = form.required(&["category", "customer_type"], category, |text| {
        named::<Category>(text).ok_or("must be residential, business, government or ngo")
    });
    let standing = Some(held.map(|held| held.standing).unwrap_or_default());
    let standing = form
        .required(&["standing"], standing, |text| named::<Standing>(text).ok_or("must be open or closed"));
    let details =
        names.zip(category.zip(standing)).map(|((first_name, last_name), (category, standing))| Details {
            customer_number,
            first_name,
            last_name,
            email,
            phone,
            language,
            billing_address,
            service_address,
            category,
            standing,
        });
    form.finish(details)
}

pub(super) fn names(form: &mut Form, held: Option<&Subscriber>) -> Option<(Line, Line)> {
    let whole = ["name", "full_name", "display_name"];
    if form.has(&whole) && !form.has(&["first_name", "last_name"]) {
        return form.required(&whole, None, |name| {
            split_name(name).ok_or("must be of two words; or give first_name and last_name")
        });
    }
    let first = form.required(&["first_name"], held.map(|held| held.first_name.clone()), Line::parse);
    let last = form.required(&["last_name"], held.map(|held| held.last_name.clone()), Line::parse);
    first.zip(last)
}

/// An address as an object, part by part, or as one text.
pub(super) fn address(form: &mut Form, names: &[&str], held: Address) -> Address {
    let Some(name) = names.iter().copied().find(|name| form.has(&[*name])) else { return held };
    let Some(mut inner) = form.inner(name) else {
        return match form.parsed(&[name], Line::parse) {
            Said::Value(line) => Address { street: line.into(), ..Address::default() },
            Said::Null => Address::default(),
            Said::Nothing => held,
        };
    };
    let mut part = |names: &[&str], held: String| {
        inner.nullable(names, Line::parse(&held).ok(), Line::parse).map(String::from).unwrap_or_default()
    };
    let address = Address {
        street: part(&["street", "street_address", "address", "line1"], held.street),
        city: part(&["city"], held.city),
        state: part(&["state", "state_province"], held.state),
        zip: part(&["zip", "zip_code", "postal_code"], held.zip),
        country: part(&["country"], held.country),
    };
    form.close(inner);
    address
}
