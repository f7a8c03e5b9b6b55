//! `[control]`: the socket on which the command line speaks to the running daemon.

use std::path::PathBuf;

use super::fault::Wrong;
use super::reader::{Applies, Section};

/// The control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The socket file; made at start with mode 0660.
    pub socket: PathBuf,
    /// The group whose members may use it; root always may.
    pub group: String,
}

impl Control {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = PathBuf::from("/run/dotmac-edge/control.sock");
        let socket = section.checked("socket", Applies::Restart, default, |path| {
            if path.as_os_str().len() > MAX_SOCKET_PATH_OCTETS {
                return Err(Wrong::new(
                    format!(
                        "the path is longer than {MAX_SOCKET_PATH_OCTETS} octets, which the kernel refuses"
                    ),
                    "choose a shorter folder",
                ));
            }
            Ok(())
        });
        let group = section.optional("group", Applies::Restart, "dotmac-edge".to_owned());
        Self { socket, group }
    }
}

/// `sun_path` of `unix(7)` is 108 octets with its closing NUL.
const MAX_SOCKET_PATH_OCTETS: usize = 107;
