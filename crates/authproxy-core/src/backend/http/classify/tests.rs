//! Scenario 15 and the table of errors, row by row.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;

#[derive(Debug, PartialEq)]
enum Class {
    Tokens,
    Rejected,
    ClientRejected,
    NotProcessed,
    Ambiguous,
    Salvaged,
}

fn class(status: u16, body: &'static str, whole: bool) -> Class {
    let reply = Reply {
        status: StatusCode::from_u16(status).unwrap(),
        body: Bytes::from_static(body.as_bytes()),
        is_json: false,
        retry_after: None,
    };
    match refreshed(Answer { reply, whole }, Timestamp::from_secs(1)) {
        Ok(_) => Class::Tokens,
        Err(RefreshError::Rejected(_)) => Class::Rejected,
        Err(RefreshError::ClientRejected(_)) => Class::ClientRejected,
        Err(RefreshError::NotProcessed { .. }) => Class::NotProcessed,
        Err(RefreshError::Ambiguous { salvaged: Some(_), .. }) => Class::Salvaged,
        Err(RefreshError::Ambiguous { .. }) => Class::Ambiguous,
    }
}

#[test]
fn every_answer_has_its_class() {
    const TOKENS: &str = r#"{"access_token":"a","refresh_token":"r","expires_in":120}"#;
    const INVALID_GRANT: &str = r#"{"error":"invalid_grant"}"#;
    const SEED: &str = r#"{"detail":"Invalid refresh token"}"#;
    let rows = [
        (200, TOKENS, Class::Tokens),
        (201, TOKENS, Class::Tokens),
        (200, r#"{"access_token":"a","refresh_token":"r","expi"#, Class::Tokens),
        (200, r#"{"refresh_token":"r","expi"#, Class::Salvaged),
        (200, r#"{"refresh_token":"r","expires_in":120}"#, Class::Salvaged),
        (200, "<html>welcome</html>", Class::Ambiguous),
        (200, "[]", Class::Ambiguous),
        (200, "null", Class::Ambiguous),
        (200, "", Class::Ambiguous),
        (204, "", Class::Ambiguous),
        (200, r#"{"access_token":"a\r\nb"}"#, Class::Ambiguous),
        (400, INVALID_GRANT, Class::Rejected),
        (401, INVALID_GRANT, Class::Rejected),
        (401, SEED, Class::Rejected),
        (400, SEED, Class::ClientRejected),
        (401, r#"{"error":"invalid_client"}"#, Class::ClientRejected),
        (400, r#"{"error":"unauthorized_client"}"#, Class::ClientRejected),
        (400, r#"{"error":"invalid_request"}"#, Class::ClientRejected),
        (401, "<html>log in</html>", Class::ClientRejected),
        (401, "", Class::ClientRejected),
        (401, "[]", Class::ClientRejected),
        (403, INVALID_GRANT, Class::ClientRejected),
        (404, INVALID_GRANT, Class::ClientRejected),
        (405, "", Class::ClientRejected),
        (422, SEED, Class::ClientRejected),
        (302, TOKENS, Class::ClientRejected),
        (307, "", Class::ClientRejected),
        (429, INVALID_GRANT, Class::NotProcessed),
        (408, "", Class::Ambiguous),
        (425, "", Class::Ambiguous),
        (500, INVALID_GRANT, Class::Ambiguous),
        (502, "<html>", Class::Ambiguous),
        (503, SEED, Class::Ambiguous),
        (504, "", Class::Ambiguous),
    ];
    for (status, body, expected) in rows {
        assert_eq!(class(status, body, true), expected, "{status} {body}");
    }
}

#[test]
fn an_answer_that_was_cut_off_is_no_verdict() {
    assert_eq!(class(401, r#"{"detail":"Invalid refresh token"}"#, false), Class::Ambiguous);
    assert_eq!(class(400, r#"{"error":"invalid_grant"}"#, false), Class::Ambiguous);
    assert_eq!(class(200, r#"{"access_token":"a","refresh_token":"r","x"#, false), Class::Tokens);
    assert_eq!(class(200, r#"{"access_token":"a","refresh_t"#, false), Class::Ambiguous);
}
