//! Sizes as they are written: `10MiB`, `512KiB`, `0`, or a bare number of bytes.
//!
//! Only the units that mean one thing (IEC 80000-13): a MB is a million bytes for some and 1,048,576 for others.

use std::ops::RangeInclusive;

use super::{mistake::Refusal, raw::Raw};

/// Every unit, largest first, in bytes.
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Reads a size in bytes, from a text or a number.
pub(super) fn read(raw: &Raw, range: &RangeInclusive<u64>) -> Result<u64, Refusal> {
    let text = raw.digits().or_else(|_| raw.text())?;
    let bytes = parse(text).map_err(|reason| Refusal::of(text, reason))?;
    if range.contains(&bytes) { Ok(bytes) } else { Err(Refusal::of(text, "is out of range")) }
}

/// What a size in this range may be.
pub(super) fn allowed(range: &RangeInclusive<u64>) -> String {
    format!("a size from {} to {}, written like 10MiB, 512KiB or 1000", format(*range.start()), format(*range.end()))
}

/// Writes a size so that it is read back, with the largest unit that it is a multiple of.
pub(super) fn format(bytes: u64) -> String {
    match UNITS.iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => bytes.to_string(),
    }
}

fn parse(text: &str) -> Result<u64, &'static str> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    if digits.is_empty() {
        return Err(if text.starts_with('-') { "is out of range" } else { "is not a size" });
    }
    let size = match unit {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size).ok_or("has an unknown unit")?,
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(size)).ok_or("is out of range")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_numbers_with_or_without_a_unit() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("1000", Ok(1000)),
            ("512KiB", Ok(524_288)),
            ("10MiB", Ok(10_485_760)),
            ("1GiB", Ok(1_073_741_824)),
            ("0MiB", Ok(0)),
            ("10MB", Err("has an unknown unit")),
            ("10mib", Err("has an unknown unit")),
            ("10 MiB", Err("has an unknown unit")),
            ("1.5GiB", Err("has an unknown unit")),
            ("MiB", Err("is not a size")),
            ("off", Err("is not a size")),
            ("unlimited", Err("is not a size")),
            ("-1", Err("is out of range")),
            ("17179869184GiB", Err("is out of range")),
            ("99999999999999999999", Err("is out of range")),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in any::<u64>(), shift in 0..64_u32) {
            prop_assert_eq!(parse(&format(bytes << shift)), Ok(bytes << shift));
        }
    }
}
