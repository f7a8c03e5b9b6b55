//! `radius test`: a RADIUS client for whoever sets up a NAS, against this server or any other.
//!
//! The one rule: a reply counts only when it is proven to come from who holds the shared secret;
//! everything else is told and waited past.

mod attributes;
mod eap;
mod exchange;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::error::CliError;
use super::radius_ca::Ca;
use super::{Context, human, stdin};
use crate::base::secret::Secret;
use crate::eap::Method as EapMethod;
use crate::eap::peer::PeerMethod;
use crate::radius::client::{Ask, Login, LoginRandom};
use crate::radius::{Code, EncodeError, Kind, Method, SharedSecret, Writer};
use attributes::Given;
use exchange::{Exchange, Heard};

/// Ask a RADIUS server.
#[derive(Debug, Subcommand)]
pub(super) enum Radius {
    /// Log in, account, or ask for a sign of life; exit status 0 for an accept, 1 for a reject or silence
    Test(Box<Test>),
    /// Make a private CA for EAP with the server's certificate and profiles for devices; again, to renew the certificate
    Ca(Ca),
}

/// What to ask, and whom.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// The server, as 192.0.2.1, 192.0.2.1:1812, [2001:db8::1]:1812 or a name; this box when left out
    #[arg(default_value = "127.0.0.1")]
    server: String,
    /// What to ask
    #[arg(long, value_enum, default_value_t = What::Pap)]
    method: What,
    /// User-Name
    #[arg(long, default_value = "test")]
    user: String,
    /// A file whose first line is the shared secret; asked for on standard input when left out
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A file whose first line is the password; the next line of standard input when left out
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    eap: eap::Options,
    /// A further attribute by its dictionary name, as Calling-Station-Id=02-00-00-00-00-01
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
    /// Acct-Session-Id of the accounting requests; a fresh one when left out
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Octets toward the subscriber that interim and stop report
    #[arg(long, value_name = "OCTETS", default_value_t = 5_000_000_000)]
    down: u64,
    /// Octets from the subscriber that interim and stop report
    #[arg(long, value_name = "OCTETS", default_value_t = 1_000_000_000)]
    up: u64,
    /// Seconds to wait for a reply
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    /// How often to ask when there is silence
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=10))]
    tries: u8,
}

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Log in with User-Password
    Pap,
    /// Log in with CHAP-Password
    Chap,
    /// Log in with MS-CHAP version 1
    Mschapv1,
    /// Log in with MS-CHAP version 2; the server must prove that it knows the password too
    Mschapv2,
    /// Log in with EAP-MD5
    EapMd5,
    /// Log in with EAP-GTC
    EapGtc,
    /// Log in with EAP-MSCHAPv2; the server must prove that it knows the password too
    EapMschapv2,
    /// Log in with a certificate by EAP-TLS
    EapTls,
    /// Log in with EAP-TTLS and PAP inside
    EapTtlsPap,
    /// Log in with PEAP and EAP-MSCHAPv2 inside
    EapPeapMschapv2,
    /// Log in with PEAP and EAP-GTC inside
    EapPeapGtc,
    /// Report a session: start, interim and stop
    Accounting,
    /// Report the start of a session
    Start,
    /// Report the usage of a session
    Interim,
    /// Report the end of a session
    Stop,
    /// Status-Server: whether the server is alive
    Status,
}

impl Radius {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Test(test) => test.run(context),
            Self::Ca(ca) => ca.run(context),
        }
    }
}

impl Test {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let given = attributes::parse(&self.attributes)?;
        let server = self.address()?;
        let secret = SharedSecret::new(secret(context, self.secret_file.as_deref(), "Shared secret")?);
        let password = match (self.method.login(), self.method.eap()) {
            (Some(_), _) => Some(secret_of_user(context, &self)?),
            (None, Some(method)) => eap::password(context, method, self.password_file.as_deref())?,
            (None, None) => None,
        };
        let exchange = Exchange::open(server, secret, Duration::from_secs(self.timeout), self.tries)?;
        let session = match &self.session {
            Some(session) => session.clone(),
            None => context
                .entropy
                .readable(SESSION_SYMBOLS)
                .map_err(|e| CliError::failed("make a session id", &e))?,
        };
        let mut all_good = true;
        if let Some(method) = self.method.eap() {
            let password = password.as_ref().map_or(&[][..], Secret::expose);
            let login = eap::Login { method, user: &self.user, password, options: &self.eap, given: &given };
            all_good &= tell(context, eap::name(method), &login.run(context, &exchange)?);
        }
        for step in self.method.steps() {
            let heard = self.step(context, &exchange, *step, password.as_ref(), &session, &given)?;
            all_good &= tell(context, step.name(), &heard);
        }
        if all_good { Ok(()) } else { Err(CliError::Told) }
    }

    fn step(
        &self,
        context: &Context,
        exchange: &Exchange,
        step: Step,
        password: Option<&Secret>,
        session: &str,
        given: &[Given],
    ) -> Result<Heard, CliError> {
        let random = LoginRandom {
            authenticator: fresh(context)?,
            challenge: fresh(context)?,
            peer_challenge: fresh(context)?,
        };
        let [identifier] = fresh::<1>(context)?;
        exchange.ask(context, |buffer, secret| {
            let mut ask = match step {
                Step::Login(method) => {
                    let password = password.map_or(&[][..], Secret::expose);
                    let login = Login { user_name: self.user.as_bytes(), password, method };
                    Ask::login(buffer, identifier, &login, &random, secret)?
                }
                Step::Report(status) => {
                    let mut ask = Ask::accounting(buffer, identifier);
                    self.report(ask.attributes(), status, session)?;
                    ask
                }
                Step::Status => Ask::status_server(buffer, identifier, random.authenticator)?,
            };
            ask.attributes().text(Kind::NAS_IDENTIFIER, NAS_IDENTIFIER)?;
            attributes::write(given, ask.attributes())?;
            Ok(ask)
        })
    }

    /// The attributes of an accounting report (RFC 2866 section 5, RFC 2869 section 5.1).
    fn report(&self, writer: &mut Writer<'_>, status: Status, session: &str) -> Result<(), EncodeError> {
        writer.octets(Kind::USER_NAME, self.user.as_bytes())?;
        writer.u32(Kind::ACCT_STATUS_TYPE, status.number())?;
        writer.text(Kind::ACCT_SESSION_ID, session)?;
        if status == Status::Start {
            return Ok(());
        }
        writer.u32(Kind::ACCT_SESSION_TIME, 60)?;
        for (octets, low, high) in [
            (self.up, Kind::ACCT_INPUT_OCTETS, Kind::ACCT_INPUT_GIGAWORDS),
            (self.down, Kind::ACCT_OUTPUT_OCTETS, Kind::ACCT_OUTPUT_GIGAWORDS),
        ] {
            let [h0, h1, h2, h3, l0, l1, l2, l3] = octets.to_be_bytes();
            writer.u32(low, u32::from_be_bytes([l0, l1, l2, l3]))?;
            writer.u32(high, u32::from_be_bytes([h0, h1, h2, h3]))?;
        }
        if status == Status::Stop {
            writer.u32(Kind::ACCT_TERMINATE_CAUSE, USER_REQUEST)?;
        }
        Ok(())
    }

    fn address(&self) -> Result<SocketAddr, CliError> {
        let port = if self.method.is_accounting() { ACCOUNTING_PORT } else { AUTHENTICATION_PORT };
        if let Ok(address) = self.server.parse() {
            return Ok(address);
        }
        let found = self.server.to_socket_addrs().or_else(|_| (self.server.as_str(), port).to_socket_addrs());
        let found = found.ok().and_then(|mut addresses| addresses.next());
        found.ok_or_else(|| {
            CliError::Usage(format!(
                "{:?} is no server that can be found; give an address, as 192.0.2.1:{port}",
                self.server
            ))
        })
    }
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Login(Method),
    Report(Status),
    Status,
}

/// Acct-Status-Type (RFC 2866 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Start,
    Interim,
    Stop,
}

impl Status {
    const fn number(self) -> u32 {
        match self {
            Self::Start => 1,
            Self::Stop => 2,
            Self::Interim => 3,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Start => "accounting start",
            Self::Interim => "accounting interim",
            Self::Stop => "accounting stop",
        }
    }
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Login(method) => method.name(),
            Self::Report(status) => status.name(),
            Self::Status => "status",
        }
    }
}

impl What {
    const fn login(self) -> Option<Method> {
        match self {
            Self::Pap => Some(Method::Pap),
            Self::Chap => Some(Method::Chap),
            Self::Mschapv1 => Some(Method::MsChapV1),
            Self::Mschapv2 => Some(Method::MsChapV2),
            Self::EapMd5
            | Self::EapGtc
            | Self::EapMschapv2
            | Self::EapTls
            | Self::EapTtlsPap
            | Self::EapPeapMschapv2
            | Self::EapPeapGtc
            | Self::Accounting
            | Self::Start
            | Self::Interim
            | Self::Stop
            | Self::Status => None,
        }
    }

    const fn eap(self) -> Option<PeerMethod> {
        match self {
            Self::EapMd5 => Some(PeerMethod::Plain(EapMethod::Md5)),
            Self::EapGtc => Some(PeerMethod::Plain(EapMethod::Gtc)),
            Self::EapMschapv2 => Some(PeerMethod::Plain(EapMethod::MsChapV2)),
            Self::EapTls => Some(PeerMethod::Tls),
            Self::EapTtlsPap => Some(PeerMethod::TtlsPap),
            Self::EapPeapMschapv2 => Some(PeerMethod::Peap(EapMethod::MsChapV2)),
            Self::EapPeapGtc => Some(PeerMethod::Peap(EapMethod::Gtc)),
            Self::Pap
            | Self::Chap
            | Self::Mschapv1
            | Self::Mschapv2
            | Self::Accounting
            | Self::Start
            | Self::Interim
            | Self::Stop
            | Self::Status => None,
        }
    }

    const fn steps(self) -> &'static [Step] {
        match self {
            Self::Pap => &[Step::Login(Method::Pap)],
            Self::Chap => &[Step::Login(Method::Chap)],
            Self::Mschapv1 => &[Step::Login(Method::MsChapV1)],
            Self::Mschapv2 => &[Step::Login(Method::MsChapV2)],
            Self::Accounting => {
                &[Step::Report(Status::Start), Step::Report(Status::Interim), Step::Report(Status::Stop)]
            }
            Self::Start => &[Step::Report(Status::Start)],
            Self::Interim => &[Step::Report(Status::Interim)],
            Self::Stop => &[Step::Report(Status::Stop)],
            Self::Status => &[Step::Status],
            // Its rounds are its own.
            Self::EapMd5
            | Self::EapGtc
            | Self::EapMschapv2
            | Self::EapTls
            | Self::EapTtlsPap
            | Self::EapPeapMschapv2
            | Self::EapPeapGtc => &[],
        }
    }

    const fn is_accounting(self) -> bool {
        match self {
            Self::Accounting | Self::Start | Self::Interim | Self::Stop => true,
            Self::Pap
            | Self::Chap
            | Self::Mschapv1
            | Self::Mschapv2
            | Self::EapMd5
            | Self::EapGtc
            | Self::EapMschapv2
            | Self::EapTls
            | Self::EapTtlsPap
            | Self::EapPeapMschapv2
            | Self::EapPeapGtc
            | Self::Status => false,
        }
    }
}

/// Tells what was heard; true for an answer that is a yes.
fn tell(context: &Context, name: &str, heard: &Heard) -> bool {
    if context.terminal.wants_json() {
        context.terminal.json(&as_json(name, heard));
        return heard.is_yes();
    }
    for fault in &heard.faults {
        context.terminal.note(format_args!("{name}: {fault}"));
    }
    match &heard.reply {
        Some(reply) => {
            let (code, took) = (reply.code.name(), human::took(reply.took));
            context.terminal.line(format_args!("{name}: {code} in {took}"));
            for attribute in &reply.attributes {
                context.terminal.line(format_args!("  {attribute}"));
            }
        }
        None => {
            context.terminal.line(format_args!("{name}: no answer to {} requests", heard.asked));
            context.terminal.note(SILENCE);
        }
    }
    heard.is_yes()
}

fn as_json(name: &str, heard: &Heard) -> Value {
    json!({
        "asked": name,
        "requests": heard.asked,
        "code": heard.reply.as_ref().map(|reply| reply.code.name()),
        "seconds": heard.reply.as_ref().map(|reply| reply.took.as_secs_f64()),
        "attributes": heard.reply.as_ref().map(|reply| reply.attributes.clone()),
        "faults": heard.faults,
    })
}

fn secret(context: &Context, file: Option<&Path>, what: &str) -> Result<Secret, CliError> {
    let Some(file) = file else { return stdin::secret(context.terminal, what) };
    let unreadable = |error| CliError::Usage(format!("{} cannot be read: {error}", file.display()));
    let text = zeroize::Zeroizing::new(std::fs::read(file).map_err(unreadable)?);
    let line = text.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(CliError::Usage(format!("{}: the first line is empty", file.display())));
    }
    Ok(Secret::new(line))
}

fn secret_of_user(context: &Context, test: &Test) -> Result<Secret, CliError> {
    secret(context, test.password_file.as_deref(), "Password")
}

fn fresh<const N: usize>(context: &Context) -> Result<[u8; N], CliError> {
    context.entropy.bytes().map_err(|error| CliError::failed("make random octets", &error))
}

/// Whether the answer is a yes to the request.
const fn is_yes(code: Code) -> bool {
    match code {
        Code::AccessAccept | Code::AccountingResponse => true,
        Code::AccessRequest
        | Code::AccessReject
        | Code::AccountingRequest
        | Code::AccessChallenge
        | Code::StatusServer
        | Code::StatusClient
        | Code::DisconnectRequest
        | Code::DisconnectAck
        | Code::DisconnectNak
        | Code::CoaRequest
        | Code::CoaAck
        | Code::CoaNak
        | Code::Unknown(_) => false,
    }
}

const SILENCE: &str = "A server is silent when it does not know the address that asks, when the shared secret \
differs, or when nothing listens there. On this server: dotmac-edge nas list, dotmac-edge doctor.";
/// What we call ourselves to the server; RFC 2865 section 4.1 wants one name of the NAS.
const NAS_IDENTIFIER: &str = "dotmac-edge-test";
/// RFC 2865 section 3.
const AUTHENTICATION_PORT: u16 = 1812;
/// RFC 2866 section 3.
const ACCOUNTING_PORT: u16 = 1813;
/// Acct-Terminate-Cause User Request (RFC 2866 section 5.10).
const USER_REQUEST: u32 = 1;
/// Enough that no two tests share a session.
const SESSION_SYMBOLS: usize = 12;
