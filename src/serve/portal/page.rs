//! Pages as types, and how they leave.
//!
//! The one rule: the only thing that a browser may do with a page is show it with the one style that is in
//! it and send its forms back here.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use axum::http::{Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::Portal;
use super::asked::Asked;
use super::form::Form;
use super::words::Told;

/// What is around every page.
#[derive(Clone)]
pub(super) struct Shell {
    pub(super) site: Arc<str>,
}

impl Shell {
    pub(super) fn style(&self) -> &'static str {
        STYLE
    }
}

/// `/` and `/plans`.
#[derive(Template)]
#[template(path = "plans.html")]
pub(super) struct PlansPage {
    pub(super) shell: Shell,
    pub(super) title: &'static str,
    pub(super) is_front: bool,
    pub(super) signup_open: bool,
    pub(super) plans: Vec<PlanCard>,
}

/// One plan in plain words.
pub(super) struct PlanCard {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) price: String,
    pub(super) period: String,
    pub(super) setup_fee: Option<String>,
    pub(super) down: String,
    pub(super) up: String,
    pub(super) data: String,
    pub(super) lasts: String,
    pub(super) devices: u32,
}

/// `/signup`.
#[derive(Template)]
#[template(path = "signup.html")]
pub(super) struct SignupPage {
    pub(super) shell: Shell,
    pub(super) form: Form,
}

/// `/login`, and `/customer` for strangers.
#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage {
    pub(super) shell: Shell,
    pub(super) heading: &'static str,
    pub(super) form: Form,
}

/// `/confirm`.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct ConfirmPage {
    pub(super) shell: Shell,
    pub(super) form: Form,
    pub(super) email: String,
    pub(super) access_until: Option<String>,
    /// Why no other code can be asked for now.
    pub(super) resend_wait: Option<String>,
}

/// `/confirm/{secret}`.
#[derive(Template)]
#[template(path = "link.html")]
pub(super) struct LinkPage {
    pub(super) shell: Shell,
    pub(super) form: Form,
    pub(super) email: String,
}

/// `/voucher`.
#[derive(Template)]
#[template(path = "voucher.html")]
pub(super) struct VoucherPage {
    pub(super) shell: Shell,
    pub(super) form: Form,
    /// The plan of which there is time left.
    pub(super) plan: Option<String>,
    /// Whether that would bring this device online now.
    pub(super) may_continue: bool,
}

/// A sentence, a remedy and where to go.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct MessagePage<'a> {
    pub(super) shell: Shell,
    pub(super) look: &'a str,
    pub(super) title: &'a str,
    pub(super) sentence: &'a str,
    pub(super) remedy: &'a str,
    pub(super) password: Option<&'a str>,
    pub(super) links: &'a [(&'a str, &'a str)],
}

/// `/status` and `/customer`.
#[derive(Template)]
#[template(path = "status.html")]
pub(super) struct StatusPage {
    pub(super) shell: Shell,
    pub(super) heading: &'static str,
    pub(super) here: &'static str,
    pub(super) online: Option<OnlineCard>,
    pub(super) told: Option<Told>,
    pub(super) money: Option<MoneyCard>,
    pub(super) data: Option<DataCard>,
    pub(super) service: Option<ServiceCard>,
    pub(super) devices: Vec<DeviceRow>,
    pub(super) devices_token: String,
    pub(super) shows_sessions: bool,
    pub(super) sessions: Vec<SessionRow>,
    /// Where to go first from here, and the words for it.
    pub(super) action: Option<(&'static str, &'static str)>,
    pub(super) may_log_out: bool,
    pub(super) token: String,
}

/// The devices of an account whose plan has no place left.
#[derive(Template)]
#[template(path = "devices.html")]
pub(super) struct DevicesPage {
    pub(super) shell: Shell,
    pub(super) told: Told,
    pub(super) devices: Vec<DeviceRow>,
    pub(super) token: String,
}

/// One device in a list.
pub(super) struct DeviceRow {
    pub(super) session: String,
    pub(super) name: String,
    pub(super) since: String,
    pub(super) received: String,
    pub(super) is_here: bool,
}

/// What a device is doing online.
pub(super) struct OnlineCard {
    pub(super) title: String,
    pub(super) since: String,
    pub(super) down: String,
    pub(super) up: String,
    pub(super) time_left: String,
    /// Whether what ends is the session only, so that a login brings it back.
    pub(super) may_return: bool,
    pub(super) ends: Option<String>,
    pub(super) received: String,
    pub(super) sent: String,
}

/// What somebody has with us and owes.
pub(super) struct MoneyCard {
    pub(super) wallet: String,
    pub(super) owed: Option<String>,
    pub(super) due: Option<String>,
    pub(super) has_service: bool,
    pub(super) can_add: bool,
    pub(super) can_pause: bool,
}

/// Data that is left.
pub(super) struct DataCard {
    pub(super) left: String,
    pub(super) of: Option<String>,
    pub(super) percent: Option<u64>,
}

/// A service as its owner sees it.
pub(super) struct ServiceCard {
    pub(super) plan: String,
    pub(super) owner: String,
    pub(super) number: String,
    pub(super) status: &'static str,
    pub(super) price: String,
    pub(super) from: Option<String>,
    pub(super) until: Option<String>,
    pub(super) received: String,
    pub(super) sent: String,
}

/// One session in a list.
pub(super) struct SessionRow {
    pub(super) began: String,
    pub(super) lasted: String,
    pub(super) received: String,
    pub(super) sent: String,
    pub(super) device: String,
}

/// Where to go from a message: path and words, the likeliest first.
#[derive(Clone, Copy)]
pub(super) struct Links(pub(super) &'static [(&'static str, &'static str)]);

/// A page for this client.
pub(super) fn page(asked: &Asked, status: StatusCode, template: &impl Template) -> Response<Body> {
    let mut response = render(status, template);
    if let Some(cookie) = asked.browser_cookie() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// A page that says one thing: its look, title, sentence and remedy.
pub(super) fn message(
    portal: &Portal,
    asked: &Asked,
    status: StatusCode,
    (look, title, sentence, remedy): (&str, &str, &str, &str),
    links: Links,
) -> Response<Body> {
    let shell = portal.shell();
    let page_ = MessagePage { shell, look, title, sentence, remedy, password: None, links: links.0 };
    page(asked, status, &page_)
}

/// The same of what [`super::words`] made.
pub(super) fn told(
    portal: &Portal,
    asked: &Asked,
    status: StatusCode,
    told: &Told,
    links: Links,
) -> Response<Body> {
    message(portal, asked, status, (told.look, &told.title, &told.sentence, &told.remedy), links)
}

/// A page about a request that no handler took.
pub(super) fn bare(shell: Shell, status: StatusCode, title: &str, sentence: &str) -> Response<Body> {
    let links = &[("/", "To the first page")];
    let page = MessagePage { shell, look: "alert", title, sentence, remedy: "", password: None, links };
    render(status, &page)
}

/// A page for faults of ours; what it was goes to the log.
pub(super) fn our_fault(portal: &Portal, asked: &Asked, fault: &dyn std::fmt::Display) -> Response<Body> {
    tracing::error!(%fault, "A page failed by our fault");
    let links = Links(&[("/", "To the first page")]);
    let sentence = "Something went wrong on our side.";
    let remedy = "Please try again in a minute. If it stays so, tell the people who run this network.";
    let said = ("alert", "That is our fault", sentence, remedy);
    message(portal, asked, StatusCode::SERVICE_UNAVAILABLE, said, links)
}

/// 303: to a page of ours, by a path that is written here and nowhere else.
pub(super) fn go(to: &'static str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
    with_cookies(response, cookies)
}

/// The same answer with these cookies.
pub(super) fn with_cookies(
    mut response: Response<Body>,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response<Body> {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn render(status: StatusCode, template: &impl Template) -> Response<Body> {
    let (status, text) = match template.render() {
        Ok(text) => (status, text),
        Err(error) => {
            tracing::error!(%error, "A page could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.".to_owned())
        }
    };
    metrics::counter!("portal_pages_total", "status" => status.as_u16().to_string()).increment(1);
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The only style, in every page: one request, nothing to load while captive.
const STYLE: &str = include_str!("templates/style.css");

/// The style by its hash; images only as data in the page (the empty icon); forms only to ourselves.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'"
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours of a scheme by name: the first scheme is the light one, the second the dark.
    fn colours(scheme: usize) -> Vec<(&'static str, u32)> {
        let block = STYLE.split(":root{").nth(scheme).unwrap().split('}').next().unwrap();
        let pairs = block.split(';').map(|pair| pair.split_once(":#").unwrap());
        let colour = |(name, hex): (&'static str, &str)| {
            let long: String =
                if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.into() };
            (name, u32::from_str_radix(&long, 16).unwrap())
        };
        pairs.map(colour).collect()
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(colour: u32) -> f64 {
        let [_, red, green, blue] = colour.to_be_bytes().map(|octet| {
            let part = f64::from(octet) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn every_text_is_told_from_its_ground_and_every_edge_and_focus_too() {
        // Level AA: 4.5 for text, 3 for what shows where a field, a button or the focus is.
        let pairs = [
            ("ink", "bg card note goodbg badbg", 4.5),
            ("soft", "bg card note goodbg badbg", 4.5),
            ("go", "bg card note", 4.5),
            ("go", "goodbg badbg", 4.5),
            ("on", "go go2", 4.5),
            ("good", "goodbg", 4.5),
            ("bad", "badbg card", 4.5),
            ("edge", "bg card", 3.0),
            ("go", "line", 3.0),
        ];
        for (scheme, word) in [(1, "light"), (2, "dark")] {
            let colours = colours(scheme);
            let of = |name: &str| {
                let found = colours.iter().find(|(known, _)| *known == format!("--{name}"));
                luminance(found.unwrap_or_else(|| panic!("no {name}")).1)
            };
            for (front, grounds, least) in pairs {
                for ground in grounds.split(' ') {
                    let (one, other) = (of(front), of(ground));
                    let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    assert!(contrast >= least, "{front} on {ground}, {word}: {contrast:.2} of {least}");
                }
            }
        }
    }
}
