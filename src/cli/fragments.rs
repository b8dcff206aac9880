//! Segments of fragmented MP4, written whole, with a playlist for each track.

use std::sync::Arc;
use std::time::SystemTime;

use super::folder::{Folder, PLAYLIST, Settings};
use super::writer::Tally;
use crate::chunks::Chunks;
use crate::cmaf::{self, Event, Fragmenter, Init, Layout, Track};
use crate::live::{Container, Rendition, Role};
use crate::segment::{self, Extent};

/// The group that sound is in, where it is beside pictures or other sound.
const GROUP: &str = "audio";
/// Tracks that there are places for where there are several: some may come later.
const MOST_TRACKS: usize = 9;

/// The stream in fragments.
pub struct Fragments {
    fragmenter: Fragmenter,
    tracks: Tracks,
}

/// The renditions, one for each track.
struct Tracks {
    /// As they were told last.
    told: Arc<[Track]>,
    /// From the first segment on.
    folder: Option<Folder>,
    /// Whether any track has had an initialization: without one nothing can be played.
    is_described: bool,
    /// The track whose segments are counted.
    counted: Option<usize>,
}

impl Fragments {
    /// Nothing is known of the tracks yet.
    pub fn new(layout: Layout) -> Self {
        let fragmenter = Fragmenter::new(&cmaf::Options { layout });
        Self {
            fragmenter,
            tracks: Tracks { told: Arc::new([]), folder: None, is_described: false, counted: None },
        }
    }

    /// Takes what the cutter says.
    pub fn take(
        &mut self,
        event: &segment::Event,
        settings: &Settings,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        self.fragmenter.push(event).try_for_each(|event| self.tracks.take(event, settings, tally))
    }

    /// Ends the playlists.
    pub fn finish(&mut self, settings: &Settings, tally: &mut Tally) -> anyhow::Result<()> {
        self.fragmenter.break_off().try_for_each(|event| self.tracks.take(event, settings, tally))?;
        self.tracks.folder.as_mut().map_or(Ok(()), Folder::finish)
    }
}

impl Tracks {
    fn take(&mut self, event: Event, settings: &Settings, tally: &mut Tally) -> anyhow::Result<()> {
        match event {
            Event::Tracks(tracks) => {
                self.told(tracks, tally);
                Ok(())
            }
            Event::Open { track, head, .. } => {
                let folder = self.begin(settings)?;
                if is_there(folder, track) {
                    folder.presentation.open(track, &head, SystemTime::now());
                }
                Ok(())
            }
            Event::Init { track, init, .. } => self.init(track, &init),
            Event::FrameRate { track, rate } => {
                if let Some(folder) = self.folder.as_mut().filter(|folder| is_there(folder, track)) {
                    folder.presentation.frame_rate(track, rate);
                }
                Ok(())
            }
            Event::Segment { track, extent, body, .. } => self.segment(track, &extent, &body, tally),
            Event::Anomaly(anomaly) => {
                tally.note(anomaly.kind.name(), &anomaly);
                Ok(())
            }
            Event::Gap { track, extent, is_whole, .. } => self.gap(track, &extent, is_whole),
            Event::Part { .. } => Ok(()),
        }
    }

    /// Tracks became others. One that is new and has no place came too late to get a playlist.
    fn told(&mut self, tracks: Arc<[Track]>, tally: &mut Tally) {
        self.told = tracks;
        let Some(folder) = &self.folder else { return };
        let renditions = folder.presentation.options().renditions.len();
        for track in renditions..self.told.len() {
            let pids: Vec<_> = self.told[track].pids.iter().map(ToString::to_string).collect();
            let place = format!("PID {}: it came after the first segment; left out", pids.join(", "));
            tally.note("late track", &place);
        }
    }

    /// The first segment begins.
    fn begin(&mut self, settings: &Settings) -> anyhow::Result<&mut Folder> {
        match &mut self.folder {
            Some(folder) => Ok(folder),
            none => {
                let mut folder = Folder::open(settings, renditions(&settings.prefix, &self.told))?;
                for (track, told) in self.told.iter().enumerate() {
                    if let Some(language) = &told.language {
                        folder.presentation.language(track, language);
                    }
                    folder.presentation.service(track, told.service);
                }
                Ok(none.insert(folder))
            }
        }
    }

    fn init(&mut self, track: usize, init: &Init) -> anyhow::Result<()> {
        let Some(folder) = self.folder.as_mut().filter(|folder| is_there(folder, track)) else {
            return Ok(());
        };
        self.is_described = true;
        let key = folder.presentation.options().renditions[track].init_key(init.digest);
        folder.put(&key, std::slice::from_ref(&init.bytes))?;
        folder.presentation.map(track, init.digest);
        folder.presentation.format(track, &init.formats);
        Ok(())
    }

    fn segment(
        &mut self,
        track: usize,
        extent: &Extent,
        body: &Chunks,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let Some(folder) = self.folder.as_mut().filter(|folder| is_there(folder, track)) else {
            return Ok(());
        };
        let number = folder.presentation.next_number(track);
        let key = folder.presentation.options().renditions[track].segment_key(number);
        let mut file = folder.stage(&key)?;
        folder.write(&key, &mut file, body.slices())?;
        folder.commit_segment(&key, file)?;
        // The first track with segments counts, which is not the first where video never arrives.
        if (track > 0 || self.is_described) && *self.counted.get_or_insert(track) == track {
            tally.add(extent);
        }
        let plan = folder.presentation.close(track, extent);
        folder.perform(plan)?;
        tally.tracks = tally.tracks.max(track + 1);
        self.leave_gaps(track, extent)
    }

    /// A time in which nothing of the track came.
    fn gap(&mut self, track: usize, extent: &Extent, is_whole: bool) -> anyhow::Result<()> {
        let Some(folder) = self.folder.as_mut().filter(|folder| is_there(folder, track)) else {
            return Ok(());
        };
        let plan = folder.presentation.gap(track, extent, is_whole);
        folder.perform(plan)?;
        if is_whole { self.leave_gaps(track, extent) } else { Ok(()) }
    }

    /// A segment of the first track is over: renditions of which there is no track have a gap there.
    fn leave_gaps(&mut self, track: usize, extent: &Extent) -> anyhow::Result<()> {
        let Some(folder) = self.folder.as_mut().filter(|_| track == 0) else { return Ok(()) };
        for absent in self.told.len()..folder.presentation.options().renditions.len() {
            let plan = folder.presentation.gap(absent, extent, true);
            folder.perform(plan)?;
        }
        Ok(())
    }
}

/// Whether the track has a playlist that goes on.
fn is_there(folder: &Folder, track: usize) -> bool {
    folder.presentation.snapshot().edge(track).is_some()
}

/// A lone track has the plain names. Of several the first is the variant, and all that follow are its sound.
fn renditions(prefix: &str, tracks: &[Track]) -> Vec<Rendition> {
    let is_lone = tracks.len() <= 1;
    let mut sounds = 0;
    let count = if is_lone { tracks.len() } else { tracks.len().max(MOST_TRACKS) };
    let roles = tracks.iter().map(|track| track.role).chain(std::iter::repeat(cmaf::Role::Audio));
    let rendition = |(at, role): (usize, cmaf::Role)| {
        let name = match role {
            cmaf::Role::Audio => {
                sounds += 1;
                format!("audio-{sounds}")
            }
            cmaf::Role::Video | cmaf::Role::Muxed => "video".to_owned(),
        };
        let role = match at {
            0 => Role::Variant { audio: (!is_lone).then(|| GROUP.to_owned()) },
            _ => {
                let name = format!("Audio {sounds}");
                Role::Audio { group: GROUP.to_owned(), name, is_default: sounds == 1 }
            }
        };
        let (playlist, segment_prefix) = match is_lone {
            true => (PLAYLIST.to_owned(), format!("{prefix}-")),
            false => (format!("{name}.m3u8"), format!("{prefix}-{name}-")),
        };
        Rendition { name, playlist, segment_prefix, container: Container::Cmaf, role, bandwidth_bps: None }
    };
    roles.take(count).enumerate().map(rendition).collect()
}
