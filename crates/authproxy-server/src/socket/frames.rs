//! Where frames and header blocks begin and end on a connection of HTTP/2 (RFC 9113, section 4), so that a peer that
//! dawdles inside one can be told from a peer that is idle. h2 judges them; this only watches. Pure: no I/O, no clock.

/// The client's connection preface (RFC 9113, section 3.4) has so many bytes before its first frame.
const PREFACE: usize = 24;
const HEADER: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// Follows the frames that a peer sends.
#[derive(Debug)]
pub(super) struct Frames {
    preface_left: usize,
    header: [u8; HEADER],
    header_length: usize,
    payload_left: usize,
    in_header_block: bool,
    completed: u64,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            preface_left: PREFACE,
            header: [0; HEADER],
            header_length: 0,
            payload_left: 0,
            in_header_block: false,
            completed: 0,
        }
    }
}

impl Frames {
    /// Takes note of bytes that arrived.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken;
            if self.preface_left > 0 {
                taken = self.preface_left.min(bytes.len());
                self.preface_left -= taken;
            } else if self.header_length < HEADER {
                taken = (HEADER - self.header_length).min(bytes.len());
                self.header[self.header_length..][..taken].copy_from_slice(&bytes[..taken]);
                self.header_length += taken;
                if self.header_length == HEADER {
                    let [a, b, c, ..] = self.header;
                    self.payload_left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                }
            } else {
                taken = self.payload_left.min(bytes.len());
                self.payload_left -= taken;
            }
            bytes = &bytes[taken..];
            if self.header_length == HEADER && self.payload_left == 0 {
                self.complete();
            }
        }
    }

    fn complete(&mut self) {
        let (kind, flags) = (self.header[3], self.header[4]);
        self.header_length = 0;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_header_block = flags & END_HEADERS == 0;
        }
        if !self.in_header_block {
            self.completed += 1;
        }
    }

    /// How many frames and header blocks have ended.
    pub(super) fn completed(&self) -> u64 {
        self.completed
    }

    /// Whether the peer is in the middle of something that it must go on with. A body's data is not: who waits for
    /// the body bounds the time for it.
    pub(super) fn is_unfinished(&self) -> bool {
        let in_data = self.header_length == HEADER && self.header[3] == DATA;
        self.preface_left > 0 || self.in_header_block || (self.header_length > 0 && !in_data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let length_bytes = u32::try_from(length).expect("short").to_be_bytes();
        let mut frame = [&length_bytes[1..], &[kind, flags, 0, 0, 0, 1]].concat();
        frame.resize(HEADER + length, 0);
        frame
    }

    #[test]
    fn only_between_frames_and_in_a_body_a_peer_owes_nothing() {
        let settings = 0x4;
        let table: Vec<(&str, Vec<u8>, bool, u64)> = vec![
            ("nothing yet", vec![], true, 0),
            ("half a preface", vec![0; 12], true, 0),
            ("a preface", vec![0; 24], false, 0),
            ("half a header", vec![0; 24 + 4], true, 0),
            ("an empty frame", [vec![0; 24], frame(settings, 0, 0)].concat(), false, 1),
            ("half a frame", [vec![0; 24], frame(settings, 0, 12)[..15].to_vec()].concat(), true, 0),
            ("half a frame of data", [vec![0; 24], frame(DATA, 0, 300)[..100].to_vec()].concat(), false, 0),
            ("a whole head", [vec![0; 24], frame(HEADERS, END_HEADERS, 70_000)].concat(), false, 1),
            ("a head that goes on", [vec![0; 24], frame(HEADERS, 0, 5)].concat(), true, 0),
            (
                "a head in three frames",
                [vec![0; 24], frame(HEADERS, 0, 5), frame(CONTINUATION, 0, 5), frame(CONTINUATION, END_HEADERS, 1)]
                    .concat(),
                false,
                1,
            ),
        ];
        for (what, bytes, unfinished, completed) in table {
            for step in [1, 7, bytes.len().max(1)] {
                let mut frames = Frames::default();
                bytes.chunks(step).for_each(|chunk| frames.advance(chunk));
                assert_eq!((frames.is_unfinished(), frames.completed()), (unfinished, completed), "{what} by {step}");
            }
        }
    }
}
