use std::collections::HashMap;

use http::HeaderName;
use sfv::{Dictionary, FieldType as _, Item, List, Parser};

/// The type of a structured field ([RFC 9651 §3](https://www.rfc-editor.org/rfc/rfc9651#section-3)), which decides how a field
/// is serialized that a signature covers with `sf`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FieldType {
    /// A dictionary, such as `Content-Digest`.
    Dictionary,
    /// An item.
    Item,
    /// A list.
    List,
}

/// The types of fields that are known, and those that were declared.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldTypes(HashMap<HeaderName, FieldType>);

impl FieldTypes {
    pub(super) fn declare(&mut self, name: HeaderName, field_type: FieldType) {
        self.0.insert(name, field_type);
    }

    /// The value of a structured field, serialized again; `None` if its type is unknown, or its value is not of this type.
    pub(super) fn serialized(&self, name: &HeaderName, value: &str) -> Option<String> {
        let field_type = self.0.get(name).copied().or_else(|| registered(name))?;
        let parser = Parser::new(value);
        Some(match field_type {
            FieldType::Dictionary => parser.parse::<Dictionary>().ok()?.serialize().unwrap_or_default(),
            FieldType::Item => parser.parse::<Item>().ok()?.serialize(),
            FieldType::List => parser.parse::<List>().ok()?.serialize().unwrap_or_default(),
        })
    }
}

/// Fields whose specification defines them as structured.
fn registered(name: &HeaderName) -> Option<FieldType> {
    Some(match name.as_str() {
        "accept-signature"
        | "cdn-cache-control"
        | "content-digest"
        | "priority"
        | "repr-digest"
        | "signature"
        | "signature-agent"
        | "signature-input"
        | "want-content-digest"
        | "want-repr-digest" => FieldType::Dictionary,
        "client-cert" | "deprecation" => FieldType::Item,
        "accept-ch" | "cache-status" | "client-cert-chain" | "proxy-status" | "ratelimit" | "ratelimit-policy" => {
            FieldType::List
        }
        _ => return None,
    })
}
