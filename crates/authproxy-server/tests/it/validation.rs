//! Each mistake in a request's body, over the wire. The finer cases are in `validate.rs`' own tests.

use serde_json::{Value, json};

use crate::harness::{Ask, Proxy};

fn missing(field: &str) -> Value {
    json!({ "type": "missing", "loc": ["body", field], "msg": "Field required" })
}

#[tokio::test]
async fn each_mistake_is_answered_as_the_seed_does_and_nothing_is_forwarded() {
    let proxy = Proxy::start().await;
    let no_object = json!([{
        "type": "model_attributes_type", "loc": ["body"],
        "msg": "Input should be a valid dictionary or object to extract fields from",
    }]);
    let empty = json!([{ "type": "missing", "loc": ["body"], "msg": "Field required" }]);
    let no_text = |field: &str| json!([{ "type": "string_type", "loc": ["body", field], "msg": "Input should be a valid string" }]);
    let broken = json!([{
        "type": "json_invalid", "loc": ["body", 10], "msg": "JSON decode error", "ctx": { "error": "Expecting value" },
    }]);
    let twice =
        |field: &str| json!([{ "type": "duplicate", "loc": ["body", field], "msg": "Field must be given only once" }]);
    let form = |body: &str| Ask::post("/login").header("content-type", "application/x-www-form-urlencoded").body(body);
    let text = |path: &str, body: &str| Ask::post(path).header("content-type", "text/plain").body(body);
    let table = [
        (Ask::json("/register", "{}"), json!([missing("email"), missing("password")])),
        (Ask::json("/register", r#"{"email": "secret@example.com"}"#), json!([missing("password")])),
        (Ask::json("/register", r#"{"email": "a", "password": 123456}"#), no_text("password")),
        (Ask::json("/register", r#"{"email": "#), broken.clone()),
        (Ask::json("/register", "[\"secret\"]"), no_object.clone()),
        (Ask::json("/register", ""), empty.clone()),
        (Ask::post("/register"), empty.clone()),
        (text("/register", r#"{"email": "a", "password": "secret"}"#), no_object.clone()),
        (Ask::json("/register", r#"{"email": "a", "password": "secret", "password": "b"}"#), twice("password")),
        (Ask::json("/refresh", "{}"), json!([missing("refresh_token")])),
        (Ask::json("/refresh", r#"{"refresh_token": null}"#), no_text("refresh_token")),
        (Ask::json("/refresh", "null"), no_object.clone()),
        (Ask::json("/refresh", ""), empty),
        (text("/refresh", r#"{"refresh_token": "secret"}"#), no_object),
        (form(""), json!([missing("username"), missing("password")])),
        (form("username=secret"), json!([missing("password")])),
        (form("username=&password=secret"), json!([missing("username")])),
        (form("username=a&password=secret&password=b"), twice("password")),
        (
            Ask::json("/login", r#"{"username": "a", "password": "secret"}"#),
            json!([missing("username"), missing("password")]),
        ),
        (Ask::post("/login"), json!([missing("username"), missing("password")])),
    ];
    for (request, expected) in table {
        let answer = proxy.ask(&request).await;
        let sent = String::from_utf8_lossy(&request.bytes()).into_owned();
        assert_eq!((answer.status, answer.detail()), (422, expected), "{sent}");
        assert!(!answer.body.contains("secret"), "the input is not echoed: {sent}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert!(!proxy.service.received_anything());
}

#[tokio::test]
async fn problem_json_holds_the_mistakes_beside_the_detail() {
    let proxy = Proxy::start().await;
    let request = Ask::json("/register", r#"{"email": "a"}"#).header("accept", "application/problem+json");
    let answer = proxy.ask(&request).await;
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        answer.json(),
        json!({
            "type": "about:blank", "title": "Unprocessable Entity", "status": 422,
            "detail": "The request is not valid", "errors": [missing("password")],
        })
    );
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_400_and_the_connection_goes() {
    let proxy = Proxy::start().await;
    for (content_type, body) in [("multipart/form-data", "a"), ("multipart/form-data; boundary=X", "no boundary")] {
        let mut connection = proxy.connect().await;
        let answer = connection.ask(&Ask::post("/login").header("content-type", content_type).body(body)).await;
        assert_eq!((answer.status, answer.detail()), (400, "There was an error parsing the body".into()));
        connection.assert_closed().await;
    }
}

#[tokio::test]
async fn a_login_by_multipart_works() {
    let proxy = Proxy::start().await;
    let part =
        |name: &str, value: &str| format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body = part("username", "a@example.com") + &part("password", "password123") + "--X--\r\n";
    let request = Ask::post("/login").header("content-type", "multipart/form-data; boundary=X").body(&body);
    assert_eq!(proxy.ask(&request).await.status, 200);
    let received = proxy.service.received("/login").pop().unwrap();
    assert_eq!(received.headers["content-type"], "application/x-www-form-urlencoded");
    assert!(received.body.contains("username=a%40example.com"));
}
