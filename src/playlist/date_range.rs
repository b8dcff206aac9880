//! What is said of a stretch of time (RFC 8216 §4.3.2.7).

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use super::{Error, attribute, date, line};

/// EXT-X-DATERANGE. It stands for the whole playlist, wherever in it it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateRange {
    /// What it is known by; all tags with the same ID speak of the same.
    pub id: String,
    /// What kind of thing it is; the same attributes mean the same in all of a class.
    pub class: Option<String>,
    /// When it begins, in whole milliseconds.
    pub start: SystemTime,
    /// When it ends, in whole milliseconds.
    pub end: Option<SystemTime>,
    /// How long it lasts, in whole microseconds.
    pub duration: Option<Duration>,
    /// How long it is meant to last.
    pub planned_duration: Option<Duration>,
    /// Whether it ends where the next of its class begins; of no meaning without a class, or beside an end or a duration.
    pub ends_on_next: bool,
    /// What else is said of it, in order: `SCTE35-…`, `CUE`, and names that begin with `X-`.
    pub attributes: Vec<(String, Value)>,
}

/// An attribute's value (RFC 8216 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, in quotation marks.
    Text(String),
    /// A number or `0x` and hexadecimal digits, as it stands.
    Bare(String),
}

impl DateRange {
    /// One of which nothing more is known than when it begins.
    pub fn new(id: &str, start: SystemTime) -> Self {
        Self {
            id: id.to_owned(),
            class: None,
            start,
            end: None,
            duration: None,
            planned_duration: None,
            ends_on_next: false,
            attributes: Vec::new(),
        }
    }

    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let date = |at| attribute::quoted(&date::render(at));
        write!(out, "#EXT-X-DATERANGE:ID={}", attribute::quoted(&self.id))?;
        if let Some(class) = &self.class {
            write!(out, ",CLASS={}", attribute::quoted(class))?;
        }
        write!(out, ",START-DATE={}", date(self.start))?;
        if let Some(end) = self.end {
            write!(out, ",END-DATE={}", date(end))?;
        }
        for (name, span) in [("DURATION", self.duration), ("PLANNED-DURATION", self.planned_duration)] {
            if let Some(span) = span {
                write!(out, ",{name}={}", line::decimal_text(span))?;
            }
        }
        for (name, value) in self.attributes.iter().filter(|(name, _)| is_free(name)) {
            match value {
                Value::Bare(value) if is_bare(value) => write!(out, ",{name}={value}")?,
                Value::Bare(value) | Value::Text(value) => {
                    write!(out, ",{name}={}", attribute::quoted(value))?;
                }
            }
        }
        let is_open = self.class.is_some() && self.end.is_none() && self.duration.is_none();
        out.push_str(if self.ends_on_next && is_open { ",END-ON-NEXT=YES\n" } else { "\n" });
        Ok(())
    }

    pub(super) fn read(at: usize, text: &str) -> Result<Self, Error> {
        let list = attribute::List::parse(at, text)?;
        let date = |name| {
            let wrong = |value| Error::new(at, "a date and time such as 2026-01-31T12:00:00.000Z", value);
            list.get(name).map(|value| date::parse(value).ok_or_else(|| wrong(value))).transpose()
        };
        let missing = || Error::new(at, "a START-DATE attribute", text);
        let mut attributes = Vec::new();
        for pair in list.last_of_each().filter(|pair| is_free(pair.name)) {
            let value = attribute::plain(pair.value);
            let is_text = pair.is_quoted || !is_bare(&value);
            attributes
                .push((pair.name.to_owned(), if is_text { Value::Text(value) } else { Value::Bare(value) }));
        }
        Ok(Self {
            id: list.required("ID", "an ID attribute")?,
            class: list.text("CLASS"),
            start: date("START-DATE")?.ok_or_else(missing)?,
            end: date("END-DATE")?,
            duration: list.seconds("DURATION")?,
            planned_duration: list.seconds("PLANNED-DURATION")?,
            ends_on_next: list.is_yes("END-ON-NEXT")?,
            attributes,
        })
    }
}

/// Whether a name is that of an attribute which has no field of its own, and may be written (§4.2).
fn is_free(name: &str) -> bool {
    const OWN: [&str; 7] =
        ["ID", "CLASS", "START-DATE", "END-DATE", "DURATION", "PLANNED-DURATION", "END-ON-NEXT"];
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(is_name) && !OWN.contains(&name)
}

/// Whether a value may stand without quotation marks: a number, or hexadecimal digits.
fn is_bare(value: &str) -> bool {
    let hexadecimal = value.strip_prefix("0x").or(value.strip_prefix("0X"));
    if let Some(digits) = hexadecimal {
        return !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let number = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    [whole, fraction]
        .iter()
        .all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn read(text: &str) -> Result<DateRange, &'static str> {
        DateRange::read(1, text).map_err(|error| error.expected)
    }

    fn written(range: &DateRange) -> String {
        let mut out = String::new();
        range.write(&mut out).unwrap();
        out
    }

    #[test]
    fn all_that_is_said_is_written_and_read() {
        let range = DateRange {
            class: Some("ad".to_owned()),
            end: Some(UNIX_EPOCH + Duration::from_millis(30_500)),
            duration: Some(Duration::from_millis(30_500)),
            planned_duration: Some(Duration::from_secs(30)),
            attributes: vec![
                ("SCTE35-OUT".to_owned(), Value::Bare("0xFC002F".to_owned())),
                ("X-TITLE".to_owned(), Value::Text("a, b".to_owned())),
                ("X-COUNT".to_owned(), Value::Text("3".to_owned())),
                ("X-PRICE".to_owned(), Value::Bare("-1.5".to_owned())),
            ],
            ..DateRange::new("ad 1", UNIX_EPOCH)
        };
        let text = "#EXT-X-DATERANGE:ID=\"ad 1\",CLASS=\"ad\",START-DATE=\"1970-01-01T00:00:00.000Z\",\
            END-DATE=\"1970-01-01T00:00:30.500Z\",DURATION=30.5,PLANNED-DURATION=30.0,SCTE35-OUT=0xFC002F,\
            X-TITLE=\"a, b\",X-COUNT=\"3\",X-PRICE=-1.5\n";
        assert_eq!(written(&range), text);
        assert_eq!(read(text.trim().split_once(':').unwrap().1), Ok(range));
    }

    #[test]
    fn only_what_has_a_class_and_no_end_ends_on_the_next() {
        let open = DateRange { ends_on_next: true, ..DateRange::new("a", UNIX_EPOCH) };
        let show = DateRange { class: Some("show".to_owned()), ..open.clone() };
        assert!(!written(&open).contains("END-ON-NEXT"));
        assert!(written(&show).ends_with(",END-ON-NEXT=YES\n"));
        assert!(!written(&DateRange { duration: Some(Duration::ZERO), ..show }).contains("END-ON-NEXT"));
    }

    #[test]
    fn what_cannot_be_written_does_no_harm() {
        let mut range = DateRange::new("a\"b\n", UNIX_EPOCH);
        range.attributes = vec![
            ("X-A,B".to_owned(), Value::Bare("1".to_owned())),
            ("DURATION".to_owned(), Value::Bare("1".to_owned())),
            ("X-C".to_owned(), Value::Bare("1,ID=2".to_owned())),
        ];
        let text = "#EXT-X-DATERANGE:ID=\"ab\",START-DATE=\"1970-01-01T00:00:00.000Z\",X-C=\"1,ID=2\"\n";
        assert_eq!(written(&range), text);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(read("START-DATE=\"1970-01-01T00:00:00Z\""), Err("an ID attribute"));
        assert_eq!(read("ID=\"a\""), Err("a START-DATE attribute"));
        let date = "a date and time such as 2026-01-31T12:00:00.000Z";
        assert_eq!(read("ID=\"a\",START-DATE=\"noon\""), Err(date));
        assert_eq!(
            read("ID=\"a\",START-DATE=\"1970-01-01T00:00:00Z\",DURATION=x"),
            Err("a number of seconds")
        );
    }
}
