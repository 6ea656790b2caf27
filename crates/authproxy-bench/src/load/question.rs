//! What is asked, and which answer to it is right.

use std::sync::Arc;

use super::outcome::Failure;
use crate::{auth, upstream};

/// A request as it is written, and what its answer must be.
#[derive(Clone)]
pub(crate) struct Question {
    pub(super) bytes: Arc<[u8]>,
    right: Right,
}

/// The errand of a load's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// The user's page of 1 KiB from the API behind the proxy.
    Page,
    /// The user's page of 1 MiB.
    LargePage,
    /// The user's page of 1 MiB is sent to the API, which compares it and answers with the small one.
    Upload,
    /// A gateway's question whether a request may pass: the right answer carries the user's token.
    Verify,
    /// The same question to a server that looks up nothing: 204.
    Nothing,
    /// The auth service's protected resource, by the seed's `/protected-auto`.
    Protected,
}

#[derive(Clone)]
enum Right {
    /// 2xx with this body, byte by byte.
    Body(Arc<[u8]>),
    /// 2xx without a body.
    Empty,
    /// 2xx with the user's token in `Authorization`.
    Token(String),
    /// 200 with a cookie, and the user's token in the body.
    Login(String),
    /// 200 with a cookie, and no token in the body.
    PagesLogin,
}

/// The head of an answer, as far as it is judged.
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) length: Option<usize>,
    pub(super) authorization: Option<&'a [u8]>,
    pub(super) cookie: Option<&'a [u8]>,
}

impl Question {
    /// A user's question, with a cookie as browsers send it.
    pub(crate) fn new(errand: Errand, user: u32, cookie: &str) -> Self {
        let (method, target, right) = match errand {
            Errand::Page => ("GET", upstream::target(user), Right::Body(upstream::page(user))),
            Errand::LargePage => ("GET", upstream::large_target(user), Right::Body(upstream::large_page(user))),
            Errand::Upload => ("POST", upstream::upload_target(user), Right::Body(upstream::page(user))),
            Errand::Verify => ("GET", "/auth/verify".into(), Right::Token(format!("Bearer {user:07}."))),
            Errand::Nothing => ("GET", "/auth/verify".into(), Right::Empty),
            Errand::Protected => ("GET", "/protected-auto".into(), Right::Body(auth::protected(user))),
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: authproxy-bench\r\nAccept: */*\r\n\
             Cookie: {cookie}\r\n"
        );
        let bytes = match errand {
            Errand::Upload => {
                let body = upstream::large_page(user);
                // As from one of the proxy's own pages.
                let rest = format!("Sec-Fetch-Site: same-origin\r\nContent-Length: {}\r\n\r\n", body.len());
                [head.as_bytes(), rest.as_bytes(), &body].concat()
            }
            _ => [head.as_bytes(), b"\r\n"].concat(),
        };
        Self { bytes: bytes.into(), right }
    }

    /// A user's login by a program, which gets the tokens.
    pub(crate) fn login(user: u32) -> Self {
        Self { bytes: login(user, ""), right: Right::Login(format!(r#""access_token":"{user:07}."#)) }
    }

    /// A user's login by a page, which gets the cookie only.
    pub(crate) fn pages_login(user: u32) -> Self {
        Self { bytes: login(user, "Sec-Fetch-Site: same-origin\r\n"), right: Right::PagesLogin }
    }

    /// A logout of the session that the cookie names.
    pub(crate) fn logout(cookie: &str) -> Self {
        let request =
            format!("POST /logout HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n");
        let body = br#"{"message":"Logged out successfully"}"#;
        Self { bytes: request.into_bytes().into(), right: Right::Body(body.as_slice().into()) }
    }

    /// Judges a head before its body has come; how long the body is.
    pub(super) fn judge_head(&self, head: &Head<'_>) -> Result<usize, Failure> {
        if !(200..300).contains(&head.status) {
            return Err(Failure::Status(head.status));
        }
        let length = if head.status == 204 { Some(0) } else { head.length };
        let length = length.ok_or(Failure::WrongBody)?;
        let is_right = match &self.right {
            Right::Body(body) => length == body.len(),
            Right::Empty => length == 0,
            Right::Token(token) => head.authorization.is_some_and(|value| value.starts_with(token.as_bytes())),
            Right::Login(_) | Right::PagesLogin => head.cookie.is_some(),
        };
        if is_right { Ok(length) } else { Err(Failure::WrongBody) }
    }

    /// Whether a whole body is right.
    pub(super) fn is_right_body(&self, body: &[u8]) -> bool {
        match &self.right {
            Right::Body(right) => body == &**right,
            Right::Empty | Right::Token(_) => true,
            Right::Login(token) => memmem(body, token.as_bytes()),
            Right::PagesLogin => !memmem(body, b"_token"),
        }
    }
}

fn login(user: u32, fields: &str) -> Arc<[u8]> {
    let form = format!("username={user:07}&password=password123");
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n{fields}\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    request.into_bytes().into()
}

fn memmem(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head<'_> = Head { status: 200, length: Some(0), authorization: None, cookie: None };

    #[test]
    fn a_check_is_right_with_the_users_own_token_only() {
        let question = Question::new(Errand::Verify, 7, "session_id=x");
        let with = |value: &'static [u8]| question.judge_head(&Head { authorization: Some(value), ..HEAD });
        assert_eq!(with(b"Bearer 0000007.1."), Ok(0));
        assert_eq!(with(b"Bearer 0000008.1."), Err(Failure::WrongBody));
        assert_eq!(question.judge_head(&HEAD), Err(Failure::WrongBody));
    }

    #[test]
    fn a_login_is_right_with_a_cookie_and_the_users_token() {
        let question = Question::login(7);
        assert_eq!(question.judge_head(&HEAD), Err(Failure::WrongBody));
        assert_eq!(question.judge_head(&Head { cookie: Some(b"session_id=x"), ..HEAD }), Ok(0));
        assert!(question.is_right_body(br#"{"access_token":"0000007.1.xxx"}"#));
        assert!(!question.is_right_body(br#"{"access_token":"0000008.1.xxx"}"#));
        let question = Question::pages_login(7);
        assert!(question.is_right_body(br#"{"token_type":"bearer","expires_in":3600}"#));
        assert!(!question.is_right_body(br#"{"access_token":"0000007.1.xxx"}"#));
    }

    #[test]
    fn a_204_has_no_body_and_needs_no_length() {
        let question = Question::new(Errand::Nothing, 7, "session_id=x");
        assert_eq!(question.judge_head(&Head { status: 204, length: None, ..HEAD }), Ok(0));
        assert_eq!(question.judge_head(&Head { length: Some(1), ..HEAD }), Err(Failure::WrongBody));
        assert_eq!(question.judge_head(&Head { status: 403, ..HEAD }), Err(Failure::Status(403)));
    }
}
