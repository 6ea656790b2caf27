//! Durations as they are written: `500ms`, `2m`, `12h`, `1h30m`.
//!
//! Whole numbers with a unit, from the largest unit to the smallest, each at most once. No bare numbers: `120` could be
//! seconds or milliseconds, and a wrong guess would log users out.

use std::{fmt::Write as _, time::Duration};

/// Every unit, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration.
///
/// # Errors
///
/// What is wrong with `text`, as the end of a sentence that begins with it.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    let (mut rest, mut total, mut allowed_units) = (text, 0_u64, &UNITS[..]);
    if rest.is_empty() {
        return Err("is empty");
    }
    while !rest.is_empty() {
        let digits;
        (digits, rest) = split_where(rest, |c| !c.is_ascii_digit());
        let unit;
        (unit, rest) = split_where(rest, |c| !c.is_ascii_alphabetic());
        let number: u64 = match digits {
            "" => return Err("is not a duration"),
            digits => digits.parse().map_err(|_| "is too long")?,
        };
        if unit.is_empty() {
            return Err(if rest.is_empty() { "has a number without a unit" } else { "is not a duration" });
        }
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err("has an unknown unit");
        }
        let Some(place) = allowed_units.iter().position(|(name, _)| *name == unit) else {
            return Err("has its units out of order");
        };
        total =
            number.checked_mul(allowed_units[place].1).and_then(|part| total.checked_add(part)).ok_or("is too long")?;
        allowed_units = &allowed_units[place + 1..];
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration so that [`parse`] reads it back; what is finer than a millisecond is cut off.
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (name, size) in UNITS {
        if rest >= size {
            let _ = write!(text, "{}{name}", rest / size); // a String takes every write
            rest %= size;
        }
    }
    text
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_numbers_with_units_from_large_to_small() {
        for (text, millis) in [
            ("500ms", 500),
            ("0s", 0),
            ("2m", 120_000),
            ("12h", 43_200_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("90m", 5_400_000),
            ("007s", 7_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "is empty"),
            ("120", "has a number without a unit"),
            ("1h30", "has a number without a unit"),
            ("m", "is not a duration"),
            ("-2m", "is not a duration"),
            ("1.5h", "is not a duration"),
            ("2 m", "is not a duration"),
            ("2m ", "is not a duration"),
            ("2min", "has an unknown unit"),
            ("2M", "has an unknown unit"),
            ("30m1h", "has its units out of order"),
            ("1m1m", "has its units out of order"),
            ("99999999999999999999s", "is too long"),
            ("18446744073709551615d", "is too long"),
            ("18446744073709551615ms18446744073709551615ms", "has its units out of order"),
            ("٣s", "is not a duration"),
        ] {
            assert_eq!(parse(text), Err(reason), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in any::<u64>()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}|[0-9dhms]{0,24}") {
            if let Ok(duration) = parse(&text) {
                prop_assert_eq!(parse(&format(duration)), Ok(duration));
            }
        }
    }
}
