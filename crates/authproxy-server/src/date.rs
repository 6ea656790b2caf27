//! When an answer was made (RFC 9110, section 6.6.1).

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use authproxy_core::clock::Timestamp;
use http::{HeaderMap, HeaderValue, header::DATE};

thread_local! {
    /// The date of this thread's last answer, and its second: most answers are made in the same one.
    static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// Says when an answer was made, unless its upstream has.
pub(crate) fn say(answer: &mut HeaderMap, now: impl FnOnce() -> Timestamp) {
    answer.entry(DATE).or_insert_with(|| date(now()));
}

fn date(now: Timestamp) -> HeaderValue {
    let second = now.as_millis() / 1000;
    LAST.with_borrow_mut(|last| match last {
        Some((made_in, date)) if *made_in == second => date.clone(),
        _ => {
            // What lies beyond the year 9999 has no such date.
            let second = second.min(253_402_300_799);
            let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            let date = HeaderValue::try_from(text).expect("a date is visible ASCII");
            last.insert((second, date)).1.clone()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_date_of_its_second_and_an_upstreams_stays() {
        for (millis, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1_795_703_999_999, "Thu, 26 Nov 2026 14:39:59 GMT"),
            (1_795_703_999_000, "Thu, 26 Nov 2026 14:39:59 GMT"),
            (1_795_704_000_000, "Thu, 26 Nov 2026 14:40:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let mut answer = HeaderMap::new();
            say(&mut answer, || Timestamp::from_millis(millis));
            assert_eq!(answer[DATE], expected);
            say(&mut answer, || unreachable!("it is said already"));
            assert_eq!(answer.len(), 1);
        }
    }
}
