//! What things are called in Redis. Every name is one-way: none yields a session id, a token or a user.

use std::fmt::Write;

use crate::session::SessionKey;

/// Partitions of the sessions. In a Cluster each is one hash slot, with a channel of its own for invalidations.
#[allow(dead_code, reason = "whoever listens for invalidations subscribes to all of them")]
pub(super) const PARTITIONS: u16 = 1024;

/// The channel for invalidations where there is no Cluster.
pub(super) const CHANNEL: &str = "ap:invalidations";

/// A session's record: `ap:{3ff}:<32 hexadecimal digits>`, its partition in braces.
pub(super) fn record(key: &SessionKey) -> String {
    format!("ap:{{{:03x}}}:{}", partition(key), hex(&key.name()))
}

/// The channel of a partition in a Cluster; in the same slot as the partition's records.
pub(super) fn partition_channel(partition: u16) -> String {
    format!("ap:{{{partition:03x}}}")
}

/// The partition whose channel has this name.
pub(super) fn partition_named(channel: &[u8]) -> Option<u16> {
    let digits = channel.strip_prefix(b"ap:{")?.strip_suffix(b"}")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().filter(|partition| *partition < PARTITIONS)
}

/// The partition of a session.
pub(super) fn partition(key: &SessionKey) -> u16 {
    partition_of(&key.name())
}

/// The partition of a session by its name.
pub(super) fn partition_of(name: &[u8; 16]) -> u16 {
    u16::from_be_bytes([name[0], name[1]]) >> 6
}

/// What points from a handed-out refresh token to its session, by the token's fingerprint.
pub(super) fn handed_out(fingerprint: &[u8]) -> String {
    format!("ap:h:{}", hex(fingerprint))
}

/// A user's index, by the user's keyed hash.
pub(super) fn user(hash: &[u8]) -> String {
    format!("ap:u:{}", hex(hash))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_name_shows_its_partition_and_nothing_of_its_secret_half() {
        let key = SessionKey::from_bytes(std::array::from_fn(|at| u8::try_from(at).expect("32 places") | 0xc0));
        assert_eq!(record(&key), "ap:{303}:c0c1c2c3c4c5c6c7c8c9cacbcccdcecf");
        assert_eq!((partition(&key), partition_channel(partition(&key))), (0x303, "ap:{303}".into()));
        assert!(partition(&SessionKey::from_bytes([0xff; 32])) < PARTITIONS);
        assert_eq!(partition_named(b"ap:{303}"), Some(0x303));
        for other in ["ap:{400}", "ap:{}", "ap:{xyz}", "303", "ap:invalidations"] {
            assert_eq!(partition_named(other.as_bytes()), None, "{other}");
        }
    }
}
