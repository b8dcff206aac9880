//! What is taken from the environment by `${NAME}`.

use super::Environment;

/// Replaces each `${NAME}` in `text` by that environment variable; `$$` stands for one `$`.
///
/// # Errors
/// What is wrong with the text, or which variable is not set.
pub(super) fn expand(text: &str, environment: &Environment) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err("expected `}` behind `${`".into());
            };
            match environment.get(name) {
                Some(value) => out.push_str(value),
                None => return Err(format!("the environment variable {name:?} is not set")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    Ok(out + rest)
}

/// The inverse of [`expand`] for a text without variables.
pub(super) fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced() {
        let environment = Environment::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand("x${A}y$$z$", &environment), Ok("x1y$z$".into()));
        assert_eq!(expand("${B}", &environment), Err("the environment variable \"B\" is not set".into()));
        assert_eq!(expand("${A", &environment), Err("expected `}` behind `${`".into()));
        assert_eq!(expand(&escape("a$b${A}$$"), &environment), Ok("a$b${A}$$".into()));
    }
}
