//! The table of routes, and the router made from it.
//!
//! One [`Route`] says everything about a method of a path: who may call it, what it takes and
//! answers, and the handler. Router, access check, OpenAPI description and the tests of roles all
//! read this table. The one rule: a route that does not declare its access cannot be written down.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::Method;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::app::App;
use super::call::Call;
use super::error::ApiError;
use super::shape::Answer;
use crate::domain::role::{Permission, Role};

/// One method of one path.
#[derive(Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; parameters as `{id}`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Query parameters beside those of a list.
    pub query: &'static [&'static str],
    /// Whether it answers a page of a list.
    pub is_list: bool,
    /// What it takes.
    pub takes: Option<Shape>,
    /// Status and body of its good answer.
    pub answers: (u16, Option<Shape>),
    /// Largest body, octets.
    pub body_limit: usize,
    /// Whether the portal's listener serves it too, so that a subscriber's browser needs one origin.
    pub on_portal: bool,
    /// What it runs.
    pub(super) handler: Handler,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody; the handler may look at who it is.
    Public,
    /// Staff whose role has this permission, and the console.
    Staff(Permission),
    /// The same where money leaves or a secret is shown or made: somebody with a second factor must have
    /// given it lately, and a reason is kept where one was sent.
    StaffFresh(Permission),
    /// Any member of staff, about themselves; and the console.
    SelfStaff,
    /// A subscriber, about themselves; nobody else.
    Customer,
    /// Only a process on this machine over the control socket.
    ConsoleOnly,
}

impl Access {
    /// Whether a caller in that role passes; `None` is nobody. The console is not a role, and no role is a
    /// subscriber.
    #[must_use]
    pub fn admits(self, role: Option<Role>) -> bool {
        match self {
            Self::Public => true,
            Self::Staff(permission) | Self::StaffFresh(permission) => {
                role.is_some_and(|role| role.may(permission))
            }
            Self::SelfStaff => role.is_some(),
            Self::ConsoleOnly | Self::Customer => false,
        }
    }
}

impl Access {
    /// Whether a program whose key has these scopes passes.
    #[must_use]
    pub fn admits_program(self, scopes: &[Permission]) -> bool {
        match self {
            Self::Public => true,
            Self::Staff(permission) | Self::StaffFresh(permission) => scopes.contains(&permission),
            Self::SelfStaff | Self::ConsoleOnly | Self::Customer => false,
        }
    }
}

/// A body's name and schemas, for the API's description.
#[derive(Clone, Copy)]
pub struct Shape {
    /// The schema's name.
    pub name: fn() -> String,
    /// The schema and those that it refers to.
    pub schemas: fn() -> Schemas,
}

/// Schemas by name.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

impl Shape {
    /// The shape of a type.
    #[must_use]
    pub fn of<T: ToSchema>() -> Self {
        Self {
            name: || T::name().into_owned(),
            schemas: || {
                let mut schemas = vec![(T::name().into_owned(), T::schema())];
                T::schemas(&mut schemas);
                schemas
            },
        }
    }
}

/// What a route runs.
pub(super) type Handler = Arc<dyn Fn(App, Call) -> Running + Send + Sync>;
/// A handler at work.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;

impl Route {
    /// A route with an own method; prefer [`Route::get`] and its kin.
    pub fn new<H, F>(
        method: Method,
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Fn(App, Call) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |app, call| Box::pin(handler(app, call)));
        Self {
            method,
            path,
            access,
            summary,
            query: &[],
            is_list: false,
            takes: None,
            answers: (200, None),
            body_limit: BODY_LIMIT,
            on_portal: false,
            handler,
        }
    }

    /// The same route with these query parameters.
    #[must_use]
    pub const fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    /// The same route, taking this body.
    #[must_use]
    pub fn takes<T: ToSchema>(mut self) -> Self {
        self.takes = Some(Shape::of::<T>());
        self
    }

    /// The same route, answering this body with this status.
    #[must_use]
    pub fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        self.answers = (status, Some(Shape::of::<T>()));
        self
    }

    /// The same route, answering a page of these.
    #[must_use]
    pub fn lists<T: ToSchema>(mut self) -> Self {
        self.is_list = true;
        self.answers::<T>(200)
    }

    /// The same route, served by the portal's listener too.
    #[must_use]
    pub const fn on_portal(mut self) -> Self {
        self.on_portal = true;
        self
    }

    /// The same route with another limit of its body, octets.
    #[must_use]
    pub const fn body_limit(mut self, limit: usize) -> Self {
        self.body_limit = limit;
        self
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $method:ident),+ $(,)?) => {
        impl Route {$(
            $(#[$doc])*
            pub fn $name<H, F>(path: &'static str, access: Access, summary: &'static str, handler: H) -> Self
            where
                H: Fn(App, Call) -> F + Send + Sync + 'static,
                F: Future<Output = Result<Answer, ApiError>> + Send + 'static,
            {
                Self::new(Method::$method, path, access, summary, handler)
            }
        )+}
    };
}

methods! {
    /// Reads.
    get = GET,
    /// Creates or does.
    post = POST,
    /// Changes the given fields.
    patch = PATCH,
    /// Replaces.
    put = PUT,
    /// Removes.
    delete = DELETE,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.access)
    }
}

/// Another path for a route; routing only. Left out where the native path does not exist.
#[derive(Debug, Clone, Copy)]
pub struct Alias {
    /// What some frontend asks for.
    pub path: &'static str,
    /// Where that is with us.
    pub native: &'static str,
}

/// All routes by path.
pub(super) struct Table {
    pub(super) paths: BTreeMap<String, Methods>,
}

/// The methods of one path.
pub(super) type Methods = Arc<BTreeMap<&'static str, Route>>;

/// The table contradicts itself: our fault, found at the start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{method} {path} is declared twice")]
pub struct RouteFault {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
}

impl Table {
    /// Sorts routes by path and adds the aliases whose native path exists, and every `/api/v1`
    /// path again under the prefix of the customer app.
    pub(super) fn new(routes: Vec<Route>, aliases: &[Alias]) -> Result<Self, RouteFault> {
        let mut by_path = BTreeMap::<&'static str, BTreeMap<&'static str, Route>>::new();
        for route in routes {
            let method = method_name(&route.method);
            let fault = RouteFault { method: method.into(), path: route.path.into() };
            if by_path.entry(route.path).or_default().insert(method, route).is_some() {
                return Err(fault);
            }
        }
        let native: BTreeMap<_, Methods> =
            by_path.into_iter().map(|(path, methods)| (path, Arc::new(methods))).collect();
        let mut paths: BTreeMap<String, Methods> =
            native.iter().map(|(path, methods)| ((*path).to_owned(), Arc::clone(methods))).collect();
        for alias in aliases {
            if let Some(methods) = native.get(alias.native) {
                paths.entry(alias.path.to_owned()).or_insert_with(|| Arc::clone(methods));
            }
        }
        let prefixed: Vec<_> = paths
            .iter()
            .filter_map(|(path, methods)| {
                let rest = path.strip_prefix(NATIVE_PREFIX)?;
                Some((format!("{APP_PREFIX}{rest}"), Arc::clone(methods)))
            })
            .collect();
        // What a resource declares under the app's prefix itself stands.
        for (path, methods) in prefixed {
            paths.entry(path).or_insert(methods);
        }
        Ok(Self { paths })
    }
}

fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "OTHER",
    }
}

/// Largest body unless a route says otherwise: every JSON body of ours fits many times over.
pub const BODY_LIMIT: usize = 64 * 1024;
/// Largest body of a bulk import: about 50,000 lines.
pub const IMPORT_LIMIT: usize = 8 * 1024 * 1024;
/// Where the native surface is.
const NATIVE_PREFIX: &str = "/api/v1/";
/// Where the customer app of the field looks for the same.
const APP_PREFIX: &str = "/api/isp/v1/";
