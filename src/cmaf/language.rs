//! Languages: from ISO 639-2 as the PMT has it to BCP 47, whose tags are the shortest code of a language (RFC 5646
//! §2.2.1).

/// Codes of three letters, both the terminological and the bibliographic, and the code of two.
const SHORT: &[(&str, &str)] = &[
    ("ara", "ar"),
    ("baq", "eu"),
    ("bel", "be"),
    ("ben", "bn"),
    ("bul", "bg"),
    ("cat", "ca"),
    ("ces", "cs"),
    ("chi", "zh"),
    ("cym", "cy"),
    ("cze", "cs"),
    ("dan", "da"),
    ("deu", "de"),
    ("dut", "nl"),
    ("ell", "el"),
    ("eng", "en"),
    ("est", "et"),
    ("eus", "eu"),
    ("fas", "fa"),
    ("fin", "fi"),
    ("fra", "fr"),
    ("fre", "fr"),
    ("ger", "de"),
    ("gla", "gd"),
    ("gle", "ga"),
    ("glg", "gl"),
    ("gre", "el"),
    ("heb", "he"),
    ("hin", "hi"),
    ("hrv", "hr"),
    ("hun", "hu"),
    ("hye", "hy"),
    ("arm", "hy"),
    ("ice", "is"),
    ("ind", "id"),
    ("isl", "is"),
    ("ita", "it"),
    ("jpn", "ja"),
    ("kat", "ka"),
    ("geo", "ka"),
    ("kaz", "kk"),
    ("kor", "ko"),
    ("lav", "lv"),
    ("lit", "lt"),
    ("mac", "mk"),
    ("mkd", "mk"),
    ("may", "ms"),
    ("msa", "ms"),
    ("nld", "nl"),
    ("nor", "no"),
    ("nob", "nb"),
    ("nno", "nn"),
    ("per", "fa"),
    ("pol", "pl"),
    ("por", "pt"),
    ("ron", "ro"),
    ("rum", "ro"),
    ("rus", "ru"),
    ("slk", "sk"),
    ("slo", "sk"),
    ("slv", "sl"),
    ("spa", "es"),
    ("sqi", "sq"),
    ("alb", "sq"),
    ("srp", "sr"),
    ("swe", "sv"),
    ("tam", "ta"),
    ("tel", "te"),
    ("tha", "th"),
    ("tur", "tr"),
    ("ukr", "uk"),
    ("urd", "ur"),
    ("vie", "vi"),
    ("wel", "cy"),
    ("zho", "zh"),
];

/// The tag of a language. None for `und`, and for what is no code.
pub fn bcp_47(code: [u8; 3]) -> Option<String> {
    let code = code.map(|letter| letter.to_ascii_lowercase());
    let text = std::str::from_utf8(&code).ok().filter(|_| code.iter().all(u8::is_ascii_lowercase))?;
    if text == "und" {
        return None;
    }
    let short = SHORT.iter().find(|(long, _)| *long == text).map(|(_, short)| *short);
    Some(short.unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_its_shortest_code() {
        let tag = |code: &[u8; 3]| bcp_47(*code);
        assert_eq!(tag(b"ger").as_deref(), Some("de"));
        assert_eq!(tag(b"ENG").as_deref(), Some("en"));
        assert_eq!(tag(b"gsw").as_deref(), Some("gsw"));
        assert_eq!((tag(b"und"), tag(&[0, 1, 2])), (None, None));
    }
}
