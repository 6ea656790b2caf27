//! Lifetimes as services send them, sensible and not. The table stands in `HttpBackend`'s documentation.
//!
//! Where no lifetime was sent, a JWT's `exp` (RFC 7519, section 4.1.4) is taken as a hint, unverified.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Number, Value};
use zeroize::Zeroizing;

use crate::clock::Timestamp;

const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);

/// When a token expires that was asked for at `now`.
pub(super) fn expiry(sent: Option<&Value>, token: &str, now: Timestamp) -> Option<Timestamp> {
    match sent.and_then(seconds) {
        Some(lifetime) => Some(now.plus(lifetime)),
        None => jwt_expiry(token).map(|expires_at| expires_at.min(now.plus(TEN_YEARS))),
    }
}

/// A lifetime in whole seconds.
pub(super) fn seconds(sent: &Value) -> Option<Duration> {
    let number = match sent {
        Value::Number(number) => number.clone(),
        Value::String(text) => serde_json::from_str::<Number>(text).ok()?,
        _ => return None,
    };
    let seconds = number.as_f64()?.max(0.0).floor();
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(TEN_YEARS).min(TEN_YEARS))
}

fn jwt_expiry(token: &str) -> Option<Timestamp> {
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
    let seconds = claims.get("exp")?.as_f64()?.max(0.0).floor();
    Some(Timestamp::from_millis(0).plus(Duration::try_from_secs_f64(seconds).ok()?))
}
