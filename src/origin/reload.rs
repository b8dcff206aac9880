//! Delivery directives: what a client says of the playlist that it wants (rfc8216bis §6.2.5).

use std::fmt;

/// The directives in a request's query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`: the playlist must hold this media sequence number, or reach beyond it.
    pub msn: Option<u64>,
    /// `_HLS_part`: this part of it at least.
    pub part: Option<u64>,
    /// `_HLS_skip`: what is older may be left out.
    pub skip: Option<Skip>,
}

/// What may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// `YES`: segments.
    Segments,
    /// `v2`: segments and date ranges.
    DateRangesToo,
}

/// Directives that say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No number where one belongs.
    Number(&'static str),
    /// `_HLS_skip` is neither `YES` nor `v2`.
    Skip,
    /// `_HLS_part` without `_HLS_msn`.
    PartAlone,
    /// One stands there twice.
    Twice(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(name) => write!(f, "{name}: expected a whole number below 2⁶⁴"),
            Self::Skip => f.write_str("_HLS_skip: expected YES or v2"),
            Self::PartAlone => f.write_str("_HLS_part: has no meaning without _HLS_msn"),
            Self::Twice(name) => write!(f, "{name}: stands there twice"),
        }
    }
}

impl Directives {
    /// Reads a query; what is none of ours is passed over.
    ///
    /// # Errors
    /// If one of ours says nothing.
    pub fn parse(query: Option<&str>) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_HLS_msn" => once("_HLS_msn", value, &mut found.msn)?,
                "_HLS_part" => once("_HLS_part", value, &mut found.part)?,
                "_HLS_skip" => {
                    let skip = match value {
                        "YES" => Skip::Segments,
                        "v2" => Skip::DateRangesToo,
                        _ => return Err(Malformed::Skip),
                    };
                    if found.skip.replace(skip).is_some() {
                        return Err(Malformed::Twice("_HLS_skip"));
                    }
                }
                _ => {}
            }
        }
        if found.part.is_some() && found.msn.is_none() {
            return Err(Malformed::PartAlone);
        }
        Ok(found)
    }
}

fn once(name: &'static str, value: &str, into: &mut Option<u64>) -> Result<(), Malformed> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| is_number).ok_or(Malformed::Number(name))?;
    match into.replace(number) {
        None => Ok(()),
        Some(_) => Err(Malformed::Twice(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read() {
        let read = |query| Directives::parse(Some(query));
        assert_eq!(Directives::parse(None), Ok(Directives::default()));
        assert_eq!(read("a=b&_HLS_later=x&&_hls_msn=x"), Ok(Directives::default()));
        let all = Directives { msn: Some(7), part: Some(0), skip: Some(Skip::Segments) };
        assert_eq!(read("_HLS_part=0&x&_HLS_msn=7&_HLS_skip=YES"), Ok(all));
        let v2 = Directives { skip: Some(Skip::DateRangesToo), ..Directives::default() };
        assert_eq!(read("_HLS_skip=v2"), Ok(v2));
    }

    #[test]
    fn what_says_nothing_is_told() {
        for wrong in [
            "_HLS_msn",
            "_HLS_msn=",
            "_HLS_msn=-1",
            "_HLS_msn=+1",
            "_HLS_msn=1.0",
            "_HLS_msn=0x1",
            "_HLS_msn=18446744073709551616",
            "_HLS_part=1",
            "_HLS_msn=1&_HLS_part=a",
            "_HLS_skip=NO",
            "_HLS_skip=",
            "_HLS_msn=1&_HLS_msn=1",
            "_HLS_msn=%31",
        ] {
            assert!(Directives::parse(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
