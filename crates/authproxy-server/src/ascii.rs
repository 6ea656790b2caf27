//! Bytes of names, targets and fields, looked at many at a time.

use std::iter;

/// The pieces between `separator`s, like `slice::split`.
pub(crate) fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    iter::from_fn(move || {
        let bytes = rest?;
        let end = memchr::memchr(separator, bytes);
        rest = end.map(|end| &bytes[end + 1..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

/// Whether every byte is printable and no space. Not cut short at the first bad one, so that many are looked at together.
pub(crate) fn is_visible(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & (0x21..=0x7e).contains(byte))
}

/// Which bytes are letters, digits or one of `marks`. To be looked up: every byte of every target is.
pub(crate) const fn alphanumeric_or(marks: &[u8]) -> [bool; 256] {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_those_of_the_standard_library(text in "[a;]{0,12}") {
            let ours: Vec<_> = split(text.as_bytes(), b';').collect();
            prop_assert_eq!(ours, text.as_bytes().split(|byte| *byte == b';').collect::<Vec<_>>());
        }
    }
}
