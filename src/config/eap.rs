//! `[radius.eap]`: which EAP methods are offered, and in which order.

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, choose, chosen};
use super::reader::{Applies, Section};

/// How devices may log in by EAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eap {
    /// The methods, the first choice first. Empty: no EAP.
    pub methods: Vec<EapMethod>,
}

/// An EAP method that can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EapMethod {
    /// EAP-MSCHAPv2.
    MsChapV2,
    /// EAP-MD5.
    Md5,
    /// EAP-GTC.
    Gtc,
}

impl Eap {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = vec![EapMethod::MsChapV2, EapMethod::Md5];
        let methods = section.checked("methods", Applies::Live, default, |methods: &Vec<EapMethod>| {
            let twice = methods.iter().enumerate().any(|(at, one)| methods.iter().take(at).any(|e| e == one));
            if twice {
                return Err(Wrong::new(
                    "a method is named twice",
                    "name each method once, the first choice first",
                ));
            }
            Ok(())
        });
        Self { methods }
    }
}

impl Kind for EapMethod {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, METHODS)
    }

    fn show(&self) -> String {
        chosen(*self, METHODS)
    }
}

const METHODS: &[(&str, EapMethod)] =
    &[("mschapv2", EapMethod::MsChapV2), ("md5", EapMethod::Md5), ("gtc", EapMethod::Gtc)];
