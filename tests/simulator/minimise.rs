//! Fewer faults, and a plainer stream, that still break a rule.

use super::case::Input;
use super::failures;
use super::model::{Chunking, Packing};
use super::output::{Rule, Violation};

/// Returns the plainest input found that breaks `rule`, and what does not hold of it.
pub fn minimised(input: &Input, rule: Rule) -> (Input, Vec<Violation>) {
    let mut best = input.clone();
    loop {
        let breaks = |input: &Input| failures(input).iter().any(|violation| violation.rule == rule);
        match plainer(&best).into_iter().find(breaks) {
            Some(found) => best = found,
            None => break,
        }
    }
    let mut violations = failures(&best);
    violations.sort_by_key(|violation| violation.rule != rule);
    (best, violations)
}

/// The inputs that are one step plainer.
fn plainer(input: &Input) -> Vec<Input> {
    let mut all = Vec::new();
    for index in 0..input.faults.len() {
        let mut fewer = input.clone();
        fewer.faults.remove(index);
        all.push(fewer);
    }
    let mut change = |change: &dyn Fn(&mut Input)| {
        let mut changed = input.clone();
        change(&mut changed);
        if format!("{changed:?}") != format!("{input:?}") {
            all.push(changed);
        }
    };
    change(&|input| input.model.chunk = Chunking::Fixed(65_536));
    change(&|input| {
        input.model.audio.pop();
    });
    change(&|input| input.model.audio_offset = 0);
    change(&|input| (input.model.b_frames, input.model.is_open) = (0, false));
    change(&|input| input.model.is_open = false);
    change(&|input| input.model.tables = 9000);
    change(&|input| {
        if let Some(video) = &mut input.model.video {
            (video.coding.slices, video.coding.has_delimiters) = (1, true);
        }
    });
    change(&|input| input.model.audio.iter_mut().for_each(|audio| audio.packing = Packing::Whole(1)));
    all
}
