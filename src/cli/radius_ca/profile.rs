//! What devices are told: whom to trust, by which name, and how to log in. A device that is told does not ask its
//! user whether a stranger's certificate is fine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject};
use sha1::{Digest, Sha1};
use uuid::Uuid;

/// What the profiles say.
pub(super) struct Profile<'a> {
    pub(super) server_name: &'a str,
    pub(super) ssid: Option<&'a str>,
    pub(super) ca_pem: &'a str,
    /// Of the profile, of the CA in it, and of the network.
    pub(super) ids: [Uuid; 3],
}

impl Profile<'_> {
    /// Every file's name and text.
    pub(super) fn files(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let der = CertificateDer::from_pem_slice(self.ca_pem.as_bytes())?;
        let mut files =
            vec![("eap.mobileconfig", self.apple(&STANDARD.encode(&der))), ("android.txt", self.android())];
        let thumbprint: Vec<String> = Sha1::digest(&der).iter().map(|octet| format!("{octet:02x}")).collect();
        if let Some(ssid) = self.ssid {
            files.push(("windows-wlan.xml", self.windows(ssid, &thumbprint.join(" "))));
        }
        Ok(files)
    }

    fn apple(&self, ca: &str) -> String {
        let [profile, root, network] = self.ids;
        let name = escaped(self.server_name);
        let (kind, place) = self.ssid.map_or_else(
            || ("com.apple.firstactiveethernet.managed", "<key>Interface</key><string>FirstActiveEthernet</string>".to_owned()),
            |ssid| {
                let place = format!(
                    "<key>SSID_STR</key><string>{}</string><key>HIDDEN_NETWORK</key><false/><key>AutoJoin</key><true/>\
                     <key>EncryptionType</key><string>WPA2</string>",
                    escaped(ssid)
                );
                ("com.apple.wifi.managed", place)
            },
        );
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>{name}.eap</string>
<key>PayloadUUID</key><string>{profile}</string>
<key>PayloadDisplayName</key><string>Network login of {name}</string>
<key>PayloadContent</key><array>
<dict>
<key>PayloadType</key><string>com.apple.security.root</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>{name}.eap.ca</string>
<key>PayloadUUID</key><string>{root}</string>
<key>PayloadDisplayName</key><string>EAP CA of {name}</string>
<key>PayloadContent</key><data>{ca}</data>
</dict>
<dict>
<key>PayloadType</key><string>{kind}</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>{name}.eap.network</string>
<key>PayloadUUID</key><string>{network}</string>
<key>PayloadDisplayName</key><string>Network</string>
{place}
<key>EAPClientConfiguration</key><dict>
<key>AcceptEAPTypes</key><array><integer>25</integer><integer>21</integer></array>
<key>PayloadCertificateAnchorUUID</key><array><string>{root}</string></array>
<key>TLSTrustedServerNames</key><array><string>{name}</string></array>
<key>TTLSInnerAuthentication</key><string>PAP</string>
<key>OuterIdentity</key><string>anonymous</string>
</dict>
</dict>
</array>
</dict></plist>
"#
        )
    }

    fn windows(&self, ssid: &str, thumbprint: &str) -> String {
        let (ssid, name) = (escaped(ssid), escaped(self.server_name));
        format!(
            r#"<?xml version="1.0"?>
<WLANProfile xmlns="http://www.microsoft.com/networking/WLAN/profile/v1">
<name>{ssid}</name>
<SSIDConfig><SSID><name>{ssid}</name></SSID></SSIDConfig>
<connectionType>ESS</connectionType>
<connectionMode>auto</connectionMode>
<MSM><security>
<authEncryption><authentication>WPA2</authentication><encryption>AES</encryption><useOneX>true</useOneX></authEncryption>
<OneX xmlns="http://www.microsoft.com/networking/OneX/v1"><authMode>user</authMode><EAPConfig>
<EapHostConfig xmlns="http://www.microsoft.com/provisioning/EapHostConfig">
<EapMethod>
<Type xmlns="http://www.microsoft.com/provisioning/EapCommon">25</Type>
<VendorId xmlns="http://www.microsoft.com/provisioning/EapCommon">0</VendorId>
<VendorType xmlns="http://www.microsoft.com/provisioning/EapCommon">0</VendorType>
<AuthorId xmlns="http://www.microsoft.com/provisioning/EapCommon">0</AuthorId>
</EapMethod>
<Config>
<Eap xmlns="http://www.microsoft.com/provisioning/BaseEapConnectionPropertiesV1"><Type>25</Type>
<EapType xmlns="http://www.microsoft.com/provisioning/MsPeapConnectionPropertiesV1">
<ServerValidation>
<DisableUserPromptForServerValidation>true</DisableUserPromptForServerValidation>
<ServerNames>{name}</ServerNames>
<TrustedRootCA>{thumbprint}</TrustedRootCA>
</ServerValidation>
<FastReconnect>true</FastReconnect>
<InnerEapOptional>false</InnerEapOptional>
<Eap xmlns="http://www.microsoft.com/provisioning/BaseEapConnectionPropertiesV1"><Type>26</Type>
<EapType xmlns="http://www.microsoft.com/provisioning/MsChapV2ConnectionPropertiesV1">
<UseWinLogonCredentials>false</UseWinLogonCredentials>
</EapType></Eap>
<EnableQuarantineChecks>false</EnableQuarantineChecks>
<RequireCryptoBinding>true</RequireCryptoBinding>
</EapType></Eap>
</Config>
</EapHostConfig>
</EAPConfig></OneX>
</security></MSM>
</WLANProfile>
"#
        )
    }

    /// Android has no file for this that every maker's phone reads, so it is told by hand.
    fn android(&self) -> String {
        let network = self.ssid.unwrap_or("the network");
        let name = self.server_name;
        format!(
            "Android, once for each phone\n\n\
             1. Copy ca.pem to the phone. Settings, Security, Encryption and credentials, Install a certificate,\n   \
             Wi-Fi certificate: choose ca.pem and give it a name.\n\
             2. Settings, Wi-Fi, {network}:\n   \
             EAP method: PEAP\n   Phase 2 authentication: MSCHAPV2\n   CA certificate: the name from 1\n   \
             Domain: {name}\n   Identity: the login\n   Anonymous identity: anonymous\n   Password: the password\n\n\
             Never choose \"Do not validate\": then anybody's access point learns the password.\n"
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_networks_name_cannot_write_into_the_profile() {
        assert_eq!(escaped("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
    }
}
