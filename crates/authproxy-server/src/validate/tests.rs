#![allow(clippy::unwrap_used)]

use http::HeaderValue;

use super::*;

fn headers(content_type: Option<&'static str>) -> HeaderMap {
    content_type.map(|value| (CONTENT_TYPE, HeaderValue::from_static(value))).into_iter().collect()
}

fn registration(content_type: Option<&'static str>, body: &str) -> Value {
    let outcome = json(&headers(content_type), body.as_bytes()).and_then(|mut fields| {
        let (email, password) = (fields.required("email", 5), fields.required("password", 5));
        fields.finish()?;
        Ok(json!([*email, *password]))
    });
    outcome.unwrap_or_else(|error| match error {
        BodyError::Invalid(invalid) => invalid.to_json(),
        BodyError::Unreadable => "unreadable".into(),
    })
}

async fn login(content_type: Option<&'static str>, body: &[u8]) -> Value {
    let fields = form(&headers(content_type), body).await;
    let outcome = fields.and_then(|mut fields| {
        let (username, password) = (fields.required("username", 5), fields.required("password", 5));
        let scope = fields.optional("scope", 5);
        fields.finish()?;
        Ok(json!([*username, *password, scope.as_deref()]))
    });
    outcome.unwrap_or_else(|error| match error {
        BodyError::Invalid(invalid) => invalid.to_json(),
        BodyError::Unreadable => "unreadable".into(),
    })
}

fn entry(kind: &str, at: &str, message: &str) -> Value {
    json!({ "type": kind, "loc": ["body", at], "msg": message })
}

fn missing(at: &str) -> Value {
    entry("missing", at, "Field required")
}

#[test]
fn each_mistake_in_json_has_its_entry() {
    let whole = |kind: &str, message: &str| json!([{ "type": kind, "loc": ["body"], "msg": message }]);
    let no_object =
        whole("model_attributes_type", "Input should be a valid dictionary or object to extract fields from");
    let no_text = |at: &str| entry("string_type", at, "Input should be a valid string");
    let invalid = |offset: usize, reason: &str| json!([{ "type": "json_invalid", "loc": ["body", offset], "msg": "JSON decode error", "ctx": { "error": reason } }]);
    let mut long = entry("string_too_long", "email", "String should have at most 5 characters");
    long["ctx"] = json!({ "max_length": 5 });
    let ok = r#"{"email": "a@b", "password": "pw"}"#;
    let crowd = format!("{{{}\"z\": 1}}", r#""a": 1, "#.repeat(70));
    let deep = format!(r#"{{"email": {}"#, "[".repeat(200));
    let json_type = Some("application/json");
    let table = [
        (json_type, ok, json!(["a@b", "pw"])),
        (None, ok, json!(["a@b", "pw"])),
        (Some("Application/JSON; charset=utf-8"), ok, json!(["a@b", "pw"])),
        (Some("application/vnd.a+json"), ok, json!(["a@b", "pw"])),
        (Some("text/plain"), ok, no_object.clone()),
        (Some("application/x-www-form-urlencoded"), "email=a", no_object.clone()),
        (Some("application/jsonp"), ok, no_object.clone()),
        (json_type, "", whole("missing", "Field required")),
        (Some("text/plain"), "", whole("missing", "Field required")),
        (json_type, "[]", no_object.clone()),
        (json_type, "null", no_object.clone()),
        (json_type, "\"a\"", no_object.clone()),
        (json_type, "1.5", no_object),
        (json_type, "{}", json!([missing("email"), missing("password")])),
        (json_type, r#"{"email": "a@b"}"#, json!([missing("password")])),
        (json_type, r#"{"email": null, "password": "pw"}"#, json!([no_text("email")])),
        (json_type, r#"{"email": 1, "password": [{"a": {}}]}"#, json!([no_text("email"), no_text("password")])),
        (json_type, r#"{"email": "", "password": ""}"#, json!(["", ""])),
        (json_type, r#"{"email": "abcdef", "password": "pw"}"#, json!([long])),
        (json_type, r#"{"email": "äöüßé", "password": "pw"}"#, json!(["äöüßé", "pw"])),
        (
            json_type,
            r#"{"email": "a", "password": "a", "password": "b"}"#,
            json!([entry("duplicate", "password", "Field must be given only once")]),
        ),
        (
            json_type,
            r#"{"email": "a", "password": "b", "p\u0061ssword": "b"}"#,
            json!([entry("duplicate", "password", "Field must be given only once")]),
        ),
        (json_type, &crowd, whole("too_long", "Object should have at most 64 fields")),
        (json_type, r#"{"email": "#, invalid(10, "Expecting value")),
        (json_type, "secret", invalid(0, "Expecting value")),
    ];
    for (content_type, body, expected) in table {
        assert_eq!(registration(content_type, body), expected, "{content_type:?} {body:.60}");
    }
    assert_eq!(registration(json_type, &deep)[0]["ctx"]["error"], "Nested too deeply");
}

#[test]
fn what_is_no_text_is_unreadable() {
    let outcome = json(&headers(Some("application/json")), b"{\"email\": \"\xff\"}");
    assert!(matches!(outcome, Err(BodyError::Unreadable)));
}

#[tokio::test]
async fn forms_are_read_in_both_encodings() {
    let urlencoded = Some("application/x-www-form-urlencoded");
    let multipart = Some("multipart/form-data; boundary=X");
    let part =
        |name: &str, value: &str| format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let whole = part("username", "a b") + &part("password", "\u{e4}=") + "--X--\r\n";
    let file = "--X\r\nContent-Disposition: form-data; name=\"username\"; filename=\"a\"\r\n\r\nb\r\n".to_owned()
        + &part("password", "p")
        + "--X--\r\n";
    let both = json!([missing("username"), missing("password")]);
    let crowd = "a=1&".repeat(65);
    let table: Vec<(Option<&str>, &str, Value)> = vec![
        (urlencoded, "username=a+b&password=%C3%A4%3D&scope=", json!(["a b", "\u{e4}=", null])),
        (
            Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8"),
            "username=a&password=b&scope=s",
            json!(["a", "b", "s"]),
        ),
        (multipart, &whole, json!(["a b", "\u{e4}=", null])),
        (Some("multipart/form-data; boundary=\"X\""), &whole, json!(["a b", "\u{e4}=", null])),
        (multipart, &file, json!([entry("string_type", "username", "Input should be a valid string")])),
        (urlencoded, "", both.clone()),
        (None, "username=a&password=b", both.clone()),
        (Some("application/json"), r#"{"username": "a", "password": "b"}"#, both),
        (urlencoded, "username=a&password=", json!([missing("password")])),
        (
            urlencoded,
            "username=a&username=a&password=b",
            json!([entry("duplicate", "username", "Field must be given only once")]),
        ),
        (
            urlencoded,
            &crowd,
            json!([{ "type": "too_long", "loc": ["body"], "msg": "Object should have at most 64 fields" }]),
        ),
        (multipart, "no boundary", "unreadable".into()),
        (multipart, &whole[..whole.len() - 20], "unreadable".into()),
        (Some("multipart/form-data"), &whole, "unreadable".into()),
    ];
    for (content_type, body, expected) in table {
        let content_type: Option<&'static str> =
            content_type.map(|value| &*Box::leak(value.to_owned().into_boxed_str()));
        assert_eq!(login(content_type, body.as_bytes()).await, expected, "{content_type:?} {body:.60}");
    }
}
