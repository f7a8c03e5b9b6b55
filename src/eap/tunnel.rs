//! TLS in EAP packets: fragments both ways (RFC 5216 sections 2.1.5 and 3.1, the same in RFC 5281 and PEAP), the
//! handshake, records, and the keys that come of it (RFC 5216 section 2.3, RFC 5281 section 8, RFC 9190 section 2.3,
//! RFC 9427 section 2).
//!
//! The one rule: bounded before anything is put together: a message's length, and what lies inside.

use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use rustls::{AlertDescription, Error, HandshakeKind, ProtocolVersion, ServerConnection};
use zeroize::Zeroizing;

use super::conversation::Fault;
use super::method::Keys;
use super::sessions::Memory;

/// One TLS connection inside one conversation.
pub(super) struct Tunnel {
    connection: Box<ServerConnection>,
    memory: Option<Arc<Memory>>,
    /// What came of a message in fragments.
    incoming: Vec<u8>,
    /// The message that is being sent, and how far.
    outgoing: Vec<u8>,
    sent: usize,
    /// An alert is out; the peer's next packet ends it.
    broken: Option<Fault>,
}

/// What a peer's packet came to.
#[derive(Debug)]
pub(super) enum Heard {
    /// Ask with this data: the next fragment, or an acknowledgement of one.
    Ask(Vec<u8>),
    /// A whole message was taken in; what lay inside records for us, decrypted. An empty message acknowledges.
    Taken(Zeroizing<Vec<u8>>),
    /// The tunnel is broken.
    Broken(Fault),
    /// Not to be understood here.
    Ignore,
}

impl Tunnel {
    pub(super) fn new(connection: ServerConnection, memory: Option<Arc<Memory>>) -> Self {
        Self {
            connection: Box::new(connection),
            memory,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            broken: None,
        }
    }

    /// The data of the request that starts TLS: the S flag alone, and version 0 for TTLS and PEAP.
    pub(super) fn start() -> Vec<u8> {
        vec![START]
    }

    /// Takes a response's data: flags, perhaps a length, a piece of a message.
    pub(super) fn receive(&mut self, data: &[u8], fragment: usize) -> Heard {
        let Some(piece) = Piece::read(data) else { return Heard::Ignore };
        if let Some(fault) = self.broken {
            return Heard::Broken(fault);
        }
        if self.sent < self.outgoing.len() {
            // Only an acknowledgement asks for the next fragment.
            let acknowledges = piece.octets.is_empty() && !piece.more;
            return if acknowledges { Heard::Ask(self.next_fragment(fragment)) } else { Heard::Ignore };
        }
        let total = self.incoming.len().saturating_add(piece.octets.len());
        if total > MOST_OCTETS || piece.length.is_some_and(|length| length > MOST_OCTETS) {
            return Heard::Broken(Fault::TooLarge);
        }
        self.incoming.extend_from_slice(piece.octets);
        if piece.more {
            // A fragment without octets would be for ever.
            return if piece.octets.is_empty() { Heard::Ignore } else { Heard::Ask(acknowledgement()) };
        }
        let message = std::mem::take(&mut self.incoming);
        self.take_message(&message, fragment)
    }

    fn take_message(&mut self, message: &[u8], fragment: usize) -> Heard {
        let mut plain = Zeroizing::new(Vec::new());
        let result = self.feed(message, &mut plain);
        self.collect();
        match result {
            Ok(()) => Heard::Taken(plain),
            Err(fault) if self.outgoing.is_empty() => Heard::Broken(fault),
            Err(fault) => {
                self.broken = Some(fault);
                Heard::Ask(self.next_fragment(fragment))
            }
        }
    }

    fn feed(&mut self, message: &[u8], plain: &mut Vec<u8>) -> Result<(), Fault> {
        let mut records = Cursor::new(message);
        let end = u64::try_from(message.len()).unwrap_or(u64::MAX);
        while records.position() < end {
            // Reading from memory fails only where the connection's own buffer is full.
            self.connection.read_tls(&mut records).map_err(|_| Fault::TooLarge)?;
            self.connection.process_new_packets().map_err(|error| fault_of(&error))?;
            self.read_plain(plain)?;
        }
        Ok(())
    }

    fn read_plain(&mut self, plain: &mut Vec<u8>) -> Result<(), Fault> {
        let mut room = Zeroizing::new([0; 2_048]);
        loop {
            // No more is an error of its own kind; a closed tunnel is the end of what it carried.
            let Ok(read) = self.connection.reader().read(room.as_mut_slice()) else { return Ok(()) };
            let read = room.get(..read).unwrap_or_default();
            if read.is_empty() {
                return Ok(());
            }
            if plain.len().saturating_add(read.len()) > MOST_INSIDE {
                return Err(Fault::TooLarge);
            }
            plain.extend_from_slice(read);
        }
    }

    /// What TLS has to send joins what waits.
    fn collect(&mut self) {
        if self.sent >= self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut self.outgoing).is_err() {
                return;
            }
        }
    }

    /// Puts octets into the tunnel; [`Tunnel::flush`] sends them.
    pub(super) fn write(&mut self, plain: &[u8]) {
        // Writing into the connection's memory does not fail; what does not fit is cut, and the peer says so.
        let _ = self.connection.writer().write_all(plain);
        self.collect();
    }

    /// The first fragment of what is to be sent, if anything is.
    pub(super) fn flush(&mut self, fragment: usize) -> Option<Vec<u8>> {
        self.collect();
        (self.sent < self.outgoing.len()).then(|| self.next_fragment(fragment))
    }

    /// Flags, the whole length before the first fragment of several, a piece.
    fn next_fragment(&mut self, fragment: usize) -> Vec<u8> {
        let whole = self.outgoing.len();
        let room = fragment.max(LEAST_FRAGMENT);
        let is_first = self.sent == 0;
        let end = whole.min(self.sent.saturating_add(room));
        let mut flags = 0;
        let mut length: &[u8] = &[];
        let total = u32::try_from(whole).unwrap_or(u32::MAX).to_be_bytes();
        if is_first && end < whole {
            flags |= LENGTH;
            length = &total;
        }
        if end < whole {
            flags |= MORE;
        }
        let piece = self.outgoing.get(self.sent..end).unwrap_or_default();
        let data = [&[flags][..], length, piece].concat();
        self.sent = end;
        data
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Who the peer was when it first logged in, where it resumed.
    pub(super) fn resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(super) fn is_tls13(&self) -> bool {
        self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// The certificate that the peer has proved to be its own.
    pub(super) fn peer_certificate(&self) -> Option<&[u8]> {
        self.connection.peer_certificates()?.first().map(|certificate| certificate.as_ref())
    }

    pub(super) const fn memory(&self) -> Option<&Arc<Memory>> {
        self.memory.as_ref()
    }

    /// The 128 octets that MSK and EMSK are halves of; `old_label` is the method's under TLS 1.2.
    pub(super) fn key_material(&self, method: u8, old_label: &[u8]) -> Option<Zeroizing<[u8; 128]>> {
        let (label, context): (&[u8], Option<&[u8]>) =
            if self.is_tls13() { (TLS13_LABEL, Some(&[method])) } else { (old_label, None) };
        let mut octets = Zeroizing::new([0; 128]);
        self.connection.export_keying_material(octets.as_mut_slice(), label, context).ok()?;
        Some(octets)
    }

    /// The method's MSK.
    pub(super) fn keys(&self, method: u8, old_label: &[u8]) -> Option<Keys> {
        self.key_material(method, old_label)?.first_chunk().copied().map(Keys::new)
    }

    /// RFC 5281 section 11.1: the challenge that both sides know without sending it. Under TLS 1.3 another length
    /// is another challenge.
    pub(super) fn implicit_challenge<const N: usize>(&self) -> Option<[u8; N]> {
        let mut octets = [0; N];
        self.connection.export_keying_material(octets.as_mut_slice(), b"ttls challenge", None).ok()?;
        Some(octets)
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tunnel(…)")
    }
}

/// Nothing but flags: "go on".
pub(super) fn acknowledgement() -> Vec<u8> {
    vec![0]
}

/// One packet's piece of a message.
struct Piece<'a> {
    more: bool,
    length: Option<usize>,
    octets: &'a [u8],
}

impl<'a> Piece<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (flags, rest) = data.split_first()?;
        // The S flag is the server's.
        if flags & START != 0 {
            return None;
        }
        let (length, octets) = if flags & LENGTH == 0 {
            (None, rest)
        } else {
            let (length, octets) = rest.split_first_chunk::<4>()?;
            (Some(usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX)), octets)
        };
        Some(Self { more: flags & MORE != 0, length, octets })
    }
}

/// What of TLS' many errors staff can do something about.
fn fault_of(error: &Error) -> Fault {
    if let Error::AlertReceived(alert) = error {
        let is_about_us = ABOUT_OUR_CERTIFICATE.contains(alert);
        return if is_about_us { Fault::ServerCertificateRefused } else { Fault::PeerRefused };
    }
    if matches!(error, Error::NoCertificatesPresented) {
        return Fault::NoClientCertificate;
    }
    if matches!(error, Error::InvalidCertificate(_)) {
        return Fault::ClientCertificateRefused;
    }
    Fault::Tls
}

/// Alerts that say that a peer does not trust our certificate.
const ABOUT_OUR_CERTIFICATE: &[AlertDescription] = &[
    AlertDescription::UnknownCA,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateExpired,
    AlertDescription::UnsupportedCertificate,
];
const LENGTH: u8 = 0x80;
const MORE: u8 = 0x40;
const START: u8 = 0x20;
/// RFC 9190 section 2.3, RFC 9427 section 2.1.
const TLS13_LABEL: &[u8] = b"EXPORTER_EAP_TLS_Key_Material";
/// A message put together of fragments: certificates of a device, at most.
const MOST_OCTETS: usize = 64 * 1024;
/// What one message may hold inside; a password, a response, an EAP packet are far less.
const MOST_INSIDE: usize = 8 * 1024;
/// A NAS that claims to carry less is not believed: an Ethernet frame carries more.
const LEAST_FRAGMENT: usize = 100;
