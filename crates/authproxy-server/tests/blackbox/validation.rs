//! Bad input over the wire: each mistake has its words, and nothing of what was sent comes back.

use serde_json::{Value, json};

use crate::{http::Ask, program::Program};

const SECRET: &str = "hunter2-hunter2";

fn at(kind: &str, field: &str, message: &str) -> Value {
    json!({ "type": kind, "loc": ["body", field], "msg": message })
}

fn missing(field: &str) -> Value {
    at("missing", field, "Field required")
}

fn no_text(field: &str) -> Value {
    at("string_type", field, "Input should be a valid string")
}

fn twice(field: &str) -> Value {
    at("duplicate", field, "Field must be given only once")
}

fn whole(kind: &str, message: &str) -> Value {
    json!([{ "type": kind, "loc": ["body"], "msg": message }])
}

fn no_json(offset: usize, error: &str) -> Value {
    json!([{ "type": "json_invalid", "loc": ["body", offset], "msg": "JSON decode error", "ctx": { "error": error } }])
}

#[test]
fn each_mistake_in_a_json_body_is_a_422_that_names_it() {
    let (_program, address) = Program::dev(&[]);
    let no_object =
        || whole("model_attributes_type", "Input should be a valid dictionary or object to extract fields from");
    let secret = |text: &str| text.replace("SECRET", SECRET);
    let table = [
        ("/register", r#"{"email": "a@b.c"}"#, json!([missing("password")])),
        ("/register", r#"{"password": "SECRET"}"#, json!([missing("email")])),
        ("/register", "{}", json!([missing("email"), missing("password")])),
        ("/register", r#"{"email": null, "password": ["SECRET"]}"#, json!([no_text("email"), no_text("password")])),
        ("/register", r#"{"email": "a", "password": "SECRET", "password": "SECRET"}"#, json!([twice("password")])),
        ("/register", r#"["SECRET"]"#, no_object()),
        ("/register", "null", no_object()),
        ("/register", "", whole("missing", "Field required")),
        ("/register", "SECRET", no_json(0, "Expecting value")),
        ("/register", r#"{"password": "#, no_json(13, "Expecting value")),
        ("/refresh", "{}", json!([missing("refresh_token")])),
        ("/refresh", r#"{"refresh_token": 7}"#, json!([no_text("refresh_token")])),
        ("/refresh", "", whole("missing", "Field required")),
    ];
    for (path, body, expected) in table {
        let answer = Ask::json(path, secret(body)).send(address);
        assert_eq!((answer.status, answer.detail()), (422, expected), "{path} {body}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let body = secret(r#"{"email": "a@b.c", "password": "SECRET"}"#);
        let answer = Ask::post("/register").header("content-type", content_type).body(body).send(address);
        assert_eq!((answer.status, answer.detail()), (422, no_object()), "{content_type}");
    }
}

#[test]
fn each_mistake_in_a_form_is_a_422_that_names_it() {
    let (_program, address) = Program::dev(&[]);
    let urlencoded = "application/x-www-form-urlencoded";
    let multipart = "multipart/form-data; boundary=X";
    let file = "--X\r\nContent-Disposition: form-data; name=\"username\"; filename=\"a\"\r\n\r\nhunter2\r\n\
                --X\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n--X--\r\n";
    let both = json!([missing("username"), missing("password")]);
    let table = [
        (urlencoded, "", both.clone()),
        (urlencoded, "username=a", json!([missing("password")])),
        (urlencoded, "password=hunter2", json!([missing("username")])),
        (urlencoded, "username=a&password=", json!([missing("password")])),
        (urlencoded, "username=a&password=hunter2&password=hunter2", json!([twice("password")])),
        ("application/json", r#"{"username": "a", "password": "hunter2"}"#, both),
        (multipart, file, json!([no_text("username")])),
    ];
    for (content_type, body, expected) in table {
        let answer = Ask::post("/login").header("content-type", content_type).body(body).send(address);
        assert_eq!((answer.status, answer.detail()), (422, expected), "{content_type} {body}");
        assert!(!answer.body.contains("hunter2"), "{}", answer.body);
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn bodies_fields_and_nesting_are_bounded() {
    let (_program, address) = Program::dev(&[]);
    let large = format!(r#"{{"email": "a@b.c", "password": "{}"}}"#, "p".repeat(64 * 1024));
    let answer = Ask::json("/register", large).send(address);
    assert_eq!((answer.status, answer.detail()), (413, "Request body too large".into()));
    let answer = Ask::login("a", &"p".repeat(64 * 1024)).send(address);
    assert_eq!((answer.status, answer.detail()), (413, "Request body too large".into()));

    let crowd = format!("{{{}\"z\": 1}}", r#""a": 1, "#.repeat(70));
    let deep = format!(r#"{{"email": {}"#, "[".repeat(1000));
    let long = format!(r#"{{"email": "{}", "password": "p"}}"#, "e".repeat(5000));
    for (body, kind) in [(crowd, "too_long"), (deep, "json_invalid"), (long, "string_too_long")] {
        let answer = Ask::json("/register", body.clone()).send(address);
        assert_eq!((answer.status, &answer.detail()[0]["type"]), (422, &json!(kind)), "{body:.60}");
    }
    let answer = Ask::json("/register", b"{\"email\": \"\xff\"}".to_vec()).send(address);
    assert_eq!((answer.status, answer.detail()), (400, "There was an error parsing the body".into()));
}

#[test]
fn a_client_that_wants_problem_json_gets_it() {
    let (_program, address) = Program::dev(&[]);
    let answer = Ask::json("/register", "{}").header("accept", "application/problem+json").send(address);
    assert_eq!((answer.status, answer.header("content-type")), (422, Some("application/problem+json")));
    let body = answer.json();
    assert_eq!((&body["status"], &body["errors"]), (&json!(422), &json!([missing("email"), missing("password")])));
}

#[test]
fn unknown_paths_methods_and_credentials_have_the_seeds_words() {
    let (_program, address) = Program::dev(&[]);
    let unknown = format!("session_id={}", "A".repeat(43));
    for (ask, status, detail) in [
        (Ask::get("/nowhere"), 404, "Not Found"),
        (Ask::get("/login"), 405, "Method Not Allowed"),
        (Ask::new("DELETE", "/protected"), 405, "Method Not Allowed"),
        (Ask::get("/protected"), 401, "Not authenticated"),
        (Ask::get("/protected-auto"), 401, "No session cookie found. Please login first."),
        (Ask::get("/protected-auto").cookie(&unknown), 401, "Invalid session. Please login again."),
        (Ask::get("/session").cookie("session_id=junk"), 401, "Invalid session. Please login again."),
    ] {
        let answer = ask.send(address);
        assert_eq!((answer.status, answer.detail()), (status, detail.into()), "{ask:?}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{ask:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{ask:?}");
    }
    let answer = Ask::post("/logout").send(address);
    assert_eq!((answer.status, answer.json()), (200, json!({ "message": "Logged out successfully" })));

    let refused = Ask::login("nobody@example.com", SECRET).send(address);
    assert_eq!((refused.status, refused.detail()), (401, json!({ "detail": "Invalid credentials" })));
    let head = Ask::new("HEAD", "/docs").send(address);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}
