//! A login by EAP, round by round, as a device behind a NAS would do it.
//!
//! The one rule: an accept counts only when the server has proved itself as the method asks, and sent the keys that
//! the peer has too.

use std::path::{Path, PathBuf};

use clap::Args;

use super::attributes::{self, Given};
use super::exchange::{Exchange, Heard};
use super::{NAS_IDENTIFIER, fresh, secret};
use crate::base::secret::Secret;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::eap::peer::{Peer, PeerMethod, PeerName, PeerStep, PeerTls};
use crate::eap::{Keys, Method};
use crate::radius::client::Ask;
use crate::radius::hiding::{SaltedBuffer, reveal_salted};
use crate::radius::packet::Authenticator;
use crate::radius::{Code, Kind, Packet, SharedSecret, VendorKind};

/// What a device knows of EAP beside its login.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The CA that signs the server's certificate, PEM; for eap-tls, eap-ttls-pap and eap-peap-*
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The name that the server's certificate must have; likewise
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The device's certificate, PEM; for eap-tls
    #[arg(long, value_name = "FILE")]
    certificate_file: Option<PathBuf>,
    /// The certificate's key, PEM; for eap-tls
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What is said outside of a tunnel instead of the login
    #[arg(long, value_name = "IDENTITY")]
    outer_identity: Option<String>,
}

/// One login.
pub(super) struct Login<'l> {
    pub(super) method: PeerMethod,
    pub(super) user: &'l str,
    pub(super) password: &'l [u8],
    pub(super) options: &'l Options,
    pub(super) given: &'l [Given],
}

impl Login<'_> {
    /// Logs in; what was heard last.
    pub(super) fn run(&self, context: &Context, exchange: &Exchange) -> Result<Heard, CliError> {
        let outer = self.options.outer_identity.as_deref().unwrap_or(self.user);
        let name = PeerName { outer: outer.as_bytes(), inner: self.user.as_bytes(), password: self.password };
        let tls = self.tls()?;
        let peer = Peer::new(&name, self.method, tls.as_ref());
        let mut peer = peer.map_err(|fault| CliError::Usage(fault.to_string()))?;
        let (mut message, mut state) = (peer.begin(), None::<Vec<u8>>);
        let began = context.clock.monotonic();
        for _ in 0..MOST_ROUNDS {
            let authenticator: Authenticator = fresh(context)?;
            let mut heard =
                self.ask(context, exchange, (outer, authenticator), &message, state.as_deref())?;
            let Some(reply) = &mut heard.reply else { return Ok(heard) };
            reply.took = context.clock.monotonic().saturating_duration_since(began);
            let (code, octets) = (reply.code, reply.octets.clone());
            let Ok(packet) = Packet::decode(&octets) else { return Ok(heard) };
            let said: Vec<u8> = packet.all(Kind::EAP_MESSAGE).flat_map(|one| one.value.to_vec()).collect();
            match (code, peer.hear(&said, &fresh(context)?)) {
                (Code::AccessChallenge, Ok(PeerStep::Respond(next))) => message = next,
                (Code::AccessReject, Ok(PeerStep::Failure)) => return Ok(heard),
                (Code::AccessAccept, Ok(PeerStep::Success(keys))) => {
                    if !are_sent(keys.as_ref(), &packet, &authenticator, exchange.secret()) {
                        heard.disbelieve("the keys that the server sent are not those of the conversation");
                    }
                    return Ok(heard);
                }
                (_, Ok(_)) => {
                    heard.disbelieve("the reply and the EAP packet in it do not agree");
                    return Ok(heard);
                }
                (_, Err(fault)) => {
                    heard.disbelieve(&fault.to_string());
                    return Ok(heard);
                }
            }
            state = packet.first(Kind::STATE).map(|state| state.value.to_vec());
        }
        Err(CliError::Usage(format!("the server asked more than {MOST_ROUNDS} times")))
    }

    fn ask(
        &self,
        context: &Context,
        exchange: &Exchange,
        (outer, authenticator): (&str, Authenticator),
        message: &[u8],
        state: Option<&[u8]>,
    ) -> Result<Heard, CliError> {
        let [identifier] = fresh::<1>(context)?;
        exchange.ask(context, |buffer, _| {
            let mut ask = Ask::access(buffer, identifier, authenticator)?;
            let writer = ask.attributes();
            writer.text(Kind::USER_NAME, outer)?;
            writer.text(Kind::NAS_IDENTIFIER, NAS_IDENTIFIER)?;
            writer.u32(Kind::FRAMED_MTU, FRAMED_MTU)?;
            writer.eap_message(message)?;
            if let Some(state) = state {
                writer.octets(Kind::STATE, state)?;
            }
            attributes::write(self.given, writer)?;
            Ok(ask)
        })
    }

    fn tls(&self) -> Result<Option<PeerTls>, CliError> {
        match self.method {
            PeerMethod::Plain(_) => return Ok(None),
            PeerMethod::Tls | PeerMethod::TtlsPap | PeerMethod::Peap(_) => {}
        }
        let Options { ca_file, server_name, certificate_file, key_file, .. } = self.options;
        let (Some(ca), Some(name)) = (ca_file, server_name) else {
            let what = "--ca-file and --server-name say which server is believed; this method needs both";
            return Err(CliError::Usage(what.to_owned()));
        };
        let ca = read(ca)?;
        let tls = match (self.method, certificate_file, key_file) {
            (PeerMethod::Tls, Some(certificate), Some(key)) => {
                let key = Secret::new(read(key)?);
                PeerTls::new(&ca, name, Some((&read(certificate)?, &key)))
            }
            (PeerMethod::Tls, _, _) => {
                let what = "eap-tls needs --certificate-file and --key-file";
                return Err(CliError::Usage(what.to_owned()));
            }
            (PeerMethod::Plain(_) | PeerMethod::TtlsPap | PeerMethod::Peap(_), _, _) => {
                PeerTls::new(&ca, name, None)
            }
        };
        tls.map(Some).map_err(|error| CliError::Usage(error.to_string()))
    }
}

/// Whether the accept carries the keys of the conversation, or none where it has none.
fn are_sent(
    keys: Option<&Keys>,
    accept: &Packet<'_>,
    authenticator: &Authenticator,
    secret: &SharedSecret,
) -> bool {
    let Some(keys) = keys else { return true };
    let sent = |kind, expected: &[u8]| {
        let mut room = SaltedBuffer::default();
        let hidden = accept.first_vendor(kind).unwrap_or_default();
        reveal_salted(hidden, authenticator, secret, &mut room).is_ok_and(|revealed| revealed == expected)
    };
    sent(VendorKind::MS_MPPE_RECV_KEY, keys.receive()) && sent(VendorKind::MS_MPPE_SEND_KEY, keys.send())
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path)
        .map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", path.display())))
}

/// The password, where the method has one.
pub(super) fn password(
    context: &Context,
    method: PeerMethod,
    file: Option<&Path>,
) -> Result<Option<Secret>, CliError> {
    match method {
        PeerMethod::Tls => Ok(None),
        PeerMethod::Plain(_) | PeerMethod::TtlsPap | PeerMethod::Peap(_) => {
            secret(context, file, "Password").map(Some)
        }
    }
}

/// What a login by this name does.
pub(super) const fn name(method: PeerMethod) -> &'static str {
    match method {
        PeerMethod::Plain(plain) => plain.name(),
        PeerMethod::Tls => "eap-tls",
        PeerMethod::TtlsPap => "eap-ttls-pap",
        PeerMethod::Peap(Method::Gtc) => "eap-peap-gtc",
        PeerMethod::Peap(_) => "eap-peap-mschapv2",
    }
}

/// As a server's own bound.
const MOST_ROUNDS: usize = 100;
/// An Ethernet frame's, less what 802.1X takes.
const FRAMED_MTU: u32 = 1_400;
