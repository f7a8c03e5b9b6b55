//! Calls to other people's servers: payment providers, SMS services, webhooks of the ISP's own programs.
//!
//! Two kinds. A *trusted* one calls only the origins that the configuration names, so nobody who fills in a
//! form decides where it goes. A *public* one calls what staff typed in, and therefore never this machine, its
//! networks, its provider's metadata service or anything else that is not the public Internet: each address is
//! looked at after the name was resolved, and the connection goes to the very address that was looked at.
//!
//! The one rule: HTTPS, no redirects, bounded in time and size. Without TLS only to this machine or a private
//! address, and only where the configuration says so.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use zeroize::Zeroizing;

use crate::base::secret::Secret;

/// What makes calls; cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    client: reqwest::Client,
    reach: Reach,
}

/// Tells the addresses that this machine has now.
pub type OwnAddresses = Arc<dyn Fn() -> Vec<IpAddr> + Send + Sync>;

/// Where calls may go.
#[derive(Clone)]
enum Reach {
    Public(OwnAddresses),
    Trusted(Arc<[Origin]>),
}

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// What came back, whatever its status; a redirect is an answer like any other.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(Cow<'static, str>, Secret)>,
    body: Vec<u8>,
}

/// Why there is no answer. Never holds the URL, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// It may not be called; nothing was sent.
    #[error("{0}")]
    Forbidden(String),
    /// No connection came about; nothing was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// It was sent, wholly or in part, and no whole answer came: it may have been carried out.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The answer is larger than [`MAX_REPLY`].
    #[error("the answer is larger than {MAX_REPLY} octets")]
    TooLarge,
    /// The client cannot be made, or the request is none: ours.
    #[error("the call cannot be made: {0}")]
    Ours(String),
}

impl Outbound {
    /// Calls to the public Internet and nowhere else; `own` tells the addresses of this machine.
    ///
    /// # Errors
    /// [`OutboundError::Ours`] when TLS cannot be set up.
    pub fn public(own: OwnAddresses) -> Result<Self, OutboundError> {
        let resolver = Public { own: Arc::clone(&own) };
        // No connection is kept: who was public when it was opened may not be later.
        let builder = builder(PUBLIC_TOTAL).pool_max_idle_per_host(0).dns_resolver(Arc::new(resolver));
        Ok(Self { client: built(builder)?, reach: Reach::Public(own) })
    }

    /// Calls to the origins of these URLs and nowhere else.
    ///
    /// # Errors
    /// [`OutboundError::Forbidden`] for a URL that is none, or that goes without TLS to where others can listen.
    pub fn trusted<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, OutboundError> {
        let origins = urls.into_iter().map(|url| Origin::of(&parsed(url)?)).collect::<Result<Vec<_>, _>>()?;
        let builder = builder(TRUSTED_TOTAL).dns_resolver(Arc::new(Named));
        Ok(Self { client: built(builder)?, reach: Reach::Trusted(origins.into()) })
    }

    /// Whether that URL may be called, as far as can be told before its name is resolved.
    ///
    /// # Errors
    /// [`OutboundError::Forbidden`] with the reason.
    pub fn check(&self, url: &str) -> Result<(), OutboundError> {
        self.admit(&parsed(url)?)
    }

    /// Makes a call.
    ///
    /// # Errors
    /// [`OutboundError`]; only after `NoAnswer` and `TooLarge` may the call have been carried out.
    pub async fn send(&self, request: &Request) -> Result<Reply, OutboundError> {
        let url = parsed(&request.url)?;
        self.admit(&url)?;
        let call = self
            .client
            .request(request.method.clone(), url)
            .headers(request.header_map()?)
            .body(request.body.clone());
        let mut answer = call.send().await.map_err(fault)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(fault)? {
            if body.len().saturating_add(chunk.len()) > MAX_REPLY {
                return Err(OutboundError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body })
    }

    fn admit(&self, url: &Url) -> Result<(), OutboundError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(forbidden("a login does not belong into a URL"));
        }
        match &self.reach {
            Reach::Trusted(origins) if origins.contains(&Origin::of(url)?) => Ok(()),
            Reach::Trusted(_) => {
                Err(forbidden("this server is not among those that the configuration names"))
            }
            Reach::Public(_) if url.scheme() != "https" => Err(forbidden("only https:// is called")),
            // A literal address is connected to without being resolved.
            Reach::Public(own) => match literal(url) {
                Some(address) if !is_public(address) || own().contains(&address) => {
                    Err(forbidden(NOT_PUBLIC))
                }
                Some(_) | None => Ok(()),
            },
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reach {
            Reach::Public(_) => f.write_str("Outbound(public)"),
            Reach::Trusted(origins) => write!(f, "Outbound({origins:?})"),
        }
    }
}

impl Request {
    /// A `GET`.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A `POST` of these octets.
    #[must_use]
    pub fn post(url: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let (url, body) = (url.into(), body.into());
        Self { method: Method::POST, url, headers: Vec::new(), body }
            .header(CONTENT_TYPE_NAME, &Secret::from_text(content_type))
    }

    /// With a header; its value is treated as a secret.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: &Secret) -> Self {
        self.headers.push((name.into(), value.clone()));
        self
    }

    /// With a token (RFC 6750).
    #[must_use]
    pub fn bearer(self, token: &Secret) -> Self {
        let value = Zeroizing::new([b"Bearer ", token.expose()].concat());
        self.header(AUTHORIZATION_NAME, &Secret::new(value.as_slice()))
    }

    /// With a login (RFC 7617).
    #[must_use]
    pub fn basic(self, login: &str, password: &Secret) -> Self {
        let pair = Zeroizing::new([login.as_bytes(), b":", password.expose()].concat());
        let value = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_slice())));
        self.header(AUTHORIZATION_NAME, &Secret::from_text(&value))
    }

    fn header_map(&self) -> Result<HeaderMap, OutboundError> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| OutboundError::Ours(format!("{name} is no header's name")))?;
            let mut value = HeaderValue::from_bytes(value.expose())
                .map_err(|_| OutboundError::Ours(format!("what {name} should hold does not fit a header")))?;
            value.set_sensitive(name != CONTENT_TYPE);
            map.insert(name, value);
        }
        debug_assert!(AUTHORIZATION_NAME == AUTHORIZATION.as_str());
        Ok(map)
    }
}

impl Reply {
    /// Whether the server says that it did what was asked for.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({}, {} octets)", self.status, self.body.len())
    }
}

impl Origin {
    fn of(url: &Url) -> Result<Self, OutboundError> {
        let host = url.host_str().ok_or_else(|| forbidden("the URL names no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| forbidden("the URL names no port"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_near(url) => {}
            "http" => {
                return Err(forbidden(
                    "without TLS only this machine or a private address may be called; write https://",
                ));
            }
            _ => return Err(forbidden("only https:// is called")),
        }
        Ok(Self { scheme: url.scheme().to_owned(), host, port })
    }
}

/// Whether the URL leads to this machine or a private network by itself, without a name that may lead anywhere.
fn is_near(url: &Url) -> bool {
    match literal(url) {
        Some(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Some(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        None => url.host_str() == Some(LOCALHOST),
    }
}

/// The address in a URL that holds one instead of a name; every way of writing it was read when it was parsed.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Resolves names for trusted calls; `localhost` is this machine whatever the resolver says.
struct Named;

impl Resolve for Named {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let is_local = name.as_str() == LOCALHOST;
            let found = lookup(name.as_str()).await?;
            let kept = found.into_iter().filter(|address| !is_local || address.ip().is_loopback());
            Ok(Box::new(kept.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// Resolves names for public calls, and gives out only what may be connected to.
struct Public {
    own: OwnAddresses,
}

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        let own = Arc::clone(&self.own);
        Box::pin(async move {
            let (found, own) = (lookup(name.as_str()).await?, own());
            let kept = admitted(found, &own).ok_or(NotPublic)?;
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// All of the addresses, when each of them may be connected to: a name that leads to both kinds is a trap.
fn admitted(found: Vec<SocketAddr>, own: &[IpAddr]) -> Option<Vec<SocketAddr>> {
    let all = found.iter().all(|address| is_public(address.ip()) && !own.contains(&address.ip()));
    (all && !found.is_empty()).then_some(found)
}

async fn lookup(name: &str) -> std::io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.take(MAX_ADDRESSES).collect())
}

/// Whether an address is one of the public Internet (IANA's special-purpose registries, RFC 6890).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // This network, private, loopback.
        [0 | 10 | 127, ..] => false,
        // Shared by carriers (RFC 6598).
        [100, 64..=127, ..] => false,
        // Link-local, with the metadata services of clouds.
        [169, 254, ..] => false,
        [172, 16..=31, ..] | [192, 168, ..] => false,
        // Protocol assignments, relays of 6to4, documentation.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => false,
        // Measurements of equipment.
        [198, 18..=19, ..] => false,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => false,
        [..] => true,
    }
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64 leads on to the IPv4 address in it.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let octets = (u32::from(high) << 16) | u32::from(low);
            is_public_v4(Ipv4Addr::from(octets))
        }
        // Protocol assignments with Teredo, documentation, 6to4: they are no server's, or lead elsewhere.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Global unicast; outside of it are loopback, mapped IPv4, local and link-local addresses, multicast.
        [0x2000..=0x3fff, ..] => true,
        [..] => false,
    }
}

/// A name that leads to where calls may not go.
#[derive(Debug, thiserror::Error)]
#[error("{NOT_PUBLIC}")]
struct NotPublic;

fn parsed(url: &str) -> Result<Url, OutboundError> {
    Url::parse(url).map_err(|error| forbidden(format!("this is no URL: {error}")))
}

fn forbidden(why: impl Into<String>) -> OutboundError {
    OutboundError::Forbidden(why.into())
}

fn builder(total: Duration) -> reqwest::ClientBuilder {
    // The process has one TLS provider; who comes second finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("dotmac-edge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(total)
}

fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, OutboundError> {
    builder.build().map_err(|error| OutboundError::Ours(because(&error.without_url())))
}

/// What a failed call means for whether it was carried out.
fn fault(error: reqwest::Error) -> OutboundError {
    let error = error.without_url();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(one) = cause {
        if one.is::<NotPublic>() {
            return forbidden(NOT_PUBLIC);
        }
        cause = one.source();
    }
    if error.is_connect() {
        return OutboundError::Unreachable(because(&error));
    }
    if error.is_builder() {
        return OutboundError::Ours(because(&error));
    }
    OutboundError::NoAnswer(because(&error))
}

/// An error with what is behind it.
fn because(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text = format!("{text}: {one}");
        cause = one.source();
    }
    text
}

const NOT_PUBLIC: &str = "the server's address is not on the public Internet";
const LOCALHOST: &str = "localhost";
const CONTENT_TYPE_NAME: &str = "content-type";
const AUTHORIZATION_NAME: &str = "authorization";
/// A server that is there answers a connection within one lost packet or two.
const CONNECT: Duration = Duration::from_secs(5);
/// Somebody else's server may not hold ours up.
const PUBLIC_TOTAL: Duration = Duration::from_secs(10);
/// Providers ask banks and phones; after this the answer is looked up instead of waited for.
const TRUSTED_TOTAL: Duration = Duration::from_secs(20);
/// Largest body that is read: answers are small, and what is larger is none.
pub const MAX_REPLY: usize = 1024 * 1024;
/// More addresses of one name than that are not looked at.
const MAX_ADDRESSES: usize = 32;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn nobody() -> OwnAddresses {
        Arc::new(Vec::new)
    }

    /// A server that answers every connection with these octets; its port.
    async fn server(answer: &'static [u8], then: Then) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    let _ = socket.read(&mut head).await;
                    let _ = socket.write_all(answer).await;
                    if then == Then::Pour {
                        while socket.write_all(&[b'x'; 65536]).await.is_ok() {}
                    }
                });
            }
        });
        port
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Then {
        Close,
        Pour,
    }

    async fn ask(port: u16) -> Result<Reply, OutboundError> {
        let url = format!("http://127.0.0.1:{port}/a?token=secret");
        Outbound::trusted([url.as_str()]).unwrap().send(&Request::get(url)).await
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for address in ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        assert!(is_public("64:ff9b::808:808".parse().unwrap()));
        let refused = "0.0.0.0 10.1.2.3 127.0.0.1 127.9.9.9 100.64.0.1 169.254.169.254 172.16.0.1 172.31.9.9 \
                       192.168.1.1 192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.9 203.0.113.9 224.0.0.1 \
                       255.255.255.255 :: ::1 ::ffff:8.8.8.8 ::ffff:127.0.0.1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 \
                       ff02::1 2001:db8::1 2001::1 2002:7f00:1::1 64:ff9b::a00:1 64:ff9b::7f00:1 64:ff9b:1::1 ::127.0.0.1";
        for address in refused.split_whitespace() {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn a_public_call_never_reaches_this_machine_however_its_address_is_written() {
        let outbound = Outbound::public(nobody()).unwrap();
        let hosts = "127.0.0.1 127.1 2130706433 0x7f000001 0177.0.0.1 [::1] [::ffff:127.0.0.1] [::ffff:7f00:1] \
                     169.254.169.254 10.0.0.1 [fd00::1] localhost";
        for host in hosts.split_whitespace() {
            let answer = outbound.send(&Request::get(format!("https://{host}:1/"))).await;
            assert!(matches!(answer, Err(OutboundError::Forbidden(_))), "{host}: {answer:?}");
        }
        assert!(matches!(outbound.check("http://example.net/"), Err(OutboundError::Forbidden(_))));
        assert!(matches!(outbound.check("https://a:b@example.net/"), Err(OutboundError::Forbidden(_))));
        assert_eq!(outbound.check("https://example.net/"), Ok(()));
    }

    #[tokio::test]
    async fn a_public_call_never_reaches_the_boxs_own_public_address() {
        let own: OwnAddresses = Arc::new(|| vec!["41.58.1.2".parse().unwrap()]);
        let outbound = Outbound::public(own).unwrap();
        assert!(matches!(outbound.check("https://41.58.1.2/"), Err(OutboundError::Forbidden(_))));
        assert_eq!(outbound.check("https://41.58.1.3/"), Ok(()));
    }

    #[test]
    fn a_name_that_leads_to_a_public_and_a_private_address_is_refused_as_a_whole() {
        let both = |text: &[&str]| text.iter().map(|one| one.parse().unwrap()).collect::<Vec<SocketAddr>>();
        assert!(admitted(both(&["8.8.8.8:0", "10.0.0.1:0"]), &[]).is_none());
        assert!(admitted(both(&["8.8.8.8:0", "1.1.1.1:0"]), &[]).is_some());
        assert!(admitted(both(&["8.8.8.8:0"]), &["8.8.8.8".parse().unwrap()]).is_none());
        assert!(admitted(Vec::new(), &[]).is_none());
    }

    #[tokio::test]
    async fn a_redirect_is_told_and_not_followed() {
        let aim = server(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrap", Then::Close).await;
        let answer =
            format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{aim}/\r\ncontent-length: 0\r\n\r\n");
        let port = server(answer.leak().as_bytes(), Then::Close).await;
        let reply = ask(port).await.unwrap();
        assert_eq!((reply.status, reply.body.len(), reply.is_good()), (302, 0, false));
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        let port = server(b"HTTP/1.1 200 OK\r\n\r\n", Then::Pour).await;
        assert_eq!(ask(port).await, Err(OutboundError::TooLarge));
    }

    #[tokio::test]
    async fn whether_a_call_may_have_been_carried_out_is_told_and_its_url_is_not() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let error = ask(gone).await.unwrap_err();
        assert!(matches!(error, OutboundError::Unreachable(_)) && !error.to_string().contains("secret"));
        let port = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", Then::Close).await;
        let error = ask(port).await.unwrap_err();
        assert!(matches!(error, OutboundError::NoAnswer(_)) && !error.to_string().contains("secret"));
        let silent = server(b"", Then::Close).await;
        assert!(matches!(ask(silent).await, Err(OutboundError::NoAnswer(_))));
    }

    #[test]
    fn a_trusted_call_goes_to_the_named_origins_and_without_tls_to_near_ones_only() {
        let outbound = Outbound::trusted(["https://api.example.net/v3", "http://127.0.0.1:9/x"]).unwrap();
        for fine in ["https://api.example.net/other", "https://API.example.net:443/", "http://127.0.0.1:9/"] {
            assert_eq!(outbound.check(fine), Ok(()), "{fine}");
        }
        for wrong in [
            "https://api.example.net:8443/",
            "http://api.example.net/",
            "https://api.example.net.evil.example/",
            "https://evil.example/",
            "http://127.0.0.1:10/",
            "file:///etc/passwd",
        ] {
            assert!(matches!(outbound.check(wrong), Err(OutboundError::Forbidden(_))), "{wrong}");
        }
        for wrong in ["http://api.example.net", "http://8.8.8.8/", "ftp://127.0.0.1/", "nonsense"] {
            assert!(matches!(Outbound::trusted([wrong]), Err(OutboundError::Forbidden(_))), "{wrong}");
        }
        for near in ["http://localhost:1/", "http://10.0.0.1/", "http://[::1]:1/", "http://[fd00::1]/"] {
            assert!(Outbound::trusted([near]).is_ok(), "{near}");
        }
    }

    #[test]
    fn a_secret_in_a_header_is_not_printed() {
        let request = Request::get("https://api.example.net/").bearer(&Secret::from_text("sk_live_1"));
        assert!(!format!("{request:?} {:?}", request.header_map().unwrap()).contains("sk_live_1"));
        let split = request.header("x-key", &Secret::from_text("a\r\nb: c"));
        assert!(matches!(split.header_map(), Err(OutboundError::Ours(_))));
    }
}
