//! The machine beneath: clock, disk, accounts.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Check;
use crate::cli::{Context, human};
use crate::config::{Config, Engine};

/// A clock that is wrong ends subscriptions at the wrong hour.
pub(super) fn clock(context: &Context, config: Option<&Config>) -> Check {
    const NAME: &str = "clock";
    let now = context.clock.now();
    if now < SANE {
        return Check::fail(
            NAME,
            format!("the clock shows {now}, which cannot be"),
            "set it and keep it by NTP: timedatectl set-ntp true",
        );
    }
    if let Some(written) = config.and_then(last_written)
        && written > now.saturating_add(SKEW).unwrap_or(now)
    {
        return Check::fail(
            NAME,
            format!("the clock shows {now}, but the store was written at {written}: it went back"),
            "set it and keep it by NTP: timedatectl set-ntp true",
        );
    }
    if Path::new(SYNCHRONISED).exists() {
        return Check::ok(NAME, "kept by NTP");
    }
    Check::warn(
        NAME,
        "plausible, but nothing tells that it is kept by NTP",
        "see: timedatectl (chrony and ntpd do not tell us)",
    )
}

/// Room and files left where the store is.
pub(super) fn disk(config: &Config) -> Vec<Check> {
    const NAME: &str = "disk";
    match config.store.engine {
        Engine::Memory => return Vec::new(),
        Engine::Embedded => {}
    }
    let place = existing(&config.store.path);
    let stat = match nix::sys::statvfs::statvfs(&place) {
        Ok(stat) => stat,
        Err(error) => {
            let found = format!("{} cannot be looked at: {error}", place.display());
            return vec![Check::warn(NAME, found, "run doctor as root, or as the daemon's user")];
        }
    };
    let size = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
    let (free, all) = (size(stat.blocks_available()), size(stat.blocks()));
    let mut checks = vec![space(&place, free, all)];
    if stat.files() > 0 && stat.files_available() < LEAST_FILES {
        let found = format!("{} has no room for new files", place.display());
        checks.push(Check::fail(NAME, found, "see: df -i; remove what is not needed"));
    }
    checks
}

fn space(place: &Path, free: u64, all: u64) -> Check {
    const NAME: &str = "disk";
    let found = format!("{} of {} free at {}", human::octets(free), human::octets(all), place.display());
    let remedy =
        "make room: accounting is acknowledged only once it is on disk (see: df -h, journalctl --disk-usage)";
    if free < LEAST_FREE {
        Check::fail(NAME, found, remedy)
    } else if free < GOOD_FREE && free < all / 10 {
        Check::warn(NAME, found, remedy)
    } else {
        Check::ok(NAME, found)
    }
}

/// The group that may use the control socket.
pub(super) fn group(config: &Config) -> Check {
    const NAME: &str = "group";
    let group = &config.control.group;
    match nix::unistd::Group::from_name(group) {
        Ok(Some(_)) => Check::ok(NAME, format!("members of {group} may use the control socket")),
        Ok(None) => Check::warn(
            NAME,
            format!(
                "there is no group {group}: only root and the daemon's own user can use the control socket"
            ),
            format!("run: groupadd --system {group}; then restart the daemon"),
        ),
        Err(error) => Check::warn(NAME, format!("{group} cannot be looked up: {error}"), "see: getent group"),
    }
}

/// When the store's youngest file was written.
fn last_written(config: &Config) -> Option<Timestamp> {
    let files = std::fs::read_dir(&config.store.path).ok()?;
    let times = files.filter_map(|file| file.ok()?.metadata().ok()?.modified().ok());
    times.max().and_then(|time| Timestamp::try_from(time).ok())
}

/// The path, or the nearest folder above it that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(path).to_owned()
}

/// Before this program was written: 2026-01-01T00:00:00Z.
const SANE: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// Clocks that are set in steps differ by this much and are still right.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(2);
/// systemd-timesyncd's mark.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Below this the store's log may not fit.
const LEAST_FREE: u64 = 64 << 20;
/// Above this a nearly full large disk is no matter.
const GOOD_FREE: u64 = 2 << 30;
/// The store, its log, a backup and their siblings.
const LEAST_FILES: u64 = 64;

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_full_disk_fails_and_a_nearly_full_one_warns() {
        let level = |free, all| space(Path::new("/"), free, all).level;
        assert_eq!(level(1 << 20, 1 << 40), Level::Fail);
        assert_eq!(level(1 << 30, 100 << 30), Level::Warn);
        assert_eq!(level(1 << 30, 4 << 30), Level::Ok);
        assert_eq!(level(50 << 30, 1 << 40), Level::Ok);
    }
}
