//! Segments of the transport stream as it is, written as their bytes come.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::Bytes;

use super::folder::{Folder, PLAYLIST, Settings};
use super::writer::Tally;
use crate::destination::Staged;
use crate::live::Rendition;
use crate::segment::{Event, Extent, Head};

/// The one rendition that carries the stream as it is.
#[derive(Default)]
pub struct Whole {
    /// From the first segment on.
    folder: Option<Folder>,
    /// In their order; two at most.
    drafts: VecDeque<Draft>,
}

impl Whole {
    /// Takes what the cutter says.
    pub fn take(&mut self, event: Event, settings: &Settings, tally: &mut Tally) -> anyhow::Result<()> {
        match event {
            Event::Open { ordinal, head } => self.open(ordinal, head, settings)?,
            Event::Data { ordinal, bytes } => {
                if let Some(draft) = self.drafts.iter_mut().find(|draft| draft.ordinal == ordinal) {
                    draft.slices.push(bytes);
                }
            }
            Event::Close { extent, .. } => self.close(&extent, tally)?,
            _ => {}
        }
        Ok(())
    }

    /// Writes what lies in the chunk in hand.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        self.drafts.iter_mut().try_for_each(|draft| draft.flush(folder))
    }

    /// Where it is written, once something is.
    pub const fn folder(&mut self) -> Option<&mut Folder> {
        self.folder.as_mut()
    }

    fn open(&mut self, ordinal: u64, head: Head, settings: &Settings) -> anyhow::Result<()> {
        let folder = match &mut self.folder {
            Some(folder) => folder,
            none => none.insert(Folder::open(settings, vec![rendition(&settings.prefix)])?),
        };
        let number = folder.presentation.next_number(0) + self.drafts.len() as u64;
        let key = folder.presentation.options().renditions[0].segment_key(number);
        let file = folder.stage(&key)?;
        let arrived = SystemTime::now();
        self.drafts.push_back(Draft { ordinal, head, arrived, file, key, slices: Vec::new() });
        Ok(())
    }

    fn close(&mut self, extent: &Extent, tally: &mut Tally) -> anyhow::Result<()> {
        let (Some(folder), Some(mut draft)) = (&mut self.folder, self.drafts.pop_front()) else {
            return Ok(());
        };
        draft.flush(folder)?;
        folder.commit_segment(&draft.key, draft.file)?;
        tally.add(extent);
        folder.presentation.open(0, &draft.head, draft.arrived);
        let plan = folder.presentation.close(0, extent);
        folder.perform(plan)
    }
}

fn rendition(prefix: &str) -> Rendition {
    Rendition {
        name: prefix.to_owned(),
        playlist: PLAYLIST.to_owned(),
        segment_prefix: format!("{prefix}-"),
        ..Rendition::default()
    }
}

/// A segment that is being written.
struct Draft {
    ordinal: u64,
    head: Head,
    arrived: SystemTime,
    file: Staged,
    key: String,
    /// Not written yet: slices of the chunk in hand.
    slices: Vec<Bytes>,
}

impl Draft {
    fn flush(&mut self, folder: &Folder) -> anyhow::Result<()> {
        let written = folder.write(&self.key, &mut self.file, &self.slices);
        self.slices.clear();
        written
    }
}
