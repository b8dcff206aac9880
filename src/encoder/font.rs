//! A font for the built-in pattern's clock.

use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Where systems keep fonts; the home folder's are added.
const FOLDERS: [&str; 5] = [
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/opt/homebrew/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
];
/// Folders within folders that are looked into.
const DEPTH: usize = 4;

/// A font file for the clock, one of equal digit widths if there is one. None if this ffmpeg cannot draw
/// text or no font is installed; the pattern then shows its own counter only.
///
/// It reads folders and runs ffmpeg for a few milliseconds.
pub fn find(ffmpeg: &Path) -> Option<PathBuf> {
    if !can_draw_text(ffmpeg) {
        return None;
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share/fonts"));
    let mut fonts = Vec::new();
    for folder in FOLDERS.into_iter().map(PathBuf::from).chain(home) {
        collect(&folder, DEPTH, &mut fonts);
    }
    fonts.into_iter().min_by_key(|path| (rank(path), path.clone()))
}

fn can_draw_text(ffmpeg: &Path) -> bool {
    let mut command = std::process::Command::new(ffmpeg);
    command.args(["-v", "quiet", "-h", "filter=drawtext"]).stdin(Stdio::null()).stderr(Stdio::null());
    command.output().is_ok_and(|output| output.stdout.starts_with(b"Filter drawtext"))
}

fn collect(folder: &Path, depth: usize, fonts: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_font = path.extension().is_some_and(|end| ["ttf", "otf", "ttc"].iter().any(|e| end == *e));
        if is_font {
            fonts.push(path);
        } else if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, depth - 1, fonts);
        }
    }
}

/// Lower is better: plain faces of equal width, then plain faces, then what there is.
fn rank(path: &Path) -> u8 {
    let name = path.file_stem().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let known = has(&["dejavusans", "liberation", "noto", "menlo", "monaco", "helvetica", "arial"]);
    match (
        known,
        has(&["mono", "menlo", "monaco"]),
        has(&["italic", "oblique", "bold", "light", "math", "emoji"]),
    ) {
        (true, true, false) => 0,
        (true, false, false) => 1,
        (false, true, false) => 2,
        (_, _, false) => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_faces_of_equal_width_come_first() {
        let mut names = ["Foo-Bold.ttf", "DejaVuSans.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSansMono.ttf"];
        names.sort_by_key(|name| rank(Path::new(name)));
        assert_eq!(names[..2], ["DejaVuSansMono.ttf", "DejaVuSans.ttf"]);
    }

    #[test]
    fn an_ffmpeg_that_is_not_there_draws_nothing() {
        assert_eq!(find(Path::new("/nonexistent/ffmpeg")), None);
    }
}
