//! Values as people write them: `4s`, `2.5M`, `1280x720`, `30000/1001`.

use std::fmt;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::formats::Formats;
use crate::time::Rate;

/// A kind of value that is written as text, or as a bare number.
pub trait Kind: Sized {
    /// Its name in the schema.
    const NAME: &'static str;
    /// What one should have written.
    const EXPECTED: &'static str;
    /// A regular expression for the text.
    const PATTERN: &'static str;
    /// Whether a bare number will do.
    const TAKES_NUMBERS: bool = true;

    /// Reads a text.
    fn from_text(text: &str) -> Option<Self>;
    /// Reads a bare number.
    fn from_number(number: f64) -> Option<Self>;
    /// The text that is read back as the same value.
    fn write(&self) -> String;
}

/// A value of some [`Kind`], read from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<T>(pub T);

/// Whether something, taken as the kind of that name, can be read; and what was expected instead.
pub(super) fn expected(kind: &str, value: &figment::value::Value) -> Option<&'static str> {
    fn check<T: Kind>(value: &figment::value::Value) -> Option<&'static str> {
        value.deserialize::<Written<T>>().err().map(|_| T::EXPECTED)
    }
    match kind {
        Duration::NAME => check::<Duration>(value),
        Bitrate::NAME => check::<Bitrate>(value),
        Size::NAME => check::<Size>(value),
        Rate::NAME => check::<Rate>(value),
        Bytes::NAME => check::<Bytes>(value),
        Mode::NAME => check::<Mode>(value),
        Formats::NAME => value.deserialize::<Formats>().err().map(|_| Formats::EXPECTED),
        Address::NAME => check::<Address>(value),
        _ => None,
    }
}

impl Kind for Duration {
    const NAME: &'static str = "duration";
    const EXPECTED: &'static str =
        "a duration such as \"4s\", \"333ms\" or \"1m\" (a bare number is seconds)";
    const PATTERN: &'static str = r"^\s*\d+(\.\d+)?\s*([a-zA-Zµ]+(\s*\d+(\.\d+)?\s*[a-zA-Zµ]+)*)?\s*$";

    fn from_text(text: &str) -> Option<Self> {
        match decimal(text) {
            Some(number) => Self::from_number(number),
            None => humantime::parse_duration(text.trim()).ok(),
        }
    }

    fn from_number(number: f64) -> Option<Self> {
        Self::try_from_secs_f64(number).ok()
    }

    fn write(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

/// Bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitrate(pub u64);

impl Kind for Bitrate {
    const NAME: &'static str = "bitrate";
    const EXPECTED: &'static str =
        "a bitrate such as \"2800k\" or \"2.5M\" (a bare number is bits per second)";
    const PATTERN: &'static str = r"^\s*\d+(\.\d+)?\s*[kKMG]?(bps|bit/s)?\s*$";

    fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_suffix("bps").or(text.strip_suffix("bit/s")).unwrap_or(text);
        let factor = match text.chars().last()? {
            'k' | 'K' => 1e3,
            'M' => 1e6,
            'G' => 1e9,
            _ => return Self::from_number(decimal(text)?),
        };
        Self::from_number(decimal(&text[..text.len() - 1])? * factor)
    }

    fn from_number(number: f64) -> Option<Self> {
        let rate = number.round();
        (1.0..=1e12).contains(&rate).then_some(Self(rate as u64))
    }

    fn write(&self) -> String {
        if self.0.is_multiple_of(1000) { format!("{}k", self.0 / 1000) } else { self.0.to_string() }
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u32, pub u32);

impl Kind for Size {
    const NAME: &'static str = "size";
    const EXPECTED: &'static str = "a size in pixels such as \"1280x720\"";
    const PATTERN: &'static str = r"^\s*\d+[xX]\d+\s*$";
    const TAKES_NUMBERS: bool = false;

    fn from_text(text: &str) -> Option<Self> {
        let (width, height) = text.trim().split_once(['x', 'X'])?;
        let pixels =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Some(Self(pixels(width)?, pixels(height)?))
    }

    fn from_number(_: f64) -> Option<Self> {
        None
    }

    fn write(&self) -> String {
        format!("{}x{}", self.0, self.1)
    }
}

/// Bytes that something may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The units, largest first, and what one of each is in bytes.
    const UNITS: [(&str, u64); 9] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
        ("B", 1),
    ];
}

impl Kind for Bytes {
    const NAME: &'static str = "bytes";
    const EXPECTED: &'static str = "an amount such as \"256MiB\" or \"2GB\" (a bare number is bytes)";
    const PATTERN: &'static str = r"^\s*\d+(\.\d+)?\s*([kKMGTkmgt]?[iI]?[bB])?\s*$";

    fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit = if unit.is_empty() { "B" } else { unit };
        let (_, size) = Self::UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        Self::from_number(decimal(number)? * *size as f64)
    }

    fn from_number(number: f64) -> Option<Self> {
        // Far above any disk, and far below where doubles leave out whole numbers.
        (0.0..=1e15).contains(&number).then(|| Self(number.round() as u64))
    }

    fn write(&self) -> String {
        let fits = |size: u64| self.0 >= size && self.0.is_multiple_of(size);
        let (unit, size) = Self::UNITS.into_iter().find(|(_, size)| fits(*size)).unwrap_or(("B", 1));
        format!("{}{unit}", self.0 / size)
    }
}

/// Permissions of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Kind for Mode {
    const NAME: &'static str = "mode";
    const EXPECTED: &'static str = "permissions as octal digits in quotes, such as \"0644\"";
    const PATTERN: &'static str = "^[0-7]{3,4}$";
    const TAKES_NUMBERS: bool = false;

    fn from_text(text: &str) -> Option<Self> {
        let is_good = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        is_good.then(|| u32::from_str_radix(text, 8).ok()).flatten().map(Self)
    }

    fn from_number(_: f64) -> Option<Self> {
        None
    }

    fn write(&self) -> String {
        format!("{:04o}", self.0)
    }
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Kind for Address {
    const NAME: &'static str = "address";
    const EXPECTED: &'static str = "an address and a port such as \"127.0.0.1:8080\" or \"[::]:80\", or a port of this machine alone such as 8080";
    const PATTERN: &'static str = r"^\s*(\S*:)?\d{1,5}\s*$";

    fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        if !matches!(host, "" | "localhost") {
            return text.parse().ok().map(Self);
        }
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number)?;
        Some(Self((Ipv4Addr::LOCALHOST, port).into()))
    }

    fn from_number(number: f64) -> Option<Self> {
        let is_port = number.fract() == 0.0 && (0.0..=65_535.0).contains(&number);
        is_port.then(|| Self((Ipv4Addr::LOCALHOST, number as u16).into()))
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// Rates above this are taken for slips of the pen.
const HIGHEST_RATE: f64 = 1000.0;

impl Kind for Rate {
    const NAME: &'static str = "rate";
    const EXPECTED: &'static str = "frames per second such as 30, 29.97 or \"30000/1001\"";
    const PATTERN: &'static str = r"^\s*\d+(\.\d+|/\d+)?\s*$";

    fn from_text(text: &str) -> Option<Self> {
        let Some((count, seconds)) = text.split_once('/') else {
            return Self::from_number(decimal(text)?);
        };
        let rate = Self::new(count.trim().parse().ok()?, seconds.trim().parse().ok()?)?;
        (rate.per_second() <= HIGHEST_RATE).then_some(rate)
    }

    fn from_number(number: f64) -> Option<Self> {
        if !(0.001..=HIGHEST_RATE).contains(&number) {
            return None;
        }
        // 23.976, 29.97, 59.94 and 119.88 are how people write 1000/1001 of a whole number.
        let whole = number.ceil();
        if whole != number && (number - whole / 1.001).abs() < 0.005 {
            return Self::new(whole as u32 * 1000, 1001);
        }
        let (count, seconds) = ((number * 1000.0).round() as u32, 1000);
        let divisor = greatest_common_divisor(count, seconds);
        Self::new(count / divisor, seconds / divisor)
    }

    fn write(&self) -> String {
        match self.seconds.get() {
            1 => self.count.to_string(),
            seconds => format!("{}/{seconds}", self.count),
        }
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// A plain decimal number: digits, at most one point.
fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_plain.then(|| text.parse().ok()).flatten()
}

impl<'de, T: Kind> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: Kind> Reader<T> {
    fn number<E: de::Error>(self, number: f64) -> Result<Written<T>, E> {
        let value = T::from_number(number).filter(|_| T::TAKES_NUMBERS);
        value.map(Written).ok_or_else(|| E::invalid_value(de::Unexpected::Float(number), &self))
    }
}

impl<T: Kind> Visitor<'_> for Reader<T> {
    type Value = Written<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        self.number(number as f64)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        self.number(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        self.number(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        T::from_text(text).map(Written).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<T: Kind> JsonSchema for Written<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::NAME.into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let types: &[&str] = if T::TAKES_NUMBERS { &["string", "number"] } else { &["string"] };
        json_schema!({ "type": types, "pattern": T::PATTERN, "x-kind": T::NAME })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_this_machines_unless_it_says_more() {
        for (text, address) in [
            ("8080", "127.0.0.1:8080"),
            (" :80 ", "127.0.0.1:80"),
            ("localhost:1", "127.0.0.1:1"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::]:443", "[::]:443"),
        ] {
            assert_eq!(Address::from_text(text).map(|it| it.write()).as_deref(), Some(address), "{text}");
        }
        for wrong in ["", "x", "65536", "1.2.3.4", "host:80", "::1", "-1", "+1", "1.2.3.4:x", ":"] {
            assert_eq!(Address::from_text(wrong), None, "{wrong}");
        }
        assert_eq!(Address::from_number(8080.0).map(|it| it.write()).as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(Address::from_number(80.5), None);
        assert_eq!(Address::from_number(-1.0), None);
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [("4s", 4000), ("333ms", 333), ("1m", 60_000), ("2.5s", 2500), ("2.5", 2500)] {
            assert_eq!(Duration::from_text(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "-1", "1 parsec", "inf", "nan", "99999999999999999999", "1..5"] {
            assert_eq!(Duration::from_text(text), None, "{text}");
        }
        assert_eq!(Duration::from_number(-1.0), None);
        assert_eq!(Duration::from_number(f64::NAN), None);
        assert_eq!(Duration::from_number(1e300), None);
    }

    #[test]
    fn bitrates_are_read_exactly() {
        for (text, rate) in [
            ("2800k", 2_800_000),
            ("2.5M", 2_500_000),
            ("2.3M", 2_300_000),
            ("64K", 64_000),
            ("128000", 128_000),
            ("1 Gbps", 1_000_000_000),
            ("96kbit/s", 96_000),
        ] {
            assert_eq!(Bitrate::from_text(text), Some(Bitrate(rate)), "{text}");
        }
        for text in ["", "k", "fast", "0", "-1k", "1m", "9e9", "99999999G", "1kk"] {
            assert_eq!(Bitrate::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!(Size::from_text("1280x720"), Some(Size(1280, 720)));
        for text in ["1280", "1280x", "x720", "axb", "-1x2", "+1x2", "1x2x3", "99999999999x2"] {
            assert_eq!(Size::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn rates_are_exact() {
        for (number, rate) in [
            (30.0, (30, 1)),
            (29.97, (30_000, 1001)),
            (23.976, (24_000, 1001)),
            (59.94, (60_000, 1001)),
            (12.5, (25, 2)),
        ] {
            assert_eq!(Rate::from_number(number), Rate::new(rate.0, rate.1), "{number}");
        }
        assert_eq!(Rate::from_text("30000/1001"), Rate::new(30_000, 1001));
        assert_eq!(Rate::from_text("25"), Rate::new(25, 1));
        for text in ["0", "1/0", "0/1", "100000/1", "a/b", "-25"] {
            assert_eq!(Rate::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_are_powers_of_two_or_of_ten() {
        for (text, bytes) in [
            ("256MiB", 256 << 20),
            ("2 GiB", 2 << 30),
            ("1.5gib", 3 << 29),
            ("2GB", 2_000_000_000),
            ("64kb", 64_000),
            ("7", 7),
            ("7B", 7),
            ("0", 0),
        ] {
            assert_eq!(Bytes::from_text(text), Some(Bytes(bytes)), "{text}");
        }
        for text in ["", "MiB", "1M", "-1MiB", "1 parsec", "99999TiB", "1e3", "1MiB2"] {
            assert_eq!(Bytes::from_text(text), None, "{text}");
        }
        assert_eq!((Bytes(3 << 20).write(), Bytes(1500).write()), ("3MiB".into(), "1500B".into()));
        assert_eq!((Bytes(2_000_000).write(), Bytes(0).write()), ("2MB".into(), "0B".into()));
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!(Mode::from_text("0644"), Some(Mode(0o644)));
        assert_eq!(Mode::from_text("2775"), Some(Mode(0o2775)));
        for text in ["", "0", "rw-r--r--", "0o644", "888", "00644", "+644"] {
            assert_eq!(Mode::from_text(text), None, "{text}");
        }
        assert_eq!(Mode(0o755).write(), "0755");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [500, 2500, 4000, 60_000, 3_600_000] {
            let span = Duration::from_millis(millis);
            assert_eq!(Duration::from_text(&span.write()), Some(span));
        }
        for rate in [1, 999, 64_000, 2_800_000, 1_234_567] {
            assert_eq!(Bitrate::from_text(&Bitrate(rate).write()), Some(Bitrate(rate)));
        }
        for bytes in [0, 1, 1500, 64_000, 1 << 30, 3 << 20, 5_000_000] {
            assert_eq!(Bytes::from_text(&Bytes(bytes).write()), Some(Bytes(bytes)));
        }
        assert_eq!(Size::from_text(&Size(2, 4).write()), Some(Size(2, 4)));
        for rate in [Rate::new(30_000, 1001), Rate::new(25, 1), Rate::new(25, 2)] {
            assert_eq!(Rate::from_text(&rate.unwrap().write()), rate);
        }
    }
}
