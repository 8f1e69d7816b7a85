//! Identifiers of message components, RFC 9421 §2.

use std::{fmt, str::FromStr};

use http::HeaderName;
use sfv::{Item, ItemSerializer, Parser};

use crate::error::{ConfigError, ConfigErrorKind};

/// A component of a message that a signature covers ([RFC 9421 §2](https://www.rfc-editor.org/rfc/rfc9421#section-2)): a
/// header field, or a derived component such as `@method`.
///
/// It is written as in `Signature-Input`, or without the quotation marks if it has no parameters. All derived components are
/// supported, and the parameters `sf`, `bs`, `key`, `req` and `name`; `tr` is not.
///
/// # Examples
///
/// ```
/// use tower_warden::signature::Component;
///
/// let method: Component = "@method".parse()?;
/// assert_eq!(method.to_string(), r#""@method""#);
/// assert_eq!(r#""@method""#.parse::<Component>()?, method);
/// let member: Component = r#""content-digest";key="sha-256""#.parse()?;
///
/// assert!("@unknown".parse::<Component>().is_err());
/// assert!("Content-Digest".parse::<Component>().is_err(), "names are in lower case");
/// assert!(r#""date";bs;sf"#.parse::<Component>().is_err(), "one of both");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Component {
    pub(super) kind: Kind,
    /// `req`: a component of the request that a response belongs to.
    pub(super) is_of_request: bool,
    /// The parameters of the identifier, serialized in the order in which they came; mostly none.
    parameters: Box<str>,
}

/// The value that a component has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Authority,
    Field(HeaderName, Form),
    Method,
    Path,
    Query,
    QueryParam(Box<str>),
    RequestTarget,
    Scheme,
    Status,
    TargetUri,
}

/// The form in which the value of a field is covered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `bs`: each line as a byte sequence.
    Bytes,
    /// The lines as they are.
    Combined,
    /// `key`: a member of a dictionary.
    Member(Box<str>),
    /// `sf`: a structured field, serialized again.
    Strict,
}

/// The parameters of a component identifier.
#[derive(Default)]
pub(super) struct ComponentParameters {
    bytes: bool,
    key: Option<Box<str>>,
    name: Option<Box<str>>,
    request: bool,
    strict: bool,
}

impl Component {
    pub(super) fn from_item(item: &Item) -> Option<Self> {
        let name = item.bare_item.as_string()?.as_str();
        let parameters = ComponentParameters::read(&item.params)?;
        if item.params.is_empty() {
            return Self::new(name, parameters, "");
        }
        let text = ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish();
        // No name of a component needs an escape.
        let text = text.get(name.len() + "\"\"".len()..)?;
        Self::new(name, parameters, text)
    }

    /// A component with this name, and parameters that are also there in their serialized form.
    pub(super) fn new(name: &str, parameters: ComponentParameters, serialized: &str) -> Option<Self> {
        let is_of_request = parameters.request;
        let kind = if name.starts_with('@') { derived(name, parameters)? } else { field(name, parameters)? };
        // RFC 9421 §2.2.9: a request has no status.
        if kind == Kind::Status && is_of_request {
            return None;
        }
        Some(Self { kind, is_of_request, parameters: serialized.into() })
    }

    /// Parses components, each of which is there once (RFC 9421 §2).
    pub(super) fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, ConfigError> {
        let mut components: Vec<Self> = Vec::new();
        for text in texts {
            let component = text.parse()?;
            if components.contains(&component) {
                return Err(ConfigError::new(ConfigErrorKind::Signature, "a component is covered once").value(text));
            }
            components.push(component);
        }
        Ok(components)
    }

    /// Parses components of a request, each of which is there once.
    pub(super) fn parse_of_request<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, ConfigError> {
        let components = Self::parse_all(texts)?;
        match components.iter().find(|component| component.is_of_request || component.is(&Kind::Status)) {
            Some(component) => {
                let message = "a request has no `@status`, and no component with `req`";
                Err(ConfigError::new(ConfigErrorKind::Signature, message).value(component))
            }
            None => Ok(components),
        }
    }

    /// The parts of the identifier, as it is in the signature base.
    pub(super) fn identifier(&self) -> [&str; 4] {
        ["\"", self.kind.name(), "\"", &self.parameters]
    }

    /// Returns whether a signature that covers this component covers the required one: it is the same, or the whole field in
    /// another form.
    pub(super) fn covers(&self, required: &Self) -> bool {
        let is_whole = |form: &Form| !matches!(form, Form::Member(_));
        let is_same_field = match (&self.kind, &required.kind) {
            // A client knows whether its own request has the member, for which the whole field is enough.
            (Kind::Field(name, form), Kind::Field(other, of)) => {
                name == other && is_whole(form) && (is_whole(of) || self.is_of_request)
            }
            _ => false,
        };
        self == required || is_same_field && self.is_of_request == required.is_of_request
    }

    /// Returns whether it is this field of a request, or a member of it.
    pub(super) fn is_field(&self, name: &HeaderName) -> bool {
        matches!(&self.kind, Kind::Field(known, _) if known == name) && !self.is_of_request
    }

    /// Returns whether it is this whole field of a request.
    pub(super) fn is_whole_field(&self, name: &HeaderName) -> bool {
        self.is_field(name) && !matches!(self.kind, Kind::Field(_, Form::Member(_)))
    }

    /// Returns whether it is a derived component of a request.
    pub(super) fn is(&self, kind: &Kind) -> bool {
        self.kind == *kind && !self.is_of_request
    }
}

impl Kind {
    fn name(&self) -> &str {
        match self {
            Self::Authority => "@authority",
            Self::Field(name, _) => name.as_str(),
            Self::Method => "@method",
            Self::Path => "@path",
            Self::Query => "@query",
            Self::QueryParam(_) => "@query-param",
            Self::RequestTarget => "@request-target",
            Self::Scheme => "@scheme",
            Self::Status => "@status",
            Self::TargetUri => "@target-uri",
        }
    }
}

impl ComponentParameters {
    /// Adds a parameter in its only canonical form: a text, or a flag. `None` for one that is not understood, or is there.
    pub(super) fn add(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        match (name, value) {
            ("bs", None) if !self.bytes => self.bytes = true,
            ("key", Some(text)) if self.key.is_none() => self.key = Some(text.into()),
            ("name", Some(text)) if self.name.is_none() => self.name = Some(text.into()),
            ("req", None) if !self.request => self.request = true,
            ("sf", None) if !self.strict => self.strict = true,
            _ => return None,
        }
        Some(())
    }

    /// RFC 9421 §2.5: a parameter that is not understood makes the component unusable.
    fn read(parameters: &sfv::Parameters) -> Option<Self> {
        let mut this = Self::default();
        for (name, value) in parameters {
            let text = || value.as_string().map(|text| text.as_str().into());
            match name.as_str() {
                "bs" => this.bytes = value.as_boolean()?,
                "key" => this.key = Some(text()?),
                "name" => this.name = Some(text()?),
                "req" => this.request = value.as_boolean()?,
                "sf" => this.strict = value.as_boolean()?,
                _ => return None,
            }
            // `?0` is not what the RFC defines: it would be the component without the parameter, under another name.
            if value.as_boolean() == Some(false) {
                return None;
            }
        }
        Some(this)
    }
}

fn derived(name: &str, parameters: ComponentParameters) -> Option<Kind> {
    let ComponentParameters { bytes, key, name: parameter, strict, .. } = parameters;
    if bytes || strict || key.is_some() || parameter.is_some() != (name == "@query-param") {
        return None;
    }
    Some(match name {
        "@authority" => Kind::Authority,
        "@method" => Kind::Method,
        "@path" => Kind::Path,
        "@query" => Kind::Query,
        "@query-param" => Kind::QueryParam(parameter?),
        "@request-target" => Kind::RequestTarget,
        "@scheme" => Kind::Scheme,
        "@status" => Kind::Status,
        "@target-uri" => Kind::TargetUri,
        // RFC 9421 §2.3: `@signature-params` is never listed.
        _ => return None,
    })
}

fn field(name: &str, parameters: ComponentParameters) -> Option<Kind> {
    let ComponentParameters { bytes, key, name: parameter, strict, .. } = parameters;
    // RFC 9421 §2.1: names are in lower case. §2.5: `bs` excludes `sf` and `key`.
    let field = HeaderName::from_lowercase(name.as_bytes()).ok()?;
    if parameter.is_some() || bytes && (strict || key.is_some()) {
        return None;
    }
    let form = match key {
        Some(key) => Form::Member(key),
        None if bytes => Form::Bytes,
        None if strict => Form::Strict,
        None => Form::Combined,
    };
    Some(Kind::Field(field, form))
}

/// The order of parameters makes no difference (RFC 9421 §2).
impl PartialEq for Component {
    fn eq(&self, other: &Self) -> bool {
        (&self.kind, self.is_of_request) == (&other.kind, other.is_of_request)
    }
}

impl Eq for Component {}

impl FromStr for Component {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let quoted = if text.starts_with('"') { text.to_owned() } else { format!("\"{text}\"") };
        let item = Parser::new(&quoted).parse::<Item>().ok();
        item.as_ref().and_then(Self::from_item).ok_or_else(|| {
            let message = "a component is a field name in lower case, or a derived component of RFC 9421 §2.2, with the \
                           parameters `sf`, `bs`, `key`, `req` or `name` where they apply";
            ConfigError::new(ConfigErrorKind::Signature, message).value(text)
        })
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identifier().into_iter().try_for_each(|part| f.write_str(part))
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
