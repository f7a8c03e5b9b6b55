//! Numbers and times as people read them.

use std::time::Duration;

/// Octets with three digits and a decimal unit, as networks count them.
pub(super) fn octets(count: u64) -> String {
    scaled(count, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// A rate in bits a second.
pub(super) fn rate(bits: u64) -> String {
    scaled(bits, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

fn scaled(count: u64, units: &[&str]) -> String {
    let mut size = 1u64;
    let mut unit = units.first().copied().unwrap_or_default();
    for next in units.iter().skip(1) {
        if count / size < 1_000 {
            break;
        }
        size = size.saturating_mul(1_000);
        unit = next;
    }
    let (whole, rest) = (count / size, count % size);
    let hundredths = rest.checked_div(size / 100).unwrap_or(0);
    if hundredths == 0 { format!("{whole} {unit}") } else { format!("{whole}.{hundredths:02} {unit}") }
}

/// A stretch of time in its two largest units.
pub(super) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} min")
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

/// How long something took.
pub(super) fn took(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_rates_and_spans_read_as_people_say_them() {
        assert_eq!(octets(999), "999 B");
        assert_eq!(octets(6_000_000_000), "6 GB");
        assert_eq!(octets(4_294_967_296), "4.29 GB");
        assert_eq!(rate(20_000_000), "20 Mbit/s");
        assert_eq!(octets(u64::MAX), "18.44 EB");
        assert_eq!(span(59), "59 s");
        assert_eq!(span(90_061), "1 d 1 h");
    }
}
