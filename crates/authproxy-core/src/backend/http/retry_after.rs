//! `Retry-After` (RFC 9110, section 10.2.3).

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, header};

use crate::clock::Timestamp;

/// No answer keeps us away for longer: a peer's mistyped number must not end all refreshes.
const LONGEST: Duration = Duration::from_hours(1);

/// For how long the answer asks to be left alone, at most an hour: in seconds or up to a date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Timestamp::from_millis(0).plus(date).since(now)
    };
    Some(asked.min(LONGEST))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_retry_after_has_a_defined_result() {
        let now = Timestamp::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let rows = [
            ("120", Some(120)),
            ("0", Some(0)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (value, expected) in rows {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "Retry-After: {value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
