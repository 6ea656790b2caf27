//! [`Packed`]: a refresh token at rest. What of it is base64url, nearly all of a JWT (RFC 7515, section 3.1) and of most
//! other tokens, takes three quarters of its length: a tenth of all that a session takes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::token::RefreshToken;

/// What stands between two parts of a token.
const BETWEEN: char = '.';

/// What precedes each part: how long it is and, in the lowest bit, whether it was left as it is.
type Front = [u8; 4];

/// A refresh token as the memory store keeps it. Wiped when it is dropped.
pub(super) struct Packed(Zeroizing<Box<[u8]>>);

impl Packed {
    pub(super) fn new(token: &RefreshToken) -> Self {
        let parts = token.expose_secret().split(BETWEEN);
        // With room for all of it, so that nothing is left behind unwiped.
        let room = parts.clone().map(|part| size_of::<Front>() + part.len() + 3).sum();
        let mut packed = Zeroizing::new(Vec::with_capacity(room));
        for part in parts {
            let front = packed.len();
            packed.extend_from_slice(&Front::default());
            let begin = packed.len();
            // Strict: no two texts decode to the same bytes.
            let is_text = URL_SAFE_NO_PAD.decode_vec(part, &mut packed).is_err();
            if is_text {
                packed.truncate(begin);
                packed.extend_from_slice(part.as_bytes());
            }
            let length = u32::try_from(packed.len() - begin).expect("no token has gigabytes");
            packed[front..begin].copy_from_slice(&(length << 1 | u32::from(is_text)).to_le_bytes());
        }
        Self(Zeroizing::new(packed.as_slice().into()))
    }

    /// The token, as it was before.
    pub(super) fn unpack(&self) -> RefreshToken {
        let mut text = Zeroizing::new(String::with_capacity(2 * self.0.len()));
        let mut left: &[u8] = &self.0;
        while let Some((front, rest)) = left.split_first_chunk() {
            let front = u32::from_le_bytes(*front);
            let (part, rest) = rest.split_at((front >> 1) as usize);
            match front & 1 {
                0 => URL_SAFE_NO_PAD.encode_string(part, &mut text),
                _ => text.push_str(std::str::from_utf8(part).expect("a token is ASCII")),
            }
            if !rest.is_empty() {
                text.push(BETWEEN);
            }
            left = rest;
        }
        RefreshToken::new(&text).expect("it was one")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many bytes a token takes, which comes back as it was.
    fn packed(text: &str) -> usize {
        let packed = Packed::new(&RefreshToken::new(text).unwrap());
        assert_eq!(packed.unpack().expose_secret(), text);
        packed.0.len()
    }

    #[test]
    fn a_jwt_takes_three_quarters_of_its_length() {
        let jwt = [60, 640, 86].map(|length| "x_-9".repeat(length / 4) + &"AQ"[..length % 4]).join(".");
        assert_eq!((jwt.len(), packed(&jwt)), (788, 3 * 4 + 45 + 480 + 64));
    }

    #[test]
    fn only_what_base64url_would_not_write_so_is_left_as_it_is() {
        for (text, bytes) in [("AAAA", 3), ("AA", 1), ("_-8", 2), ("a", 1), ("AB", 2), ("AA==", 4), ("a+b/", 4)] {
            assert_eq!(packed(text), 4 + bytes, "{text}");
        }
        assert_eq!(packed("v1.AAAAAAAA"), (4 + 2) + (4 + 6));
        assert_eq!(packed("..AA."), 4 + 4 + (4 + 1) + 4);
    }

    proptest! {
        #[test]
        fn every_token_comes_back_as_it_was(any in "[!-~]([ -~]{0,200}[!-~])?", parts in "[A-Za-z0-9_.-]{1,200}") {
            packed(&any);
            packed(&parts);
        }
    }
}
