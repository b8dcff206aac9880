//! Parameter sets repeated where a part begins without them: players may start with any part, and some read each part by
//! itself.

use bytes::Bytes;

use crate::codec::Codec;
use crate::codec::parameter_sets::{ParameterSets, delimiter_len};
use crate::ts::{self, PACKET_LEN, PesStart, Run};

/// The parameter sets of the reference stream, and where they are repeated next.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    sets: ParameterSets,
    next: Option<Place>,
}

/// Where parameter sets are repeated: in the access unit that begins with the packet at this offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    at: u64,
    codec: Codec,
}

impl Repeat {
    /// The access unit that comes next has parameter sets: they are kept.
    pub(super) fn keep(&mut self, codec: Codec) {
        self.sets.begin(codec);
    }

    /// The PES packet at `start` begins with an access unit without parameter sets: they are repeated in it.
    pub(super) fn at(&mut self, start: &PesStart, codec: Codec) {
        self.next = Some(Place { at: start.at, codec });
    }

    /// Returns the place that lies in `run`, which ends it.
    pub(super) fn take_in(&mut self, run: &Run) -> Option<Place> {
        let end = run.at + run.bytes.len() as u64;
        self.next.take_if(|place| end > place.at)
    }

    /// Whether parameter sets are to come.
    pub(super) const fn is_looking(&self) -> bool {
        self.sets.is_open()
    }

    /// Looks through packets of the stream for the parameter sets that are to be kept.
    pub(super) fn look(&mut self, run: &Run) {
        let mut packets = run.packets();
        while self.sets.is_open()
            && let Some(packet) = packets.next()
        {
            let payload = packet.payload().unwrap_or_default();
            let header_len = payload.get(8).map_or(9, |len| 9 + usize::from(*len));
            let header_len = if packet.is_unit_start() { header_len } else { 0 };
            self.sets.push(payload.get(header_len..).unwrap_or_default());
        }
    }

    /// Returns `run` with the parameter sets repeated at `place`; as it is where nothing can be inserted.
    pub(super) fn inserted(&self, mut run: Run, place: Place) -> Vec<Run> {
        let before = usize::try_from(place.at.saturating_sub(run.at)).unwrap_or(0) / PACKET_LEN * PACKET_LEN;
        let mut runs = Vec::new();
        if before > 0 && before < run.bytes.len() {
            runs.push(Run { bytes: run.bytes.split_to(before), ..run });
            run.at += before as u64;
        }
        let packets = run
            .bytes
            .first_chunk::<PACKET_LEN>()
            .zip(self.sets.get())
            .and_then(|(packet, sets)| ts::insert(packet, sets, |unit| delimiter_len(place.codec, unit)));
        if let Some(packets) = packets {
            runs.push(Run { bytes: Bytes::from(packets), ..run });
            run.bytes = run.bytes.split_off(PACKET_LEN);
            run.at += PACKET_LEN as u64;
        }
        if !run.bytes.is_empty() {
            runs.push(run);
        }
        runs
    }
}
