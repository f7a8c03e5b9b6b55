//! The closed list of vendors: one file each, called from [`write_accept`](super::write_accept).

pub mod accel_ppp;
pub mod cisco;
pub mod coova;
pub mod generic;
pub mod huawei;
pub mod juniper;
pub mod mikrotik;
pub mod wispr;

/// The high and low 32 bits of a limit. A low half of zero is read as "no limit" by some firmware,
/// so a limit that is an exact multiple of 2^32 is given one octet less.
fn halves(octets: u64) -> (u32, u32) {
    let octets = if octets.trailing_zeros() >= 32 { octets.saturating_sub(1) } else { octets };
    let high = u32::try_from(octets >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(octets & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (high, low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_split_as_the_golden_vectors_say() {
        assert_eq!(halves(5_000_000_000), (1, 705_032_704));
        assert_eq!(halves(10_000_000_000), (2, 1_410_065_408));
        assert_eq!(halves(10_737_418_240), (2, 2_147_483_648));
        assert_eq!(halves(4_294_967_296), (0, 4_294_967_295));
    }

    #[test]
    fn rule_24_what_is_left_is_told_whole_or_one_less_and_its_low_word_is_never_zero() {
        let border = 1_u64 << 32;
        let around = |at: u64| [at - 1, at, at + 1];
        let all = [1, 2, 999_999_999, 1_000_000_000, 1 << 30, u64::from(u32::MAX), u64::MAX];
        for octets in all.into_iter().chain((1..=64).flat_map(|times| around(border * times))) {
            let (high, low) = halves(octets);
            let told = u64::from(high) << 32 | u64::from(low);
            assert_ne!(low, 0, "{octets} would be read as no limit");
            assert!(told == octets || told == octets - 1, "{octets} is told as {told}");
        }
    }
}
