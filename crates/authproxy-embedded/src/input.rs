//! What requests carry, and what is said when it is not what was asked for: FastAPI's 422, without the input.

use serde_json::{Value, json};
use zeroize::Zeroizing;

const LONGEST_FIELD: usize = 4096;

/// A field that is missing or no string.
#[derive(Debug)]
pub(crate) struct Invalid(Value);

impl Invalid {
    pub(crate) fn detail(self) -> Value {
        json!({ "detail": self.0 })
    }
}

/// Named string fields of a JSON object, in the order asked for.
pub(crate) fn json_fields<const N: usize>(
    body: &[u8],
    names: [&'static str; N],
) -> Result<[Zeroizing<String>; N], Invalid> {
    if body.is_empty() {
        return Err(Invalid(json!([{ "type": "missing", "loc": ["body"], "msg": "Field required" }])));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let entry = json!({
            "type": "json_invalid",
            "loc": ["body", error.column()],
            "msg": "JSON decode error",
            "ctx": { "error": "not well-formed" },
        });
        Invalid(json!([entry]))
    })?;
    let Value::Object(object) = value else {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        return Err(Invalid(json!([{ "type": "model_attributes_type", "loc": ["body"], "msg": msg }])));
    };
    collect(names, |name| match object.get(name) {
        None => Err(missing(name)),
        Some(Value::String(text)) if text.len() <= LONGEST_FIELD => Ok(Zeroizing::new(text.clone())),
        Some(_) => Err(no_string(name)),
    })
}

/// Named fields of a form, in the order asked for. A field that stands twice counts as missing.
pub(crate) fn form_fields<const N: usize>(
    body: &[u8],
    names: [&'static str; N],
) -> Result<[Zeroizing<String>; N], Invalid> {
    let fields: Vec<(String, Zeroizing<String>)> = serde_urlencoded::from_bytes::<Vec<(String, String)>>(body)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name, Zeroizing::new(value)))
        .collect();
    collect(names, |name| {
        let mut found = fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (Some(value), None) if value.len() <= LONGEST_FIELD => Ok(value.clone()),
            (Some(_), _) => Err(no_string(name)),
            (None, _) => Err(missing(name)),
        }
    })
}

fn collect<const N: usize>(
    names: [&'static str; N],
    find: impl Fn(&'static str) -> Result<Zeroizing<String>, Value>,
) -> Result<[Zeroizing<String>; N], Invalid> {
    let found = names.map(find);
    if found.iter().all(Result::is_ok) {
        return Ok(found.map(|field| field.expect("checked above")));
    }
    Err(Invalid(found.into_iter().filter_map(Result::err).collect()))
}

fn missing(name: &str) -> Value {
    json!({ "type": "missing", "loc": ["body", name], "msg": "Field required" })
}

fn no_string(name: &str) -> Value {
    json!({ "type": "string_type", "loc": ["body", name], "msg": "Input should be a valid string" })
}
