//! What a demo that was killed left behind.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::geteuid;

use super::lab::PREFIX;
use super::{space, world};

/// Ends the processes and removes worlds and folders of demos whose process is gone. Best effort: what
/// cannot be removed is in nobody's way.
pub(super) fn remove(place: &Path) {
    for (pid, _) in space::all() {
        if !runs_a_demo(pid) {
            world::take_down(pid.unsigned_abs());
        }
    }
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<i32>().ok());
        if let Some(pid) = pid
            && is_ours(&entry.path())
            && !runs_a_demo(pid)
        {
            world::take_down(pid.unsigned_abs());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The same for one demo, whose process id is now ours.
pub(super) fn remove_of(demo: u32, folder: &Path) {
    world::take_down(demo);
    if is_ours(folder) {
        let _ = fs::remove_dir_all(folder);
    }
}

/// A folder, no link to one, and made by this user.
fn is_ours(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir() && meta.uid() == geteuid().as_raw())
}

fn runs_a_demo(pid: i32) -> bool {
    command_line(pid).is_some_and(|line| line.split('\0').any(|word| word == "demo"))
}

fn command_line(pid: i32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_demos_that_are_gone_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let gone = place.path().join(format!("{PREFIX}999999999"));
        let other = place.path().join("dotmac-edge-demo-notes");
        let link = place.path().join(format!("{PREFIX}999999998"));
        fs::create_dir(&gone).unwrap();
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        remove(place.path());
        assert!(!gone.exists());
        assert!(other.exists() && link.exists());
    }
}
