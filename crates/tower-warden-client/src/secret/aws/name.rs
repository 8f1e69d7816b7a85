use crate::secret::{SecretError, SecretErrorKind};

/// The name or ARN of a secret, and a member of its JSON object.
pub(super) struct AwsName<'a> {
    pub(super) id: &'a str,
    pub(super) member: Option<&'a str>,
}

impl<'a> AwsName<'a> {
    pub(super) fn parse(name: &'a str) -> Result<Self, SecretError> {
        let (id, member) = name.split_once('#').map_or((name, None), |(id, member)| (id, Some(member)));
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&byte);
        if id.is_empty() || id.len() > MAX_LENGTH || !id.bytes().all(is_allowed) || member == Some("") {
            let problem = "the name is a name or an ARN in Secrets Manager, optionally followed by '#' and a member";
            return Err(SecretError::new(SecretErrorKind::Name, name, problem));
        }
        Ok(Self { id, member })
    }
}

/// The maximum length of an ARN or a name.
const MAX_LENGTH: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name_or_an_arn_and_a_member() {
        let parsed = |name| AwsName::parse(name).map(|name| (name.id, name.member)).ok();
        assert_eq!(parsed("prod/billing#api_key"), Some(("prod/billing", Some("api_key"))));
        assert_eq!(parsed("prod/billing"), Some(("prod/billing", None)));
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/billing-AbCdEf";
        assert_eq!(parsed(arn), Some((arn, None)));
        for name in ["", "#", "billing#", "#api_key", "a b", "a?b", "a\nb", "caf\u{e9}"] {
            assert_eq!(parsed(name), None, "{name}");
        }
        assert_eq!(parsed(&"a".repeat(2049)), None);
    }
}
