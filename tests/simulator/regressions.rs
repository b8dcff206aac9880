//! Inputs that failed once, by name.

use super::case::Input;
use super::fault::Fault;
use super::{describe, failures};

/// A name, the seed that the stream is drawn from, and its faults; those of the seed if there are none here.
const REGRESSIONS: &[(&str, u64, Option<&[Fault]>)] = &[("the first clean stream", 0, Some(&[]))];

#[test]
fn regressions() {
    for (name, seed, faults) in REGRESSIONS {
        let mut input = Input::draw(*seed);
        if let Some(faults) = faults {
            input.faults = faults.to_vec();
        }
        let violations = failures(&input);
        assert!(violations.is_empty(), "{name}: {}", describe(&input, &violations));
    }
}
