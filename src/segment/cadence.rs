//! How one stream's access units follow each other, and how long the last of them lasts.

use super::timing::Picture;
use crate::time::{Rate, Ticks};

/// The longest that a picture (or an audio PES packet) is believed to last.
pub const MAX_FRAME: Ticks = Ticks::new(Ticks::PER_SECOND);
/// The longest that one picture of a slow series, such as slides, is believed to last.
const MAX_SLOW_FRAME: Ticks = Ticks::new(10 * Ticks::PER_SECOND);
/// Bytes of sound that the measure of its rate looks back on, more or less.
const MEMORY_BYTES: u64 = 256 << 10;
/// Steps that the duration of a picture is taken from: the middle one of them.
const STEPS: usize = 5;
/// Steps that show more than what the stream says.
const ENOUGH_STEPS: usize = 3;

/// What the access units of a timeline so far tell of the next.
#[derive(Clone, Debug, Default)]
pub struct Cadence {
    last_dts: Option<Ticks>,
    max_pts: Option<Ticks>,
    /// The farthest that one picture has moved `max_pts`: how far the next one may.
    widest_stride: Ticks,
    /// The duration of a picture, as the stream says it, where that can be believed at once.
    frame: Ticks,
    /// The same of slow series too.
    stated: Ticks,
    /// The last steps of the decoding times, which show it better, and how many there were.
    steps: [Ticks; STEPS],
    step_count: usize,
    /// The last two steps, where both were longer than [`MAX_FRAME`]: a slow series, not a gap.
    slow: [Ticks; 2],
    /// How long a picture lasts, by the two.
    span: Ticks,
    sound: Option<Sound>,
}

/// A PES packet of sound holds some frames, each as long as the others; how many, its size tells.
#[derive(Clone, Copy, Debug)]
struct Sound {
    frames: Rate,
    /// PTS and size of the last PES packet.
    last: Option<(Ticks, u64)>,
    /// PES packets before it lasted so long, and had so many bytes.
    measured: (Ticks, u64),
}

impl Cadence {
    /// The duration of a picture, where the stream says it.
    pub fn set_frame(&mut self, frame: Ticks) {
        self.frame = frame.clamp(Ticks::ZERO, MAX_FRAME);
        self.stated = frame;
        self.span = self.picture_span();
    }

    /// The stream is sound, of so many frames a second.
    pub fn set_sound(&mut self, frames: Rate) {
        self.sound = Some(Sound { frames, last: None, measured: (Ticks::ZERO, 0) });
    }

    /// Decoding time of the last access unit.
    pub const fn last_dts(&self) -> Option<Ticks> {
        self.last_dts
    }

    /// The latest presentation time.
    pub const fn max_pts(&self) -> Option<Ticks> {
        self.max_pts
    }

    /// How far the next picture may move the latest presentation time.
    pub fn stride(&self) -> Ticks {
        self.widest_stride.max(self.span)
    }

    /// How far apart pictures usually are.
    pub fn usual_step(&self) -> Ticks {
        self.span.max(self.slow[0].min(self.slow[1]))
    }

    /// When what has come is over: how long the last picture lasts is a guess.
    pub fn end(&self) -> Option<Ticks> {
        Some(self.max_pts? + self.last_span())
    }

    /// When what follows is to be decoded, if it goes on evenly: a guess as well.
    pub fn decode_end(&self) -> Option<Ticks> {
        Some(self.last_dts? + self.last_span())
    }

    fn last_span(&self) -> Ticks {
        let last = match &self.sound {
            Some(sound) => sound.last_span(),
            // A series may be slow for a while only: the stream has to say so as well.
            None => self.span.max(self.stated.min(self.slow[0]).min(self.slow[1])),
        };
        last.max(Ticks::new(1))
    }

    /// How long a picture lasts: the usual step, or what the stream says before there are enough.
    fn picture_span(&self) -> Ticks {
        let count = self.step_count.min(STEPS);
        if count == 0 || count < ENOUGH_STEPS && self.frame > Ticks::ZERO {
            return self.frame;
        }
        let mut steps = self.steps;
        let steps = &mut steps[..count];
        steps.sort_unstable();
        steps[count / 2]
    }

    /// Another timeline begins. What is known of frames still holds.
    pub fn restart(&mut self) {
        self.last_dts = None;
        self.max_pts = None;
        if let Some(sound) = &mut self.sound {
            sound.last = None;
        }
    }

    /// Learns durations from the step to `picture`.
    pub fn measure(&mut self, picture: &Picture) {
        if let Some(last) = self.last_dts {
            let step = picture.dts - last;
            let is_slow = step > MAX_FRAME && step <= MAX_SLOW_FRAME;
            self.slow = if is_slow { [self.slow[1], step] } else { [Ticks::ZERO; 2] };
            if step > Ticks::ZERO && step <= MAX_FRAME {
                let index = self.step_count % STEPS;
                let has_changed = std::mem::replace(&mut self.steps[index], step) != step;
                self.step_count = self.step_count.wrapping_add(1).max(index + 1);
                if has_changed || step != self.span {
                    self.span = self.picture_span();
                }
            }
        }
        if let Some(max) = self.max_pts.filter(|max| picture.pts > *max) {
            self.widest_stride = self.widest_stride.max((picture.pts - max).min(MAX_FRAME));
        }
        if let Some(sound) = &mut self.sound {
            sound.measure(picture.pts);
        }
    }

    /// Goes on to `picture`.
    pub fn go_on_to(&mut self, picture: &Picture) {
        self.max_pts = self.max_pts.max(Some(picture.pts));
        self.last_dts = Some(picture.dts);
        if let Some(sound) = &mut self.sound {
            sound.last = picture.size_bytes.map(|size| (picture.pts, size as u64));
        }
    }
}

impl Sound {
    fn measure(&mut self, next: Ticks) {
        let Some((pts, size_bytes)) = self.last else { return };
        let step = next - pts;
        if step > Ticks::ZERO && step <= MAX_FRAME {
            let (span, bytes) = &mut self.measured;
            *span = *span + step;
            *bytes += size_bytes;
            if *bytes > MEMORY_BYTES {
                self.measured = (Ticks::new(span.count() / 2), *bytes / 2);
            }
        }
    }

    /// Whole frames, as many as its size suggests; one where nothing does.
    fn last_span(&self) -> Ticks {
        let frame = 1.0 / self.frames.per_second();
        let (span, bytes) = self.measured;
        let count = match self.last {
            Some((_, size_bytes)) if bytes > 0 => {
                let seconds = span.count() as f64 / Ticks::PER_SECOND as f64;
                (size_bytes as f64 * seconds / bytes as f64 / frame).round().max(1.0)
            }
            _ => 1.0,
        };
        Ticks::new((count * frame * Ticks::PER_SECOND as f64).round() as i64).min(MAX_FRAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pts: i64, size_bytes: usize) -> Picture {
        let pts = Ticks::new(pts);
        Picture {
            pts,
            dts: pts,
            random_access: None,
            has_parameter_sets: false,
            is_new_format: false,
            size_bytes: Some(size_bytes),
        }
    }

    /// When a stream of AAC at 48 kHz ends, whose PES packets hold so many frames of about 340 bytes each.
    fn end_of(frames: &[i64]) -> Option<i64> {
        let mut cadence = Cadence::default();
        cadence.set_sound(Rate::new(48_000, 1024).unwrap());
        let mut pts = 0;
        for (n, count) in frames.iter().enumerate() {
            let packet = packet(pts, 14 + *count as usize * (330 + n % 3 * 10));
            cadence.measure(&packet);
            cadence.go_on_to(&packet);
            pts += count * 1920;
        }
        cadence.end().map(Ticks::count)
    }

    #[test]
    fn the_last_packet_of_sound_lasts_as_many_frames_as_it_holds() {
        assert_eq!(end_of(&[8, 8, 8, 3]), Some(27 * 1920));
        assert_eq!(end_of(&[8, 3, 8, 8, 1]), Some(28 * 1920));
        assert_eq!(end_of(&[1, 1, 8]), Some(10 * 1920));
        assert_eq!(end_of(&[8; 1000]), Some(8000 * 1920));
        assert_eq!(end_of(&[4]), Some(1920), "nothing tells how many they are");
        assert_eq!(end_of(&[]), None);
    }

    #[test]
    fn the_last_picture_of_a_slow_series_lasts_as_long_as_the_stream_says() {
        const SECOND: i64 = Ticks::PER_SECOND;
        let end_of = |stated: i64, times: &[i64]| {
            let mut cadence = Cadence::default();
            cadence.set_frame(Ticks::new(stated));
            for time in times {
                cadence.measure(&packet(*time, 100));
                cadence.go_on_to(&packet(*time, 100));
            }
            cadence.end().map_or(0, Ticks::count)
        };
        assert_eq!(end_of(2 * SECOND, &[0, 2 * SECOND, 4 * SECOND]), 6 * SECOND);
        assert_eq!(end_of(8 * SECOND, &[0, 8 * SECOND, 16 * SECOND]), 24 * SECOND);
        // A shared screen, and a hole in video of 25 frames a second.
        assert_eq!(end_of(3600, &[0, 2 * SECOND, 4 * SECOND]), 4 * SECOND + 3600);
        assert_eq!(end_of(3600, &[0, 3600, 7200, 7200 + 3 * SECOND]), 10_800 + 3 * SECOND);
    }

    #[test]
    fn a_packet_of_sound_behind_a_jump_is_no_measure() {
        let mut cadence = Cadence::default();
        cadence.set_sound(Rate::new(48_000, 1024).unwrap());
        for pts in [0, 8 * 1920, 16 * 1920] {
            cadence.measure(&packet(pts, 2000));
            cadence.go_on_to(&packet(pts, 2000));
        }
        cadence.restart();
        cadence.measure(&packet(80_000, 2000));
        cadence.go_on_to(&packet(80_000, 1000));
        assert_eq!(cadence.end(), Some(Ticks::new(80_000 + 4 * 1920)));
    }
}
