//! Redis' protocol, as far as finding where a message ends and what a command says.

/// Where the first whole message of `bytes` ends; `None` while it is not whole. What is no message ends at once.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    let line = 1 + bytes.get(1..)?.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let length = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    match bytes[0] {
        b'$' | b'=' | b'!' => match length() {
            Some(length @ 0..) => {
                let end = line + usize::try_from(length).ok()? + 2;
                (bytes.len() >= end).then_some(end)
            }
            _ => Some(line),
        },
        kind @ (b'*' | b'~' | b'>' | b'%' | b'|') => {
            let parts = length().unwrap_or_default().max(0) * if matches!(kind, b'%' | b'|') { 2 } else { 1 };
            let mut at = line;
            for _ in 0..parts {
                at += end(&bytes[at..])?;
            }
            // An attribute stands before the message that it is about.
            if kind == b'|' { Some(at + end(&bytes[at..])?) } else { Some(at) }
        }
        _ => Some(line),
    }
}

/// The words of a command: a whole array of bulk strings.
pub(super) fn words(command: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::new();
    let Some(mut at) = line_end(command) else { return words };
    while let Some(line) = command.get(at..).and_then(line_end) {
        let begin = at + line;
        let Some(end) = end(&command[at..]).map(|end| at + end) else { break };
        words.push(command.get(begin..end.saturating_sub(2)).unwrap_or_default());
        at = end;
    }
    words
}

/// Whether a message from Redis answers no command (RESP3).
pub(super) fn is_push(message: &[u8]) -> bool {
    message.first() == Some(&b'>')
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_last_part_ends() {
        for message in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":1\r\n",
            "$-1\r\n",
            "$3\r\nabc\r\n",
            "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            "*-1\r\n",
            "%1\r\n+a\r\n$0\r\n\r\n",
            ">2\r\n+message\r\n+x\r\n",
            "_\r\n",
            "#t\r\n",
        ] {
            let bytes = format!("{message}+next");
            assert_eq!(end(bytes.as_bytes()), Some(message.len()), "{message}");
            for cut in 0..message.len() {
                assert_eq!(end(&message.as_bytes()[..cut]), None, "{message} after {cut} bytes");
            }
        }
    }

    #[test]
    fn a_command_is_its_words() {
        let command = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n";
        assert_eq!(words(command), [&b"SET"[..], b"k", b"a\r\nb"]);
    }
}
