#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// A body's data, its trailers, and what is left behind its end.
type Whole = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

/// All that comes of a body in chunks whose bytes arrive in these pieces.
fn decoded(chunks: Chunks, pieces: &[&[u8]]) -> Result<Whole, BadBody> {
    let (mut decoder, mut unread) = (Decoder::chunked(chunks), BytesMut::new());
    let (mut data, mut trailers) = (Vec::new(), None);
    for piece in pieces {
        unread.extend_from_slice(piece);
        while let Decoded::Frame(frame) = decoder.advance(&mut unread)? {
            match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
    }
    assert!(decoder.is_done(), "{decoder:?}");
    Ok((data, trailers, unread.to_vec()))
}

#[test]
fn chunks_and_trailers_are_taken_apart_and_what_follows_stays() {
    let body = b"3\r\nabc\r\nA ;name=\"x\"\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\nHTTP/1.1";
    let (data, trailers, rest) = decoded(Chunks::Extended, &[body]).unwrap();
    assert_eq!((data.as_slice(), rest.as_slice()), (&b"abc0123456789"[..], &b"HTTP/1.1"[..]));
    assert_eq!(trailers.unwrap()["x-sum"], "1");
    let pieces: Vec<&[u8]> = body.chunks(1).take(body.len() - 8).collect();
    let (data, trailers, _) = decoded(Chunks::Extended, &pieces).unwrap();
    assert_eq!((data.as_slice(), trailers.unwrap().len()), (&b"abc0123456789"[..], 1));
}

#[test]
fn chunks_that_could_be_read_otherwise_are_malformed() {
    for body in [
        "\r\n",
        "x\r\n",
        "+3\r\nabc\r\n",
        "-1\r\n",
        "0x3\r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3\nabc\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\rx",
        "1000000000000000\r\n",
    ] {
        assert_eq!(decoded(Chunks::Extended, &[body.as_bytes()]).unwrap_err(), BadBody::Chunk, "{body:?}");
    }
    let extended = b"3;name=x\r\nabc\r\n0\r\n\r\n";
    assert_eq!(decoded(Chunks::Extended, &[extended]).unwrap().0, b"abc");
    assert_eq!(decoded(Chunks::Bare, &[extended]).unwrap_err(), BadBody::Chunk);
    for chunks in [Chunks::Bare, Chunks::Extended] {
        let endless = "1".repeat(chunks.longest_line() + 1);
        assert_eq!(decoded(chunks, &[endless.as_bytes()]).unwrap_err(), BadBody::Chunk);
    }
    for trailers in ["0\r\nno colon\r\n\r\n", "0\r\na b: c\r\n\r\n", &format!("0\r\nx: {}", "y".repeat(MAX_TRAILERS))] {
        assert_eq!(decoded(Chunks::Extended, &[trailers.as_bytes()]).unwrap_err(), BadBody::Trailers, "{trailers:?}");
    }
}

#[test]
fn what_has_failed_stays_failed() {
    for (bad, error) in
        [("x\r\n", BadBody::Chunk), ("3\r\nabcd\r\n", BadBody::Chunk), ("0\r\nno colon\r\n\r\n", BadBody::Trailers)]
    {
        let mut unread = BytesMut::from(format!("{bad}3\r\nabc\r\n0\r\n\r\n").as_bytes());
        let mut decoder = Decoder::chunked(Chunks::Extended);
        let failed = loop {
            match decoder.advance(&mut unread) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!((failed, decoder.advance(&mut unread).unwrap_err()), (error, error), "{bad:?}");
        assert!(!decoder.is_done());
    }
}

proptest! {
    #[test]
    fn however_a_body_is_cut_the_same_comes_of_it(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        cuts in prop::collection::vec(1_usize..30, 1..40),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let (mut pieces, mut rest) = (Vec::new(), wire.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let (data, trailers, left) = decoded(Chunks::Extended, &pieces).unwrap();
        prop_assert_eq!(data, chunks.concat());
        prop_assert!(trailers.is_none() && left.is_empty());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), bare: bool) {
        let mut unread = BytesMut::from(&bytes[..]);
        let mut decoder = Decoder::chunked(if bare { Chunks::Bare } else { Chunks::Extended });
        while let Ok(Decoded::Frame(_)) = decoder.advance(&mut unread) {}
    }
}
