//! Request bodies: read strictly, and refused in the words of the seed's framework, `FastAPI`, with its 422.
//!
//! Never echoes what was sent: bodies hold passwords.

mod json_error;

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The most fields of a body.
const MAX_FIELDS: usize = 64;
/// The most characters of a field's name.
const MAX_NAME: usize = 128;

/// What is wrong with a body, one entry a field.
#[derive(Debug, Default)]
pub(crate) struct Invalid(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    kind: &'static str,
    at: At,
    message: String,
    context: Option<Value>,
}

#[derive(Debug)]
enum At {
    Body,
    Offset(usize),
    Field(&'static str),
}

/// A body that is not even text in its encoding: 400, as in the seed's framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Why a body's fields cannot be read.
#[derive(Debug)]
pub(crate) enum BodyError {
    Invalid(Invalid),
    Unreadable,
}

impl Invalid {
    fn one(kind: &'static str, at: At, message: &str) -> Self {
        Self(vec![Entry { kind, at, message: message.into(), context: None }])
    }

    /// The value of `detail`.
    pub(crate) fn to_json(&self) -> Value {
        let entry = |entry: &Entry| {
            let at = match entry.at {
                At::Body => json!(["body"]),
                At::Offset(offset) => json!(["body", offset]),
                At::Field(name) => json!(["body", name]),
            };
            let mut value = json!({ "type": entry.kind, "loc": at, "msg": entry.message });
            if let Some(context) = &entry.context {
                value["ctx"] = context.clone();
            }
            value
        };
        self.0.iter().map(entry).collect()
    }
}

impl From<Invalid> for BodyError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Unreadable> for BodyError {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

/// A body's fields, to be taken one by one; the mistakes are collected on the way.
pub(crate) struct Fields {
    values: Vec<(String, FieldValue)>,
    /// In a form an empty field counts as one that was not sent.
    is_form: bool,
    invalid: Invalid,
}

/// A field's text; `None` when it is anything but text.
struct FieldValue(Option<Zeroizing<String>>);

impl Fields {
    /// Takes a field that must be there. What is returned after a mistake is thrown away by [`finish`](Self::finish).
    pub(crate) fn required(&mut self, name: &'static str, longest: usize) -> Zeroizing<String> {
        let before = self.invalid.0.len();
        let value = self.optional(name, longest);
        if value.is_none() && self.invalid.0.len() == before {
            self.mistake("missing", name, "Field required".into(), None);
        }
        value.unwrap_or_default()
    }

    /// Takes a field that may be absent.
    pub(crate) fn optional(&mut self, name: &'static str, longest: usize) -> Option<Zeroizing<String>> {
        let is_form = self.is_form;
        let mut found = self.values.extract_if(.., |(field, _)| field == name).map(|(_, value)| value);
        let (first, second) = (found.next()?, found.next());
        drop(found);
        if second.is_some() {
            self.mistake("duplicate", name, "Field must be given only once".into(), None);
            return None;
        }
        let Some(text) = first.0 else {
            self.mistake("string_type", name, "Input should be a valid string".into(), None);
            return None;
        };
        if text.chars().count() > longest {
            let message = format!("String should have at most {longest} characters");
            self.mistake("string_too_long", name, message, Some(json!({ "max_length": longest })));
            return None;
        }
        (!is_form || !text.is_empty()).then_some(text)
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`Invalid`], with every mistake that was found on the way.
    pub(crate) fn finish(self) -> Result<(), Invalid> {
        if self.invalid.0.is_empty() { Ok(()) } else { Err(self.invalid) }
    }

    fn mistake(&mut self, kind: &'static str, name: &'static str, message: String, context: Option<Value>) {
        self.invalid.0.push(Entry { kind, at: At::Field(name), message, context });
    }
}

/// Reads a JSON object (RFC 8259). A body without a content type is taken for JSON, as the seed's framework does.
///
/// # Errors
///
/// [`BodyError`]: no fields can be read from it.
pub(crate) fn json(headers: &HeaderMap, body: &[u8]) -> Result<Fields, BodyError> {
    const NOT_AN_OBJECT: &str = "Input should be a valid dictionary or object to extract fields from";
    if body.is_empty() {
        return Err(Invalid::one("missing", At::Body, "Field required").into());
    }
    if !content_type(headers).is_none_or(|name| is_json(&name)) {
        return Err(Invalid::one("model_attributes_type", At::Body, NOT_AN_OBJECT).into());
    }
    let text = std::str::from_utf8(body).map_err(|_| Unreadable)?;
    match serde_json::from_str::<Document>(text) {
        Ok(Document::Object(values)) if values.len() > MAX_FIELDS => Err(too_many_fields().into()),
        Ok(Document::Object(values)) => Ok(Fields { values, is_form: false, invalid: Invalid::default() }),
        Ok(Document::Other) => Err(Invalid::one("model_attributes_type", At::Body, NOT_AN_OBJECT).into()),
        Err(error) => {
            let (offset, reason) = json_error::explain(text, &error);
            let mut invalid = Invalid::one("json_invalid", At::Offset(offset), "JSON decode error");
            invalid.0[0].context = Some(json!({ "error": reason }));
            Err(invalid.into())
        }
    }
}

/// Reads a form, urlencoded or multipart (RFC 7578). Any other content type is a form without fields.
///
/// # Errors
///
/// [`BodyError`]: no fields can be read from it.
pub(crate) async fn form(headers: &HeaderMap, body: &[u8]) -> Result<Fields, BodyError> {
    let values = match content_type(headers).as_deref() {
        Some("application/x-www-form-urlencoded") => urlencoded(body)?,
        Some("multipart/form-data") => multipart(headers, body).await?,
        _ => Vec::new(),
    };
    if values.len() > MAX_FIELDS {
        return Err(too_many_fields().into());
    }
    Ok(Fields { values, is_form: true, invalid: Invalid::default() })
}

fn too_many_fields() -> Invalid {
    let message = format!("Object should have at most {MAX_FIELDS} fields");
    Invalid::one("too_long", At::Body, &message)
}

fn urlencoded(body: &[u8]) -> Result<Vec<(String, FieldValue)>, Unreadable> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(body).map_err(|_| Unreadable)?;
    Ok(pairs.into_iter().map(|(name, value)| (name, FieldValue(Some(Zeroizing::new(value))))).collect())
}

async fn multipart(headers: &HeaderMap, body: &[u8]) -> Result<Vec<(String, FieldValue)>, BodyError> {
    let boundary = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or(Unreadable)?;
    let boundary = multer::parse_boundary(boundary).map_err(|_| Unreadable)?;
    let whole = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(body))]);
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut values = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(|_| Unreadable)? {
        let name = part.name().ok_or(Unreadable)?.to_owned();
        let is_file = part.file_name().is_some();
        let bytes = Zeroizing::new(part.bytes().await.map_err(|_| Unreadable)?.to_vec());
        let text = std::str::from_utf8(&bytes).ok().filter(|_| !is_file);
        values.push((name, FieldValue(text.map(|text| Zeroizing::new(text.to_owned())))));
        if values.len() > MAX_FIELDS {
            return Err(too_many_fields().into());
        }
    }
    Ok(values)
}

/// The content type without its parameters, in lower case.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn is_json(content_type: &str) -> bool {
    content_type.strip_prefix("application/").is_some_and(|name| name == "json" || name.ends_with("+json"))
}

/// A JSON text: an object's fields in their order, duplicates and all, or anything else.
enum Document {
    Object(Vec<(String, FieldValue)>),
    Other,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut values: Vec<(String, FieldValue)> = Vec::new();
        while let Some((mut name, value)) = map.next_entry::<String, FieldValue>()? {
            name.truncate(name.char_indices().nth(MAX_NAME).map_or(name.len(), |(at, _)| at));
            // One more than allowed is enough to refuse it.
            if values.len() <= MAX_FIELDS {
                values.push((name, value));
            }
        }
        Ok(Document::Object(values))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Document, A::Error> {
        while seq.next_element::<FieldValue>()?.is_some() {}
        Ok(Document::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Other)
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

/// Keeps text and skips the rest. It descends by `deserialize_any`, so `serde_json`'s bound on nesting holds.
struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = FieldValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<FieldValue, E> {
        Ok(FieldValue(Some(Zeroizing::new(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
        while map.next_entry::<String, FieldValue>()?.is_some() {}
        Ok(FieldValue(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FieldValue, A::Error> {
        while seq.next_element::<FieldValue>()?.is_some() {}
        Ok(FieldValue(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }

    fn visit_unit<E>(self) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }
}

#[cfg(test)]
mod tests;
