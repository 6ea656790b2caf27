//! Lifetimes as services send them, sensible and not.
//!
//! | sent | understood as |
//! |---|---|
//! | `120`, `"120"` | 120 seconds |
//! | `120.9`, `1e3` | whole seconds: 120, 1000 |
//! | `0`, negative | expired on arrival |
//! | more than ten years, `1e300` | ten years |
//! | absent, `null`, text, NaN, an object | not sent |
//!
//! Where no lifetime was sent, a JWT's `exp` (RFC 7519, section 4.1.4) is taken as a hint, unverified.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use crate::clock::Timestamp;

const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);

/// When a token expires that was received at `now`.
pub(super) fn expiry(sent: Option<&Value>, token: &str, now: Timestamp) -> Option<Timestamp> {
    let latest = now.plus(TEN_YEARS);
    match sent.and_then(seconds) {
        Some(lifetime) => Some(now.plus(lifetime)),
        None => jwt_expiry(token).map(|expires_at| expires_at.min(latest)),
    }
}

/// A lifetime in whole seconds.
pub(super) fn seconds(sent: &Value) -> Option<Duration> {
    let seconds = match sent {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    if seconds.is_nan() {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.max(0.0).floor()).unwrap_or(TEN_YEARS).min(TEN_YEARS))
}

fn jwt_expiry(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: Option<f64>,
    }
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let seconds = Duration::try_from_secs_f64(claims.exp?.max(0.0).floor()).ok()?;
    Some(Timestamp::from_millis(0).plus(seconds))
}
