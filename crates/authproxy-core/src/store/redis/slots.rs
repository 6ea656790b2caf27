//! Hash slots: which a key belongs to, and who serves them.

use std::collections::HashSet;

use redis::Value;

use super::url::Address;

/// Slots of a Redis Cluster.
const SLOTS: usize = 16384;

/// The slot of a key: of what stands between its first braces, where anything does.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16(hashed.as_bytes()) % u16::try_from(SLOTS).expect("2 to the power of 14")
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

/// Who serves which slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotMap {
    primaries: Vec<Address>,
    /// The place in `primaries` of each slot's server, plus one; zero where nobody serves it.
    owners: Vec<u16>,
}

impl SlotMap {
    /// Reads the answer to CLUSTER SLOTS of a server at `asked`, which may leave out its own host.
    pub(super) fn parse(answer: Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let mut map = Self { primaries: Vec::new(), owners: vec![0; SLOTS] };
        for range in ranges {
            let Value::Array(fields) = range else { return None };
            let mut fields = fields.into_iter();
            let (Value::Int(from), Value::Int(to), Value::Array(primary)) =
                (fields.next()?, fields.next()?, fields.next()?)
            else {
                return None;
            };
            let owner = map.place_of(address_of(primary, asked)?)?;
            let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
            map.owners.get_mut(from..=to)?.fill(owner);
        }
        Some(map).filter(|map| !map.primaries.is_empty())
    }

    /// Who serves a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        let owner = self.owners.get(usize::from(slot))?;
        self.primaries.get(usize::from(*owner).checked_sub(1)?)
    }

    /// The same, but for one slot that has moved.
    pub(super) fn with_owner(&self, slot: u16, owner: Address) -> Option<Self> {
        let mut map = self.clone();
        let place = map.place_of(owner)?;
        *map.owners.get_mut(usize::from(slot))? = place;
        Some(map)
    }

    /// Everyone who serves a slot.
    pub(super) fn primaries(&self) -> HashSet<&Address> {
        let serving: HashSet<u16> = self.owners.iter().copied().collect();
        serving.into_iter().filter_map(|owner| self.primaries.get(usize::from(owner).checked_sub(1)?)).collect()
    }

    fn place_of(&mut self, address: Address) -> Option<u16> {
        let place = self.primaries.iter().position(|known| *known == address).unwrap_or_else(|| {
            self.primaries.push(address);
            self.primaries.len() - 1
        });
        u16::try_from(place + 1).ok()
    }
}

fn address_of(primary: Vec<Value>, asked: &Address) -> Option<Address> {
    let mut fields = primary.into_iter();
    let host = match fields.next()? {
        Value::BulkString(host) => String::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => String::new(),
        _ => return None,
    };
    let Value::Int(port) = fields.next()? else { return None };
    let host = if host.is_empty() || host == "?" { asked.host()?.to_owned() } else { host };
    Some(Address::Tcp { host, port: u16::try_from(port).ok()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn server(host: &str, port: i64) -> Value {
        Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), Value::BulkString("id".into())])
    }

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    #[test]
    fn keys_fall_into_the_slots_that_redis_puts_them_in() {
        // As CLUSTER KEYSLOT has them.
        for (key, slot) in [("foo", 12182), ("123456789", 12739), ("{foo}:anything", 12182), ("", 0), ("a{}b", 13694)] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
    }

    #[test]
    fn an_answer_becomes_a_map_and_a_moved_slot_changes_only_itself() {
        let range = |from, to, primary| Value::Array(vec![Value::Int(from), Value::Int(to), primary, server("r", 9)]);
        let answer = Value::Array(vec![range(0, 99, server("", 1)), range(200, 16383, server("b", 2))]);
        let map = SlotMap::parse(answer, &tcp("me", 7)).unwrap();
        assert_eq!(map.owner(99), Some(&tcp("me", 1)));
        assert_eq!(map.owner(100), None);
        assert_eq!(map.owner(200), Some(&tcp("b", 2)));
        let moved = map.with_owner(200, tcp("c", 3)).unwrap();
        assert_eq!((moved.owner(200), moved.owner(201)), (Some(&tcp("c", 3)), Some(&tcp("b", 2))));
        assert_eq!(moved.primaries().len(), 3);
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_no_map() {
        let beyond = Value::Array(vec![Value::Int(0), Value::Int(16384), server("a", 1)]);
        let backwards = Value::Array(vec![Value::Int(9), Value::Int(3), server("a", 1)]);
        let short = Value::Array(vec![Value::Int(0)]);
        for ranges in [vec![], vec![beyond], vec![backwards], vec![short], vec![Value::Nil]] {
            assert_eq!(SlotMap::parse(Value::Array(ranges), &tcp("a", 1)), None);
        }
        assert_eq!(SlotMap::parse(Value::Int(1), &tcp("a", 1)), None);
    }
}
