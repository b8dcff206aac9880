//! When a fragment was made, by the wall clock: prft (ISO/IEC 14496-12 §8.16.5).

use std::time::Duration;

use mp4_atom::{Prft, ReferenceTime};

/// Seconds from the epoch of NTP, 1900, to that of Unix.
const EPOCH_S: u64 = 2_208_988_800;

/// What stands before a moof that was finalized at `now`, since 1970, and whose earliest sample is presented at
/// `media_time`.
pub const fn prft(reference_track_id: u32, now: Duration, media_time: u64) -> Prft {
    let utc_time_semantics = ReferenceTime::Finalised;
    Prft { reference_track_id, ntp_timestamp: ntp(now), media_time, utc_time_semantics }
}

/// Seconds since 1900 in the upper half, their fraction in the lower; eras of 136 years are not told apart.
const fn ntp(since_1970: Duration) -> u64 {
    let seconds = since_1970.as_secs().wrapping_add(EPOCH_S) << 32;
    let fraction = ((since_1970.subsec_nanos() as u64) << 32) / 1_000_000_000;
    seconds | fraction
}

#[cfg(test)]
mod tests {
    use mp4_atom::Encode;

    use super::*;

    #[test]
    fn wall_time_is_told_as_ntp_has_it() {
        let mut bytes = Vec::new();
        prft(1, Duration::from_millis(500), 1 << 32).encode(&mut bytes).unwrap();
        assert_eq!(bytes[..16], [0, 0, 0, 32, b'p', b'r', b'f', b't', 1, 0, 0, 2, 0, 0, 0, 1]);
        assert_eq!(bytes[16..], [0x83, 0xaa, 0x7e, 0x80, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    }
}
