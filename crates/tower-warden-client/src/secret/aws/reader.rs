use std::time::Duration;

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput},
};
use serde_json::Value;
use tower_warden::UnixTime;
use zeroize::Zeroizing;

use super::name::AwsName;
use crate::{
    secret::{
        Secret, SecretError, SecretErrorKind,
        polled::{Reader, Reading, Replaced},
    },
    wiped::WipedJson,
};

/// A client, and the label of the versions that it reads.
#[derive(Clone)]
pub(super) struct SecretsManager {
    client: Client,
    stage: Stage,
}

/// A staging label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Current,
    Pending,
    Previous,
}

impl SecretsManager {
    pub(super) const fn new(client: Client, stage: Stage) -> Self {
        Self { client, stage }
    }

    pub(super) fn at(&self, stage: Stage) -> Self {
        Self { client: self.client.clone(), stage }
    }

    async fn version(&self, name: &str, stage: Stage) -> Result<(Secret, UnixTime), SecretError> {
        let AwsName { id, member } = AwsName::parse(name)?;
        let problem = |kind, problem| SecretError::new(kind, name, problem);
        let call = self.client.get_secret_value().secret_id(id).version_stage(stage.label()).send();
        let late = |_| problem(SecretErrorKind::Unavailable, "AWS does not respond in time");
        let output = tokio::time::timeout(TIMEOUT, call).await.map_err(late)?;
        let mut output = output.map_err(|error| refused(name, &error))?;
        let created = created(&output);
        let no_text = || problem(SecretErrorKind::Format, "the secret is not a text");
        let text = Zeroizing::new(output.secret_string.take().ok_or_else(no_text)?);
        let secret = match member {
            None => Secret::new(text.as_str()),
            Some(member) => {
                let not_json = || problem(SecretErrorKind::Format, "the secret is not a JSON object");
                let json = WipedJson::parse(text.as_bytes()).ok_or_else(not_json)?;
                match json.member(member) {
                    Some(Value::String(text)) => Secret::new(text.as_str()),
                    Some(_) => return Err(problem(SecretErrorKind::Format, "the member is not a text")),
                    None => return Err(problem(SecretErrorKind::Missing, "the secret has no such member")),
                }
            }
        };
        if secret.expose().is_empty() {
            return Err(problem(SecretErrorKind::Missing, "the secret is empty"));
        }
        Ok((secret, created))
    }
}

impl Reader for SecretsManager {
    async fn read(&self, name: &str) -> Result<Reading, SecretError> {
        let (secret, created) = self.version(name, self.stage).await?;
        // Versions are named by random ids. Their times of creation increase.
        Ok(Reading { secret, version: Some(created.as_secs()) })
    }

    async fn read_replaced(&self, name: &str, current: &Reading) -> Option<Replaced> {
        if self.stage != Stage::Current {
            return None;
        }
        // Most secrets have none before their first rotation.
        let (secret, _) = self.version(name, Stage::Previous).await.ok()?;
        Some(Replaced { secret, at: UnixTime::from_secs(current.version?) })
    }
}

impl Stage {
    const fn label(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Pending => "AWSPENDING",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

fn created(output: &GetSecretValueOutput) -> UnixTime {
    let seconds = output.created_date().map_or(0, |date| date.secs());
    UnixTime::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// The error of a call, with the code of AWS. The error of the SDK is not kept, because it contains the whole response.
fn refused(name: &str, error: &SdkError<GetSecretValueError>) -> SecretError {
    let code = error.code().unwrap_or_default().to_owned();
    let (kind, problem) = match error.as_service_error() {
        Some(GetSecretValueError::ResourceNotFoundException(_)) => {
            (SecretErrorKind::Missing, "there is no such secret, or no version with the label")
        }
        Some(GetSecretValueError::InvalidRequestException(_)) => {
            (SecretErrorKind::Missing, "the secret is marked for deletion, or not available")
        }
        Some(GetSecretValueError::InvalidParameterException(_)) => {
            (SecretErrorKind::Name, "AWS does not accept the name of the secret")
        }
        Some(_) => (SecretErrorKind::Unavailable, "AWS refuses to return the secret"),
        None => (SecretErrorKind::Unavailable, "AWS does not respond"),
    };
    let refused = SecretError::new(kind, name, problem);
    if code.is_empty() { refused } else { refused.because(code) }
}

/// The time limit of a reading, with the repetitions of the SDK.
const TIMEOUT: Duration = Duration::from_secs(10);
