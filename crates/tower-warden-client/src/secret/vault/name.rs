use crate::secret::{SecretError, SecretErrorKind};

/// A path in the KV engine, and a field.
pub(super) struct VaultName<'a> {
    pub(super) path: &'a str,
    pub(super) field: &'a str,
}

impl<'a> VaultName<'a> {
    pub(super) fn parse(name: &'a str) -> Result<Self, SecretError> {
        let (path, field) = name.split_once('#').unwrap_or((name, "value"));
        if field.is_empty() || !is_path(path) {
            let problem = "the name is a path of letters, digits, '-', '_', '.' and '/', followed by '#' and a field";
            return Err(SecretError::new(SecretErrorKind::Name, name, problem));
        }
        Ok(Self { path, field })
    }
}

/// Returns whether a text is a path that is the same in a URL, and does not leave its folder.
pub(super) fn is_path(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.split('/').all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(is_allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_path_and_a_field() {
        let parsed = |name| VaultName::parse(name).map(|name| (name.path, name.field)).ok();
        assert_eq!(parsed("billing/stripe#api_key"), Some(("billing/stripe", "api_key")));
        assert_eq!(parsed("billing"), Some(("billing", "value")));
        for name in
            ["", "#", "billing#", "/billing", "billing/", "a//b", "../sys", "a/./b", "a%2fb", "a?version=1", "a b"]
        {
            assert_eq!(parsed(name), None, "{name}");
        }
    }
}
