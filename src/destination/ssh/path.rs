//! Paths at the server: `/` between their parts, from the root or from the login folder.

/// The path of `key` in `directory`.
pub(super) fn join(directory: &str, key: &str) -> String {
    match directory.trim_end_matches('/') {
        "" if directory.is_empty() => key.to_owned(),
        folder => format!("{folder}/{key}"),
    }
}

/// The folder that `path` is in; none for the root, and for what is in the login folder.
pub(super) fn folder_of(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        ("", "") => None,
        ("", _) => Some("/"),
        (folder, _) => Some(folder),
    }
}

/// One word of a command for a POSIX shell (XCU §2.2.2). It begins like no option.
pub(super) fn quote(path: &str) -> String {
    let here = if path.starts_with('/') { "" } else { "./" };
    format!("'{here}{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_from_the_root_or_from_the_login_folder() {
        assert_eq!(join("/var/www/", "a/b.ts"), "/var/www/a/b.ts");
        assert_eq!(join("/", "b.ts"), "/b.ts");
        assert_eq!(join("live", "b.ts"), "live/b.ts");
        assert_eq!(join("", "b.ts"), "b.ts");
        assert_eq!(folder_of("/var/www/b.ts"), Some("/var/www"));
        assert_eq!(folder_of("/b.ts"), Some("/"));
        assert_eq!(folder_of("/"), None);
        assert_eq!(folder_of("b.ts"), None);
    }

    #[test]
    fn a_shell_sees_one_word() {
        assert_eq!(quote("/it's; rm $HOME\n"), "'/it'\\''s; rm $HOME\n'");
        assert_eq!(quote("-rf"), "'./-rf'");
        assert_eq!(quote("~/a"), "'./~/a'");
    }
}
