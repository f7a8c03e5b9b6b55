//! The control socket: how the command line on the box reaches the running daemon.
//!
//! The same router as the API's, over a Unix socket; who may connect is decided by the kernel's word
//! about the peer, so no password is needed and none is taken. The one rule: root, the daemon's own
//! user and members of the socket's group are let in, nobody else, whatever the file's mode says.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgrouplist};
use tokio::net::UnixListener;

use super::http::peer::Credentials;
use super::http::server::{Admission, Listener};

/// Where the socket is, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The socket's path.
    pub path: PathBuf,
    /// Whose members may connect; the daemon's own group unless named.
    pub group: Option<String>,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another process answers on it.
    #[error("{} is in use by another process; stop it first", .0.display())]
    Held(PathBuf),
    /// Something else is at the path: the operator's to move.
    #[error("{} is not a socket; move it away", .0.display())]
    NotASocket(PathBuf),
    /// There is no such group.
    #[error("there is no group {0}; make it, or name another")]
    NoGroup(String),
    /// The system refused.
    #[error("cannot {doing} the control socket {}", path.display())]
    System {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Binds the socket, with mode 0660 and its group, and says who is let in.
///
/// A socket that nobody answers on any more, left by a crash, is replaced. Must run within a
/// runtime.
///
/// # Errors
/// [`ControlError`].
pub fn bind(place: &Place) -> Result<Listener, ControlError> {
    let gid = group_id(place)?;
    let fault = |doing| move |source| ControlError::System { doing, path: place.path.clone(), source };
    clear_stale(&place.path)?;
    let listener = UnixListener::bind(&place.path).map_err(fault("bind"))?;
    // The socket has our own group already, and the unit's filter refuses the call.
    if gid != getegid() {
        std::os::unix::fs::chown(&place.path, None, Some(gid.as_raw()))
            .map_err(fault("give its group to"))?;
    }
    std::fs::set_permissions(&place.path, Permissions::from_mode(MODE)).map_err(fault("protect"))?;
    Ok(Listener::Unix(listener, admission(geteuid(), gid)))
}

/// Whether the system knows a group of that name.
#[must_use]
pub fn group_exists(name: &str) -> bool {
    Group::from_name(name).is_ok_and(|group| group.is_some())
}

/// Lets in root, `owner` and the members of `group`.
#[must_use]
pub fn admission(owner: Uid, group: Gid) -> Admission {
    Arc::new(move |peer: Credentials| {
        let uid = Uid::from_raw(peer.uid);
        uid.is_root() || uid == owner || peer.gid == group.as_raw() || is_member(uid, group)
    })
}

fn group_id(place: &Place) -> Result<Gid, ControlError> {
    let Some(name) = &place.group else { return Ok(getegid()) };
    let found = Group::from_name(name).map_err(|error| ControlError::System {
        doing: "look up the group of",
        path: place.path.clone(),
        source: error.into(),
    })?;
    found.map(|group| group.gid).ok_or_else(|| ControlError::NoGroup(name.clone()))
}

/// Whether the user is in that group by the system's tables; a user that cannot be found is not.
fn is_member(uid: Uid, group: Gid) -> bool {
    let Ok(Some(user)) = User::from_uid(uid) else { return false };
    let Ok(name) = std::ffi::CString::new(user.name) else { return false };
    getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group))
}

fn clear_stale(path: &Path) -> Result<(), ControlError> {
    let fault = |doing| move |source| ControlError::System { doing, path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fault("look at")(error)),
        Ok(found) if !found.file_type().is_socket() => Err(ControlError::NotASocket(path.to_owned())),
        Ok(_) => match StdUnixStream::connect(path) {
            Ok(_) => Err(ControlError::Held(path.to_owned())),
            Err(_) => std::fs::remove_file(path).map_err(fault("remove the stale")),
        },
    }
}

/// For the daemon's user and the socket's group, nobody else.
const MODE: u32 = 0o660;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &tempfile::TempDir) -> Place {
        Place { path: folder.path().join("control.sock"), group: None }
    }

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_only() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = bind(&place(&folder)).unwrap();
        let mode = std::fs::metadata(place(&folder).path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
    }

    #[tokio::test]
    async fn a_socket_left_by_a_crash_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = bind(&place(&folder)).unwrap();
        assert!(matches!(bind(&place(&folder)), Err(ControlError::Held(_))));
        drop(first);
        assert!(bind(&place(&folder)).is_ok());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(place(&folder).path, "mine").unwrap();
        assert!(matches!(bind(&place(&folder)), Err(ControlError::NotASocket(_))));
        let elsewhere = Place { group: Some("no-such-group-here".into()), ..place(&folder) };
        assert!(matches!(bind(&elsewhere), Err(ControlError::NoGroup(_))));
    }

    #[test]
    fn root_the_owner_and_the_group_are_let_in_and_others_are_not() {
        let admits = admission(Uid::from_raw(990), Gid::from_raw(991));
        assert!(admits(Credentials { uid: 0, gid: 0 }));
        assert!(admits(Credentials { uid: 990, gid: 5 }));
        assert!(admits(Credentials { uid: 4_000_000, gid: 991 }));
        assert!(!admits(Credentials { uid: 4_000_000, gid: 4_000_000 }));
    }
}
