//! Hours in which nobody is written to but about what they wait for.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// A span of the site's day, over midnight where it ends before it begins: `21:00-07:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    until: Time,
}

impl QuietHours {
    /// Hours from one time of day to another; `None` where both are the same.
    #[must_use]
    pub fn new(from: Time, until: Time) -> Option<Self> {
        (from != until).then_some(Self { from, until })
    }

    /// Where it is quiet at that time: when that ends.
    #[must_use]
    pub fn end(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let here = now.to_zoned(zone.clone());
        let time = here.time();
        let over_midnight = self.until < self.from;
        let is_quiet = if over_midnight {
            time >= self.from || time < self.until
        } else {
            time >= self.from && time < self.until
        };
        if !is_quiet {
            return None;
        }
        let day = if time < self.until { here.date() } else { here.date().tomorrow().ok()? };
        // An end that the clocks leap over is the first moment after the leap; one that comes twice, the first.
        let end = day.to_datetime(self.until).to_zoned(zone.clone()).ok()?.timestamp();
        // Where the clocks were set back over the end, the hour comes again: it was quiet long enough.
        (end > now).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(from: i8, until: i8, zone: &str, now: &str) -> Option<String> {
        let hours = QuietHours::new(Time::constant(from, 0, 0, 0), Time::constant(until, 0, 0, 0)).unwrap();
        hours.end(now.parse().unwrap(), &TimeZone::get(zone).unwrap()).map(|end| end.to_string())
    }

    #[test]
    fn a_night_ends_in_the_morning_of_the_site() {
        let lagos = |now| end(21, 7, "Africa/Lagos", now);
        assert_eq!(lagos("2026-11-26T19:59:59Z"), None);
        assert_eq!(lagos("2026-11-26T20:00:00Z").as_deref(), Some("2026-11-27T06:00:00Z"));
        assert_eq!(lagos("2026-11-27T05:59:59Z").as_deref(), Some("2026-11-27T06:00:00Z"));
        assert_eq!(lagos("2026-11-27T06:00:00Z"), None);
        assert_eq!(
            end(12, 14, "Africa/Lagos", "2026-11-27T12:00:00Z").as_deref(),
            Some("2026-11-27T13:00:00Z")
        );
        assert!(QuietHours::new(Time::midnight(), Time::midnight()).is_none());
    }

    #[test]
    fn a_night_in_which_the_clocks_change_ends_at_the_hour_that_the_wall_shows() {
        let cairo = |now| end(21, 7, "Africa/Cairo", now);
        // Forward on 24 April 2026 at 00:00, back on 30 October at 00:00.
        assert_eq!(cairo("2026-04-23T20:00:00Z").as_deref(), Some("2026-04-24T04:00:00Z"));
        assert_eq!(cairo("2026-10-29T20:00:00Z").as_deref(), Some("2026-10-30T05:00:00Z"));
        // New York leaps over 02:00: a night until then ends with the leap.
        let new_york = |now| end(21, 2, "America/New_York", now);
        assert_eq!(new_york("2026-03-08T05:30:00Z").as_deref(), Some("2026-03-08T07:00:00Z"));
        // And repeats 01:00 to 02:00 in November: a night until 01:00 ends once.
        let once = |now| end(21, 1, "America/New_York", now);
        assert_eq!(once("2026-11-01T04:59:00Z").as_deref(), Some("2026-11-01T05:00:00Z"));
        assert_eq!(once("2026-11-01T06:10:00Z"), None);
    }
}
