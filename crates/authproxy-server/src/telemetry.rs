//! What a request leaves in the log: one line, values as fields, no secret, nothing that a peer wrote unescaped.

use std::{cell::RefCell, error::Error, fmt, fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use tracing::Level;

/// The name of the header that carries a request's id, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The name of the header that carries a trace (W3C Trace Context, section 3.2).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The most characters that a request id, or one logged value, may have.
const ID_LIMIT: usize = 64;
const VALUE_LIMIT: usize = 512;

/// What ties a request's log lines together: the peer's own id when it is harmless, else 128 random bits.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes over `X-Request-Id`, or draws one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(X_REQUEST_ID).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if is_harmless(id.as_bytes()) => Self(id.clone()),
            _ => Self::random(),
        }
    }

    fn random() -> Self {
        let mut text = [0; 32];
        hex(&random(), &mut text);
        Self(HeaderValue::from_bytes(&text).expect("hexadecimal digits are visible ASCII"))
    }

    /// The value for the answer's header.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("checked when it was made")
    }
}

/// Whether a trace is to be taken over.
pub(crate) fn has_trace(headers: &HeaderMap) -> bool {
    let mut traces = headers.get_all(TRACEPARENT).iter();
    traces.next().is_some_and(is_traceparent) && traces.next().is_none()
}

/// W3C Trace Context, section 3.2.2, version 00.
fn is_traceparent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    bytes.len() == 55
        && bytes.starts_with(b"00-")
        && (bytes[35], bytes[52]) == (b'-', b'-')
        && hex(&bytes[3..35])
        && hex(&bytes[36..52])
        && hex(&bytes[53..])
        && !zero(&bytes[3..35])
        && !zero(&bytes[36..52])
}

/// The beginning of a trace for a request that has none (W3C Trace Context, section 3.2): not sampled.
pub(crate) fn traceparent() -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let (mut trace, mut parent) = (random(), random());
    trace[15] |= 1; // neither may be zero
    parent[7] |= 1;
    hex(&trace, &mut text[3..35]);
    hex(&parent[..8], &mut text[36..52]);
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are visible ASCII")
}

/// Random bytes for what tells requests apart. Drawn a page at a time: a system call each would be felt.
fn random() -> [u8; 16] {
    thread_local! {
        static DRAWN: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
    }
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.is_empty() {
            let mut bytes = [0; 4096];
            getrandom::fill(&mut bytes).expect("the operating system gives randomness");
            drawn.extend(bytes.as_chunks::<16>().0);
        }
        drawn.pop().expect("filled above")
    })
}

fn hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn is_harmless(id: &[u8]) -> bool {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=ID_LIMIT).contains(&id.len()) && id.iter().all(harmless)
}

/// How loud a problem is, and what was underneath. Travels in the answer's extensions to the one place that logs.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    level: Level,
    cause: Option<String>,
}

impl Verdict {
    /// A verdict with the whole chain of causes, escaped and cut.
    pub(crate) fn new(level: Level, cause: Option<&(dyn Error + 'static)>) -> Self {
        Self { level, cause: cause.map(|cause| chain(cause).to_string()) }
    }
}

/// Everything that the line about a request says.
pub(crate) struct Answered<'a> {
    pub(crate) id: &'a RequestId,
    pub(crate) method: &'a Method,
    pub(crate) route: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) began: Instant,
    pub(crate) verdict: Option<Verdict>,
}

impl Answered<'_> {
    /// Writes the line.
    pub(crate) fn log(&self) {
        let level = self.verdict.as_ref().map_or(Level::INFO, |verdict| verdict.level);
        let cause = self.verdict.as_ref().and_then(|verdict| verdict.cause.as_deref());
        // A level must be known where the line is compiled. The clock is read only when the line is written.
        match level {
            Level::ERROR => tracing::error!(
                request_id = self.id.as_str(),
                method = method_name(self.method),
                route = self.route,
                status = self.status.as_u16(),
                duration_ms = millis(self.began.elapsed()),
                cause,
                "request failed"
            ),
            Level::WARN => tracing::warn!(
                request_id = self.id.as_str(),
                method = method_name(self.method),
                route = self.route,
                status = self.status.as_u16(),
                duration_ms = millis(self.began.elapsed()),
                cause,
                "request failed"
            ),
            _ => tracing::info!(
                request_id = self.id.as_str(),
                method = method_name(self.method),
                route = self.route,
                status = self.status.as_u16(),
                duration_ms = millis(self.began.elapsed()),
                cause,
                "request answered"
            ),
        }
    }
}

/// The method where it is one that HTTP defines; a peer may write anything else, of any length.
fn method_name(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    if known.contains(method) { method.as_str() } else { "other" }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// An error with its causes on one line.
pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl fmt::Display + 'a {
    fmt::from_fn(move |f| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        write!(f, "{}", Escaped(&text))
    })
}

/// Text that somebody else wrote, fit for a log: control characters escaped, and cut.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(VALUE_LIMIT) {
            // Besides control characters: the separators and directions that make a line look like another one.
            let hides =
                matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if character.is_control() || hides {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
        }
        if characters.next().is_some() { f.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_request_id_is_kept_and_another_replaced() {
        let of = |ids: &[&str]| {
            let mut headers = HeaderMap::new();
            for id in ids {
                headers.append(X_REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).expect("a header value"));
            }
            RequestId::of(&headers).as_str().to_owned()
        };
        assert_eq!(of(&["req-1_a.B"]), "req-1_a.B");
        let long = "a".repeat(65);
        for replaced in [&[] as &[&str], &[""], &["a b"], &["a\"b"], &["\u{e9}"], &[&long], &["a", "a"]] {
            let id = of(replaced);
            assert_eq!(id.len(), 32, "{replaced:?}");
            assert!(!replaced.contains(&id.as_str()));
        }
        assert_ne!(of(&[]), of(&[]));
    }

    #[test]
    fn a_trace_is_taken_over_only_when_it_is_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(&HeaderValue::from_static(good)));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is_traceparent(&HeaderValue::from_str(bad).expect("a header value")), "{bad}");
        }
        assert!(is_traceparent(&traceparent()));
    }

    #[test]
    fn foreign_text_is_one_line_and_cut() {
        assert_eq!(Escaped("a\r\nb\x1b[31m\u{202e}c\u{9b}").to_string(), r"a\u{d}\u{a}b\u{1b}[31m\u{202e}c\u{9b}");
        let long = Escaped(&"x".repeat(1_000_000)).to_string();
        assert_eq!(long.len(), VALUE_LIMIT + 3);
        assert_eq!(Escaped(&"x".repeat(VALUE_LIMIT)).to_string().len(), VALUE_LIMIT);
    }

    #[test]
    fn an_unknown_method_is_not_copied_into_the_log() {
        assert_eq!(method_name(&Method::GET), "GET");
        assert_eq!(method_name(&Method::from_bytes(b"FORGED").expect("a token")), "other");
    }
}
