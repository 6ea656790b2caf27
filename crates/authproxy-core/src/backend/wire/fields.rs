//! [`Fields`]: the members of a JSON object, wiped when they are dropped.

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

/// Some answers begin with one, and RFC 8259 (section 8.1) lets a reader pass over it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The members of a JSON object. Text among them is wiped on drop: it may be a token.
#[derive(Default)]
pub(super) struct Fields {
    members: Map<String, Value>,
}

/// Why a body is no set of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRead {
    /// No JSON, or none that we can hold.
    NotJson,
    NoObject,
    /// Which of two tokens a service meant is not ours to guess.
    FieldTwice,
}

impl Fields {
    /// Reads an object that names no field twice.
    pub(super) fn parse(body: &[u8]) -> Result<Self, NotRead> {
        let body = without_mark(body);
        match serde_json::from_slice(body) {
            Ok(Members::Once(fields)) => Ok(fields),
            Ok(Members::Twice) => Err(NotRead::FieldTwice),
            // An object may be well-formed and still nest too deep, or hold a number that is too large.
            Err(_) if body.trim_ascii_start().starts_with(b"{") => Err(NotRead::NotJson),
            Err(_) => {
                let well_formed = serde_json::from_slice::<IgnoredAny>(body).is_ok();
                Err(if well_formed { NotRead::NoObject } else { NotRead::NotJson })
            }
        }
    }

    /// Adds a member; `false` when there is one of that name.
    pub(super) fn insert(&mut self, name: String, value: Value) -> bool {
        match self.members.insert(name, value) {
            None => true,
            Some(mut former) => {
                wipe(&mut former);
                false
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// Takes a member out; whoever does answers for wiping it.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name)
    }

    pub(super) fn take_text(&mut self, name: &str) -> Option<Zeroizing<String>> {
        match self.take(name)? {
            Value::String(text) => Some(Zeroizing::new(text)),
            _ => None,
        }
    }

    /// Takes out what is left.
    pub(super) fn into_rest(mut self) -> Map<String, Value> {
        std::mem::take(&mut self.members)
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        self.members.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    if let Value::String(text) = value {
        text.zeroize();
    }
}

pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

enum Members {
    Once(Fields),
    Twice,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let (mut fields, mut twice) = (Fields::default(), false);
                while let Some((name, value)) = access.next_entry()? {
                    twice |= !fields.insert(name, value);
                }
                Ok(if twice { Members::Twice } else { Members::Once(fields) })
            }
        }
        deserializer.deserialize_map(Object)
    }
}
