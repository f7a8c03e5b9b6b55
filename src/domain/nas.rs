//! NAS records: who may speak RADIUS to us, and how each likes to be answered.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::NasId;
use super::text::Code;

/// A NAS, or a network of them behind one secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nas {
    /// Identity.
    pub id: NasId,
    /// Name for people, unique.
    pub name: Code,
    /// Source address or network of its requests; the longest prefix wins.
    pub address: IpNet,
    /// How replies are phrased.
    pub kind: NasKind,
    /// The shared secret, sealed with the box's key, base64.
    pub sealed_secret: String,
    /// The secret before a rotation, accepted until [`Nas::previous_until`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_previous: Option<String>,
    /// When the previous secret stops being accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// Whether requests must carry a Message-Authenticator.
    #[serde(default)]
    pub message_authenticator: MessageAuthenticatorPolicy,
    /// Where it listens for Disconnect- and CoA-Requests (RFC 5176); nothing where it cannot be told.
    #[serde(default = "usual_coa_port")]
    pub coa_port: Option<u16>,
    /// Whether it may be used.
    pub is_active: bool,
    /// What staff wrote down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// RFC 5176 section 2.3.
pub const COA_PORT: u16 = 3799;

/// Records of before the field was there are of NAS that listen where the RFC says.
#[expect(clippy::unnecessary_wraps, reason = "the shape of the field")]
const fn usual_coa_port() -> Option<u16> {
    Some(COA_PORT)
}

/// The NAS that this box itself is: sessions of devices on its own access interfaces are at it.
pub const GATEWAY: NasId = NasId(uuid::Uuid::from_u128(0x0edd_9e00_0000_8000_8000_0000_0000_0001));

/// How it is called where a NAS has a name.
pub const GATEWAY_NAME: &str = "gateway";

/// How a NAS likes its replies; each has one encoder in the room `nas`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NasKind {
    /// `RouterOS` PPP and hotspot.
    Mikrotik,
    /// WISPr 1.0 hotspots.
    Wispr,
    /// `CoovaChilli` and `ChilliSpot`.
    Coova,
    /// Cisco IOS.
    Cisco,
    /// Huawei NE and ME60.
    Huawei,
    /// Juniper MX.
    Juniper,
    /// Ubiquiti's `EdgeRouter` and `UniFi`.
    Ubiquiti,
    /// accel-ppp.
    AccelPpp,
    /// Only attributes of the RFCs.
    Generic,
}

/// RFC 3579 section 3.2 and CVE-2024-3596: whether a request without Message-Authenticator is heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageAuthenticatorPolicy {
    /// Silence without it.
    #[default]
    Require,
    /// Heard without it; a standing warning says that replies can be forged.
    Allow,
}

impl NasKind {
    /// All kinds, for help texts and errors.
    pub const ALL: [Self; 9] = [
        Self::Mikrotik,
        Self::Wispr,
        Self::Coova,
        Self::Cisco,
        Self::Huawei,
        Self::Juniper,
        Self::Ubiquiti,
        Self::AccelPpp,
        Self::Generic,
    ];

    /// The name in API, CLI and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mikrotik => "mikrotik",
            Self::Wispr => "wispr",
            Self::Coova => "coova",
            Self::Cisco => "cisco",
            Self::Huawei => "huawei",
            Self::Juniper => "juniper",
            Self::Ubiquiti => "ubiquiti",
            Self::AccelPpp => "accel-ppp",
            Self::Generic => "generic",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl std::fmt::Debug for Nas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nas({} {} {})", self.name, self.address, self.kind.name())
    }
}
