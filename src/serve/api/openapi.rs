//! The API's description, made from the table of routes: what is described is what is served.
//!
//! Two pages, made once at the start: `/openapi.json` for programs, `/docs` for people, without
//! script or anything from elsewhere. The one rule: nothing here is written by hand that the table
//! already says.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use base64::Engine;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::route::{Access, Route, Shape};
use super::router::CUSTOMER_COOKIE;
use super::shape::Answer;

/// The two routes that describe `routes` and themselves.
#[must_use]
pub fn routes(routes: &[Route]) -> Vec<Route> {
    let mut described: Vec<Route> = routes.to_vec();
    described.extend(pair(Arc::default(), Arc::default()));
    described.sort_by(|a, b| (a.path, a.method.as_str()).cmp(&(b.path, b.method.as_str())));
    pair(document(&described).to_string().into(), page(&described).into())
}

fn pair(document: Arc<str>, page: Arc<str>) -> Vec<Route> {
    let json = move |_, _| {
        let document = Arc::clone(&document);
        async move { Ok(Answer::bytes("application/json", document.as_bytes())) }
    };
    let html = move |_, _| {
        let page = Arc::clone(&page);
        async move {
            let answer = Answer::bytes("text/html; charset=utf-8", page.as_bytes());
            Ok(answer.header(CONTENT_SECURITY_POLICY, page_policy()))
        }
    };
    vec![
        Route::get("/openapi.json", Access::Public, "This description, for programs", json),
        Route::get("/docs", Access::Public, "This description, for people", html),
    ]
}

/// The OpenAPI 3.1 document of these routes.
#[must_use]
pub fn document(routes: &[Route]) -> Value {
    let mut paths = BTreeMap::<&str, Map<String, Value>>::new();
    let mut schemas = BTreeMap::<String, Value>::new();
    for route in routes.iter().filter(|route| route.access != Access::ConsoleOnly) {
        let method = route.method.as_str().to_lowercase();
        paths.entry(route.path).or_default().insert(method, operation(route));
        for shape in route.takes.iter().chain(&route.answers.1) {
            for (name, schema) in (shape.schemas)() {
                schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
            }
        }
    }
    schemas.insert("Error".into(), error_schema());
    json!({
        "openapi": "3.1.0",
        "info": { "title": "DotMac Edge", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "customer": { "type": "http", "scheme": "bearer" },
                "customer_cookie": { "type": "apiKey", "in": "cookie", "name": CUSTOMER_COOKIE },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "tags": [tag(route.path)],
        "parameters": parameters(route),
        "responses": {
            route.answers.0.to_string(): good_answer(route),
            "default": { "description": "A refusal", "content": content(&reference("Error")) },
        },
    });
    if route.access != Access::Public {
        let security = match route.access {
            Access::Customer => json!([{ "customer": [] }, { "customer_cookie": [] }]),
            Access::Public
            | Access::Staff(_)
            | Access::StaffFresh(_)
            | Access::SelfStaff
            | Access::ConsoleOnly => {
                json!([{ "bearer": [] }])
            }
        };
        set(&mut operation, "security", security);
        set(&mut operation, "description", access_name(route.access).into());
    }
    if let Some(takes) = &route.takes {
        set(&mut operation, "requestBody", json!({ "required": true, "content": content(&named(takes)) }));
    }
    operation
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn good_answer(route: &Route) -> Value {
    let mut answer = json!({ "description": route.summary });
    if let Some(shape) = &route.answers.1 {
        let one = named(shape);
        set(&mut answer, "content", content(&if route.is_list { list_schema(&one) } else { one }));
    }
    answer
}

fn parameters(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let paging: &[&str] = if route.is_list { &["page", "size", "limit", "offset"] } else { &[] };
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let path = in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text }));
    let pages = paging.iter().map(|name| json!({ "name": name, "in": "query", "schema": number }));
    let filters = route.query.iter().map(|name| json!({ "name": name, "in": "query", "schema": text }));
    path.chain(pages).chain(filters).collect()
}

fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn named(shape: &Shape) -> Value {
    reference(&(shape.name)())
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn list_schema(one: &Value) -> Value {
    let number = json!({ "type": "integer" });
    json!({
        "type": "object",
        "required": ["items", "count", "limit", "offset"],
        "properties": {
            "items": { "type": "array", "items": one },
            "count": number, "limit": number, "offset": number, "page": number, "pages": number,
            "total": number, "size": number,
        },
    })
}

fn error_schema() -> Value {
    let text = json!({ "type": "string" });
    let codes: Vec<_> = super::error::Code::ALL.iter().map(|code| code.name()).collect();
    json!({
        "type": "object",
        "required": ["code", "message", "request_id", "timestamp", "retryable"],
        "properties": {
            "code": { "type": "string", "enum": codes },
            "message": text, "detail": text, "request_id": text, "timestamp": text,
            "retryable": { "type": "boolean" },
            "details": { "type": "object" },
            "field_errors": { "type": "object", "additionalProperties": { "type": "array", "items": text } },
        },
    })
}

/// The resource's name: the part after `/api/v1`.
fn tag(path: &str) -> &str {
    let rest = path.strip_prefix("/api/v1/").unwrap_or_else(|| path.trim_start_matches('/'));
    rest.split('/').next().unwrap_or_default()
}

fn access_name(access: Access) -> String {
    match access {
        Access::Public => "anybody".to_owned(),
        Access::Staff(permission) => format!("needs {}", permission.name()),
        Access::StaffFresh(permission) => format!(
            "needs {}, and of whoever has a second factor that it was given in the last quarter of an hour",
            permission.name()
        ),
        Access::SelfStaff => "any member of staff".to_owned(),
        Access::Customer => "a subscriber, about themselves".to_owned(),
        Access::ConsoleOnly => "on the box only".to_owned(),
    }
}

fn page(routes: &[Route]) -> String {
    let mut rows = String::new();
    for route in routes {
        // Writing to a String cannot fail. All of it is ours, and none holds markup.
        let _ = writeln!(
            rows,
            "<li><code>{} {}</code><p>{}; {}.</p></li>",
            route.method,
            // A browser may break a long path after each part.
            route.path.replace('/', "/<wbr>"),
            route.summary,
            access_name(route.access),
        );
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>DotMac Edge API</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\
         <h1>DotMac Edge API</h1><p>Bodies and answers are described in <a href=\"/openapi.json\">\
         openapi.json</a>. Log in with <code>POST /api/v1/auth/login</code> and send \
         <code>Authorization: Bearer</code> with its <code>access_token</code>.</p>\n<ul>\n{rows}</ul></body></html>"
    )
}

/// Lets through exactly the page's own style.
fn page_policy() -> HeaderValue {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(crate::serve::http::guard::POLICY))
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:50rem;padding:0 1rem}\
ul{list-style:none;padding:0}li{border-bottom:1px solid #ccc;padding:.5rem 0}li code{font-weight:600}li p{margin:0}";
