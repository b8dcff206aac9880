//! Reads `src/` and fails on an import that does not point down, and on a door to the outside world in the core.
//!
//! Comments, texts and `#[cfg(test)]` items are exempt, as are `lib.rs`, which names every module, and `main.rs`,
//! which stands above them all.

#![allow(clippy::unwrap_used)]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules by floor, lowest first. A module may name itself and what stands on a row above its own here.
const FLOORS: &[&[&str]] = &[
    &["time", "chunks"],
    &["codec", "playlist"],
    &["ts"],
    &["segment", "survey"],
    &["live", "cmaf"],
    &["encoder", "destination"],
    &["delivery"],
    &["origin"],
    &["channel"],
    &["config"],
    &["cli"],
];

/// Pure state machines: no I/O, no clock, no runtime, no logging.
const CORE: &[&str] = &["time", "chunks", "codec", "playlist", "ts", "segment", "survey", "live", "cmaf"];

/// What the core must not name below `std`. That it asks no clock is clippy's to see (`clippy.toml`).
const CLOSED_STD: &[&str] = &["env", "fs", "net", "os", "process", "thread"];

/// Crates and macros that the core must not name at all.
const CLOSED: &[&str] =
    &["tokio", "tracing", "log", "rustix", "print", "println", "eprint", "eprintln", "dbg"];

#[test]
fn every_import_points_down() {
    let faults: Vec<Fault> = sources().iter().flat_map(|(path, text)| check(path, text)).collect();
    let text: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(faults.is_empty(), "\n{}\n", text.join("\n"));
}

#[test]
fn every_module_has_a_floor() {
    for (path, _) in sources() {
        let module = &module_path(&path)[0];
        assert!(floor(module).is_some(), "{}: give `{module}` a floor in tests/floors.rs", path.display());
    }
}

#[derive(Debug, PartialEq)]
struct Fault {
    path: PathBuf,
    line: usize,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

/// The sources below `src/`, without `lib.rs` and `main.rs`; paths from the crate's folder on.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_path_buf();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && relative != Path::new("src/lib.rs")
                && relative != Path::new("src/main.rs")
            {
                found.push((relative, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no sources below {}", root.display());
    found
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are `[a, b]`.
fn module_path(path: &Path) -> Vec<String> {
    let path = path.strip_prefix("src").expect("sources lie in src").with_extension("");
    let mut names: Vec<String> =
        path.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|row| row.contains(&module))
}

fn check(path: &Path, text: &str) -> Vec<Fault> {
    let modules = module_path(path);
    let (own, depth) = (modules[0].as_str(), modules.len());
    let tokens = without_tests(tokens(text));
    let mut faults = Vec::new();
    let mut fault = |line, what| faults.push(Fault { path: path.to_path_buf(), line, what });

    for at in 0..tokens.len() {
        let line = tokens[at].line;
        let is_inner = at > 0 && tokens[at - 1].text == "::";
        match tokens[at].text.as_str() {
            // `$crate::` in a macro is the crate too.
            "crate" => {
                for module in named_after(&tokens, at + 1) {
                    if let Some(what) = uphill(own, &module) {
                        fault(line, what);
                    }
                }
            }
            "super" if !is_inner => {
                let steps = tokens[at..].chunks(2).take_while(|pair| pair[0].text == "super").count();
                if steps >= depth {
                    for module in named_after(&tokens, at + 2 * steps - 1) {
                        if let Some(what) = uphill(own, &module) {
                            fault(line, what);
                        }
                    }
                }
            }
            "std" if !is_inner && CORE.contains(&own) => {
                for name in named_after(&tokens, at + 1) {
                    if CLOSED_STD.contains(&name.as_str()) {
                        fault(line, format!("`std::{name}` has no place in the core"));
                    }
                }
            }
            name if !is_inner && CORE.contains(&own) && CLOSED.contains(&name) => {
                let next = tokens.get(at + 1).map_or("", |token| token.text.as_str());
                let is_import = at > 0 && tokens[at - 1].text == "use";
                if is_import || matches!(next, "::" | "!") {
                    fault(line, format!("`{name}` has no place in the core"));
                }
            }
            _ => {}
        }
    }
    faults
}

/// Says what is wrong with `own` naming `module`; none if it stands lower. Items of the crate's root have no floor.
fn uphill(own: &str, module: &str) -> Option<String> {
    let (from, to) = (floor(own)?, floor(module)?);
    (module != own && to >= from)
        .then(|| format!("`{own}` (floor {from}) names `{module}` (floor {to}): imports point down only"))
}

/// The first names behind `::` at `at`: one, or those of a group.
fn named_after(tokens: &[Token], at: usize) -> Vec<String> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    if text(at) != "::" {
        return Vec::new();
    }
    if text(at + 1) != "{" {
        return vec![text(at + 1).to_owned()];
    }
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for i in at + 1..tokens.len() {
        match text(i) {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(text(i), "{" | ",") {
            names.push(text(i + 1).to_owned());
        }
    }
    names
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Words, `::` and single signs; comments are left out, and a literal is the one sign `"`.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out: Vec<Token> = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let start = i;
        let mut text = None;
        match chars[i] {
            '/' if at(i + 1) == '/' => i += chars[i..].iter().take_while(|c| **c != '\n').count(),
            '/' if at(i + 1) == '*' => i = end_of_comment(&chars, i),
            '"' => (i, text) = (end_of_text(&chars, i + 1), Some("\"".to_owned())),
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += 2 + usize::from(at(i + 1) == '\\');
                i += chars[i..].iter().take_while(|c| **c != '\'').count() + 1;
                text = Some("\"".to_owned());
            }
            ':' if at(i + 1) == ':' => (i, text) = (i + 2, Some("::".to_owned())),
            c if c.is_alphanumeric() || c == '_' => {
                i += chars[i..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                let word: String = chars[start..i].iter().collect();
                let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                    i = end_of_raw_text(&chars, i + hashes + 1, hashes);
                    text = Some("\"".to_owned());
                } else {
                    text = Some(word);
                }
            }
            c => (i, text) = (i + 1, (!c.is_whitespace()).then(|| c.to_string())),
        }
        if let Some(text) = text {
            out.push(Token { text, line });
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut i, mut depth) = (start, 0);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (i, depth) = (i + 2, depth + 1),
            ('*', Some('/')) => (i, depth) = (i + 2, depth - 1),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn end_of_text(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() && chars[i] != '"' {
        i += 1 + usize::from(chars[i] == '\\');
    }
    i + 1
}

fn end_of_raw_text(chars: &[char], mut i: usize, hashes: usize) -> usize {
    while i < chars.len() {
        i += 1;
        if chars[i - 1] == '"' && chars[i..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return i + hashes;
        }
    }
    i
}

/// Leaves out every item under `#[cfg(test)]`: up to its closing brace, or its semicolon if it has none.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut out = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        if !tokens[i..].iter().map(|token| token.text.as_str()).take(MARK.len()).eq(MARK) {
            out.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += MARK.len();
        let mut depth = 0_usize;
        while let Some(token) = tokens.get(i) {
            i += 1;
            match token.text.as_str() {
                "{" => depth += 1,
                // A field under it has no brace of its own: it goes with the rest of its struct.
                "}" if depth <= 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    out
}

fn faults(path: &str, text: &str) -> Vec<usize> {
    check(Path::new(path), text).iter().map(|fault| fault.line).collect()
}

#[test]
fn imports_up_and_sideways_are_found() {
    assert_eq!(faults("src/ts/mod.rs", "use crate::time::Ticks;\nuse crate::segment::Head;"), [2]);
    assert_eq!(faults("src/ts/psi.rs", "use crate::{chunks::Chunks,\n live, codec::{a, b}};"), [1]);
    assert_eq!(faults("src/codec/mod.rs", "fn f() { crate::playlist::g() }"), [1]);
    assert_eq!(faults("src/ts/mod.rs", "use super::segment::Head;"), [1]);
    assert_eq!(faults("src/ts/psi.rs", "use super::Packet;\nuse super::super::live;"), [2]);
}

#[test]
fn imports_down_and_from_oneself_are_not() {
    let text = "use crate::{segment, ts::Packet};\npub(crate) fn f(a: &'static str) { crate::live::g() }";
    assert!(faults("src/live/mod.rs", text).is_empty());
    assert!(faults("src/ts/psi.rs", "use super::segment;\npub(super) fn f() {}").is_empty());
}

#[test]
fn comments_texts_and_tests_do_not_count() {
    let text = r##"/* crate::cli /* crate::cli */ */ // crate::cli
        const A: &str = "crate::cli \" crate::cli"; const B: char = '"'; const C: &str = r#"" crate::cli"#;
        #[cfg(test)]
        mod tests { use crate::cli; fn f() {} }
        use crate::cli;"##;
    assert_eq!(faults("src/ts/mod.rs", text), [5]);
}

#[test]
fn the_core_opens_no_door() {
    let text =
        "use std::{fmt, fs::File};\nuse std::process;\nfn f() { tracing::info!() }\nfn g() { println!() }";
    assert_eq!(faults("src/ts/mod.rs", text), [1, 2, 3, 4]);
    assert!(faults("src/encoder/mod.rs", text).is_empty());
    assert!(faults("src/live/mod.rs", "let log = self.log; self.print(log)").is_empty());
}
