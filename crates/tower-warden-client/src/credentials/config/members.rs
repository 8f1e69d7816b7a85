use std::{collections::BTreeMap, fmt};

use jiff::{civil::Date, tz::TimeZone};
use tower_warden::UnixTime;

use super::tree::Tree;

/// A problem of a configuration: the path of a member, and what is expected there. It never contains a value.
#[derive(Debug)]
pub(in crate::credentials) struct Problem(String);

impl Problem {
    pub(super) fn new(path: &str, expected: impl fmt::Display) -> Self {
        Self(format!("`{}`: {expected}", path.escape_debug()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The members of a map.
pub(super) struct Members {
    map: BTreeMap<String, Tree>,
    path: String,
}

impl Members {
    pub(super) fn of(tree: Tree, path: String) -> Result<Self, Problem> {
        match tree {
            Tree::Map(map) => match map.iter().find(|(_, tree)| matches!(tree, Tree::Twice)) {
                Some((name, _)) if path.is_empty() => Err(Problem::new(name, "a member that occurs once")),
                Some((name, _)) => Err(Problem::new(&format!("{path}.{name}"), "a member that occurs once")),
                None => Ok(Self { map, path }),
            },
            _ => Err(Problem::new(&path, "a map of members")),
        }
    }

    /// The names and values, each with its path.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (String, Tree, String)> {
        self.map.into_iter().map(move |(name, tree)| {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            (name, tree, path)
        })
    }

    /// Refuses members that are not among these.
    pub(super) fn check_names(&self, known: &[&[&str]]) -> Result<(), Problem> {
        let is_known = |name: &&String| known.iter().any(|known| known.contains(&name.as_str()));
        let Some(name) = self.map.keys().find(|name| !is_known(name)) else { return Ok(()) };
        if is_value(name) {
            let message = "a configuration contains names of secrets and never their values; \
                           the name of this one is a member whose name ends in `_name`";
            return Err(self.problem(name, message));
        }
        Err(self.problem(name, format_args!("unknown member; the members are {}", known.concat().join(", "))))
    }

    pub(super) fn problem(&self, name: &str, expected: impl fmt::Display) -> Problem {
        Problem::new(&format!("{}.{name}", self.path), expected)
    }

    pub(super) fn optional(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Tree::Text(text)) if !text.is_empty() => Ok(Some(text.to_string())),
            Some(_) => Err(self.problem(name, "a text")),
        }
    }

    pub(super) fn required(&mut self, name: &str) -> Result<String, Problem> {
        self.optional(name)?.ok_or_else(|| self.problem(name, "missing"))
    }

    /// Parses a text, whose error is replaced by what is expected.
    pub(super) fn parsed<T, E>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let text = self.optional(name)?;
        text.map(|text| parse(&text).map_err(|_| self.problem(name, expected))).transpose()
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.map.remove(name) {
            None => Ok(false),
            Some(Tree::Flag(flag)) => Ok(flag),
            // Of environment variables.
            Some(Tree::Text(text)) if text.as_str() == "true" => Ok(true),
            Some(Tree::Text(text)) if text.as_str() == "false" => Ok(false),
            Some(_) => Err(self.problem(name, "true or false")),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let number = match self.map.remove(name) {
            None => return Ok(None),
            Some(Tree::Number(number)) => Some(number),
            Some(Tree::Text(text)) => text.parse().ok(),
            Some(_) => None,
        };
        number.filter(|number| *number > 0).map(Some).ok_or_else(|| self.problem(name, "a whole number above zero"))
    }

    /// A day, such as `2026-11-01`.
    pub(super) fn day(&mut self, name: &str) -> Result<Option<UnixTime>, Problem> {
        self.parsed(name, "a day, such as \"2026-11-01\"", |text| day(text).ok_or(()))
    }

    /// A list of texts, or texts that are separated by spaces, joined by spaces.
    pub(super) fn words(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let expected = "a text or a list of texts";
        match self.map.remove(name) {
            None => Ok(None),
            Some(Tree::Text(text)) => Ok(Some(text.to_string())),
            Some(Tree::List(items)) => {
                let words = items.iter().map(|item| match item {
                    Tree::Text(text) => Some(text.as_str()),
                    _ => None,
                });
                let words: Option<Vec<_>> = words.collect();
                words.map(|words| Some(words.join(" "))).ok_or_else(|| self.problem(name, expected))
            }
            Some(_) => Err(self.problem(name, expected)),
        }
    }

    /// A map of texts; empty if there is none.
    pub(super) fn texts(&mut self, name: &str) -> Result<BTreeMap<String, String>, Problem> {
        let Some(tree) = self.map.remove(name) else { return Ok(BTreeMap::new()) };
        let path = format!("{}.{name}", self.path);
        let text = |(name, tree, path): (String, Tree, String)| match tree {
            Tree::Text(text) => Ok((name, text.to_string())),
            _ => Err(Problem::new(&path, "a text")),
        };
        Self::of(tree, path)?.into_entries().map(text).collect()
    }

    /// The name of a secret. What is recognized as a value is refused.
    pub(super) fn secret_name(&mut self, name: &str) -> Result<Box<str>, Problem> {
        let text = self.required(name)?;
        secret_name(&text).map_err(|expected| self.problem(name, expected))
    }
}

/// Checks the name of a secret.
pub(super) fn secret_name(text: &str) -> Result<Box<str>, &'static str> {
    let is_name = (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name || VALUE_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Err("the name of a secret in its source, and never its value");
    }
    Ok(text.into())
}

/// Returns whether the name of a member is one of a secret value.
pub(super) fn is_value(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    !name.ends_with("_name") && VALUES.iter().any(|value| name == *value || name.ends_with(&format!("_{value}")))
}

/// The time at which a day begins, in UTC.
fn day(text: &str) -> Option<UnixTime> {
    // The parser also accepts other forms of ISO 8601.
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text)?;
    let begin = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    u64::try_from(begin.as_second()).ok().map(UnixTime::from_secs)
}

/// The names, and ends of names, of members that would contain a secret.
const VALUES: &[&str] =
    &["key", "passphrase", "password", "private_key", "secret", "token", "access_token", "refresh_token", "value"];

/// The beginnings of widespread kinds of credentials.
const VALUE_PREFIXES: &[&str] =
    &["-----BEGIN", "AKIA", "eyJ", "ghp_", "github_pat_", "glpat-", "hvs.", "sk-", "sk_", "whsec_", "xoxb-", "xoxp-"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_the_calendar() {
        let seconds = |text| day(text).map(UnixTime::as_secs);
        assert_eq!(seconds("1970-01-01"), Some(0));
        assert_eq!(seconds("2026-11-15"), Some(1_794_700_800));
        assert_eq!(seconds("2024-02-29"), Some(1_709_164_800));
        assert_eq!(seconds("2000-03-01"), Some(951_868_800));
        for text in ["", "2026", "2026-13-01", "2026-00-01", "2026-02-29", "1969-12-31", "26-11-15", "2026-11-15T00:00"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn members_of_secret_values_are_recognized_by_their_names() {
        for name in ["secret", "client_secret", "api-key", "password", "db_password", "privateToken_token", "value"] {
            assert!(is_value(name), "{name}");
        }
        for name in ["secret_name", "key_name", "token_url", "issuer", "secret_names", "origin"] {
            assert!(!is_value(name), "{name}");
        }
    }
}
