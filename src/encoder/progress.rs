//! What ffmpeg writes with `-progress`: `key=value` lines, a block about twice a second.

use std::time::Duration;

/// How far an ffmpeg has come. In a shared one the picture numbers are those of its first video output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Pictures encoded.
    pub frame: u64,
    /// Pictures encoded a second, since the start.
    pub fps: f64,
    /// Seconds of media a second: below 1 a live source is not kept up with. None until it is known.
    pub speed: Option<f64>,
    /// Media time written.
    pub out_time: Duration,
    /// Pictures dropped to hold the frame rate.
    pub dropped: u64,
    /// Pictures shown twice to hold the frame rate.
    pub duplicated: u64,
}

/// Collects lines into [`Progress`].
#[derive(Debug, Default)]
pub(super) struct Reader {
    current: Progress,
}

impl Reader {
    /// Takes a line; gives what is known at the end of a block.
    pub(super) fn push(&mut self, line: &str) -> Option<Progress> {
        let (key, value) = line.trim().split_once('=')?;
        let value = value.trim();
        match key {
            "frame" => set(&mut self.current.frame, value),
            "fps" => set(&mut self.current.fps, value),
            "drop_frames" => set(&mut self.current.dropped, value),
            "dup_frames" => set(&mut self.current.duplicated, value),
            "speed" => self.current.speed = value.trim_end_matches('x').parse().ok(),
            "out_time_us" => {
                if let Ok(micros) = value.parse::<i64>() {
                    self.current.out_time = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
                }
            }
            "progress" => return Some(self.current),
            _ => {}
        }
        None
    }
}

/// Leaves `field` alone if the value is none, such as `N/A`.
fn set<T: std::str::FromStr>(field: &mut T, value: &str) {
    if let Ok(value) = value.parse() {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_becomes_one_progress() {
        let text = "frame=128\nfps=25.03\nstream_0_0_q=29.0\nbitrate= 412.3kbits/s\ntotal_size=N/A\n\
                    out_time_us=5120000\nout_time_ms=5120000\nout_time=00:00:05.120000\ndup_frames=2\n\
                    drop_frames=1\nspeed=1.01x\nprogress=continue";
        let mut reader = Reader::default();
        let all: Vec<_> = text.lines().filter_map(|line| reader.push(line)).collect();
        assert_eq!(
            all,
            [Progress {
                frame: 128,
                fps: 25.03,
                speed: Some(1.01),
                out_time: Duration::from_millis(5120),
                dropped: 1,
                duplicated: 2,
            }]
        );
    }

    #[test]
    fn values_that_are_not_known_yet_and_rubbish_do_no_harm() {
        let mut reader = Reader::default();
        for line in ["", "=", "frame", "frame=-1", "speed=N/A", "out_time_us=-9223372036854775807", "\u{0}=x"]
        {
            assert_eq!(reader.push(line), None);
        }
        assert_eq!(reader.push("progress=end"), Some(Progress::default()));
    }
}
