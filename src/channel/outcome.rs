//! Which of the things that go wrong is the reason.
//!
//! When an encoder dies, two things are heard in either order: its pipe ends, perhaps without a stream in it, and
//! its exit status comes. The death is the reason then; an empty pipe alone is one only if the encoder thinks
//! that it has done its work.

use super::ingest::Ending;

/// What is known of one rendition's end.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    nothing: Option<String>,
    is_hopeless: bool,
    exit: Option<bool>,
}

impl Outcome {
    /// Its pipe has ended; what is wrong, if that is certain already.
    pub fn ended(&mut self, ending: Ending) -> Option<String> {
        match ending {
            Ending::Stream => None,
            Ending::Hopeless(what) => {
                self.is_hopeless = true;
                Some(what)
            }
            Ending::Nothing(what) => {
                self.nothing = Some(what);
                self.verdict()
            }
        }
    }

    /// Its encoder has exited, as one that did its work or not; what is wrong with its stream, if that is the
    /// reason.
    pub fn exited(&mut self, is_well: bool) -> Option<String> {
        self.exit = Some(is_well);
        self.verdict()
    }

    /// Whether its encoder's death is our doing: its pipe was closed before its end.
    pub const fn is_abandoned(&self) -> bool {
        self.is_hopeless
    }

    fn verdict(&mut self) -> Option<String> {
        self.nothing.take_if(|_| self.exit == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Ending {
        Ending::Nothing("no bytes".to_owned())
    }

    #[test]
    fn an_encoders_death_is_the_reason_of_its_silence() {
        let (mut first, mut second) = (Outcome::default(), Outcome::default());
        assert_eq!((first.ended(nothing()), first.exited(false)), (None, None));
        assert_eq!((second.exited(false), second.ended(nothing())), (None, None));
    }

    #[test]
    fn silence_is_told_once_of_one_that_ended_well() {
        let told = Some("no bytes".to_owned());
        let (mut first, mut second) = (Outcome::default(), Outcome::default());
        assert_eq!((first.ended(nothing()), first.exited(true)), (None, told.clone()));
        assert_eq!((second.exited(true), second.ended(nothing())), (None, told));
        assert_eq!(first.verdict(), None);
    }

    #[test]
    fn what_is_no_stream_is_told_at_once() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.ended(Ending::Hopeless("an MP4".to_owned())).as_deref(), Some("an MP4"));
        assert!(outcome.is_abandoned());
        assert_eq!(outcome.exited(false), None);
    }
}
