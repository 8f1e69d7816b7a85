//! The policies and data documents, in files or in memory.

use std::{borrow::Cow, fs, num::NonZeroU32, path::PathBuf, time::Duration};

use regorus::{Engine, Value, utils::limits::ExecutionTimerConfig};
use tower_warden::Digest;

use crate::error::{RegoError, RegoErrorKind};

/// The number of steps of an evaluation after which the time is compared with the limit.
const STEPS: NonZeroU32 = NonZeroU32::new(64).expect("64 is not zero");

/// The version of Rego in which policies are written.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are two versions")]
pub enum RegoVersion {
    /// Rego as before OPA 1.0: rules need no `if`.
    V0,
    /// Rego of OPA 1.0 and later.
    #[default]
    V1,
}

/// The places of policies and data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) policies: Vec<Source>,
    pub(crate) data: Vec<Source>,
    pub(crate) version: RegoVersion,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Text { name: Box<str>, text: Box<str> },
}

impl Source {
    fn name(&self) -> Cow<'_, str> {
        match self {
            Self::File(path) => path.to_string_lossy(),
            Self::Text { name, .. } => Cow::Borrowed(name),
        }
    }

    fn read(&self) -> Result<Document, RegoError> {
        let text = match self {
            Self::File(path) => fs::read_to_string(path).map_err(|error| RegoError::unreadable(path, error))?,
            Self::Text { text, .. } => text.to_string(),
        };
        Ok(Document { name: self.name().into_owned(), text })
    }
}

/// The text of a source.
struct Document {
    name: String,
    text: String,
}

/// The texts of all sources.
pub(crate) struct Documents {
    policies: Vec<Document>,
    data: Vec<Document>,
    version: RegoVersion,
}

impl Sources {
    pub(crate) fn read(&self) -> Result<Documents, RegoError> {
        let read = |sources: &[Source]| sources.iter().map(Source::read).collect::<Result<_, _>>();
        Ok(Documents { policies: read(&self.policies)?, data: read(&self.data)?, version: self.version })
    }
}

impl Documents {
    /// The digests of the texts, by which changes are detected.
    pub(crate) fn fingerprint(&self) -> Vec<Digest> {
        self.policies.iter().chain(&self.data).map(|document| Digest::of(document.text.as_bytes())).collect()
    }

    /// Compiles the policies, and checks that they define the rules, and that no data document replaces one.
    pub(crate) fn compile<'a>(
        self,
        rules: impl IntoIterator<Item = &'a str>,
        time_limit: Duration,
    ) -> Result<Engine, RegoError> {
        let invalid = |name: &str, expected| RegoError::new(RegoErrorKind::Invalid, format!("{name}: {expected}"));
        let mut engine = Engine::new();
        engine.set_rego_v0(self.version == RegoVersion::V0);
        engine.set_execution_timer_config(ExecutionTimerConfig { limit: time_limit, check_interval: STEPS });
        for Document { name, text } in self.policies {
            let added = engine.add_policy(name.clone(), text);
            added.map_err(|error| invalid(&name, "expected a policy in Rego").because(error))?;
        }
        let packages = engine.get_policy_package_components();
        let packages = packages.map_err(|error| invalid("package", "expected the path of a package").because(error))?;
        for Document { name, text } in self.data {
            let expected = "expected a JSON object, without values that differ from those of other data documents";
            let value = Value::from_json_str(&text).map_err(|error| invalid(&name, expected).because(error))?;
            // The engine prefers data to a rule with the same path.
            if value.as_object().is_ok() && packages.iter().any(|package| is_within(&value, &package.components)) {
                return Err(invalid(&name, "expected data outside of the packages of the policies"));
            }
            engine.add_data(value).map_err(|error| invalid(&name, expected).because(error))?;
        }
        for rule in rules {
            let compiled = engine.compile_with_entrypoint(&rule.into());
            compiled.map_err(|error| {
                let message = format!("{rule}: expected policies that define this rule, and that can be compiled");
                RegoError::new(RegoErrorKind::RuleMissing, message).because(error)
            })?;
        }
        Ok(engine)
    }
}

/// Returns whether a data document has a value at the path of a package, or one on the way to it that is no object.
fn is_within(data: &Value, package: &[String]) -> bool {
    let Some((name, rest)) = package.split_first() else { return true };
    match data.as_object() {
        Ok(members) => members.get(&Value::from(name.as_str())).is_some_and(|member| is_within(member, rest)),
        Err(_) => true,
    }
}
