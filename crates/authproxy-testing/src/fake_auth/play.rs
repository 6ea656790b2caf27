//! One connection of a [`FakeAuthService`](super::FakeAuthService): requests in, answers or misbehaviour out.

use std::{io, sync::Arc, time::Duration};

use super::{ConnectionFault, Endpoint, Misbehaviour, Shared, answers::detail};
use crate::{
    http1::{Answer, Connection, RecordedRequest},
    socket::Stream,
};

/// What becomes of the connection after a request.
enum Then {
    Keep,
    Close,
    Reset,
}

pub(super) async fn serve(shared: Arc<Shared>, stream: Stream) {
    let mut connection = Connection::new(stream);
    match shared.next_connection() {
        ConnectionFault::None => {}
        ConnectionFault::Reset => return connection.reset(),
        ConnectionFault::Silence => std::future::pending().await,
    }
    // An error means that the peer has gone, which is its right.
    while let Ok(Some(request)) = connection.request().await {
        match answer(&shared, &mut connection, request).await {
            Ok(Then::Keep) => {}
            Ok(Then::Reset) => return connection.reset(),
            Ok(Then::Close) | Err(_) => return,
        }
    }
}

async fn answer(shared: &Shared, connection: &mut Connection, request: RecordedRequest) -> io::Result<Then> {
    let endpoint = Endpoint::of(request.path());
    shared.record(endpoint, &request);
    let Some(endpoint) = endpoint else {
        connection.write(&detail(404, "Not Found").bytes()).await?;
        return Ok(Then::Keep);
    };
    let misbehaviour = shared.next(endpoint);
    if let Some(instead) = unprocessed(&misbehaviour, endpoint) {
        connection.write(&instead.bytes()).await?;
        return Ok(Then::Keep);
    }
    match &misbehaviour {
        Misbehaviour::NeverAnswer => std::future::pending().await,
        Misbehaviour::ResetBefore => return Ok(Then::Reset),
        Misbehaviour::Raw(bytes) => {
            connection.write(bytes).await?;
            return Ok(Then::Close);
        }
        Misbehaviour::EndlessBody => return endless(connection).await,
        Misbehaviour::HoldBefore(gate) => gate.pass().await,
        Misbehaviour::Delay(delay) => tokio::time::sleep(*delay).await,
        _ => {}
    }
    let honest = shared.process(endpoint, &request);
    processed(connection, honest, misbehaviour).await
}

/// The answer that stands for a request which is not processed.
fn unprocessed(misbehaviour: &Misbehaviour, endpoint: Endpoint) -> Option<Answer> {
    let with_retry_after = |answer: Answer, seconds: &Option<u64>| match seconds {
        Some(seconds) => answer.with_header("retry-after", &seconds.to_string()),
        None => answer,
    };
    Some(match misbehaviour {
        Misbehaviour::Answer(answer) => answer.clone(),
        Misbehaviour::TooManyRequests(seconds) => with_retry_after(detail(429, "Too Many Requests"), seconds),
        Misbehaviour::Unavailable(seconds) => with_retry_after(detail(503, "Service Unavailable"), seconds),
        Misbehaviour::Html => Answer::new(200, "text/html", "<!doctype html><title>Welcome to our network</title>"),
        Misbehaviour::RedirectToItself => detail(307, "Temporary Redirect").with_header("location", endpoint.path()),
        _ => return None,
    })
}

/// Writes the answer to a request that was processed, as badly as it was told.
async fn processed(connection: &mut Connection, honest: Answer, misbehaviour: Misbehaviour) -> io::Result<Then> {
    let whole = honest.bytes();
    let (head, body) = (whole.len() - honest.body.len(), honest.body.len());
    match misbehaviour {
        Misbehaviour::LoseAnswer => std::future::pending().await,
        Misbehaviour::ResetAfter => return Ok(Then::Reset),
        Misbehaviour::CloseAfter => return Ok(Then::Close),
        Misbehaviour::ResetInHead => {
            connection.write(&whole[..head / 2]).await?;
            return Ok(Then::Reset);
        }
        Misbehaviour::ResetInBody => {
            connection.write(&whole[..head + body / 2]).await?;
            return Ok(Then::Reset);
        }
        Misbehaviour::Truncate => {
            connection.write(&whole[..head + body / 2]).await?;
            return Ok(Then::Close);
        }
        Misbehaviour::Dribble(pause) => dribble(connection, &whole, pause).await?,
        Misbehaviour::Member(name, text) => connection.write(&with_member(honest, name, text).bytes()).await?,
        Misbehaviour::DuplicateMember(name, text) => {
            connection.write(&with_second_member(honest, name, text).bytes()).await?;
        }
        Misbehaviour::Gzip => {
            let body = gzip(&honest.body);
            let answer = Answer { body, ..honest }.with_header("content-encoding", "gzip");
            connection.write(&answer.bytes()).await?;
        }
        Misbehaviour::HoldAfter(gate) => {
            gate.pass().await;
            connection.write(&whole).await?;
        }
        _ => connection.write(&whole).await?,
    }
    Ok(Then::Keep)
}

async fn dribble(connection: &mut Connection, bytes: &[u8], pause: Duration) -> io::Result<()> {
    for byte in bytes {
        connection.write(std::slice::from_ref(byte)).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// A JSON string that never ends; the peer has to.
async fn endless(connection: &mut Connection) -> io::Result<Then> {
    connection.write(&Answer::json(200, "").head(None)).await?;
    connection.write(br#"{"access_token":""#).await?;
    loop {
        connection.write(&[b'a'; 16 * 1024]).await?;
    }
}

/// Replaces the JSON text of one member, also by what is not representable as a value.
fn with_member(honest: Answer, name: &str, text: Option<&str>) -> Answer {
    let Ok(serde_json::Value::Object(mut members)) = serde_json::from_slice(&honest.body) else { return honest };
    members.remove(name);
    let mut body = serde_json::Value::Object(members).to_string();
    if let Some(text) = text {
        let comma = if body == "{}" { "" } else { "," };
        body.replace_range(..1, &format!("{{\"{name}\":{text}{comma}"));
    }
    Answer { body: body.into_bytes(), ..honest }
}

fn with_second_member(honest: Answer, name: &str, text: &str) -> Answer {
    let Some(b'}') = honest.body.last() else { return honest };
    let mut body = honest.body.clone();
    body.pop();
    body.extend_from_slice(format!(",\"{name}\":{text}}}").as_bytes());
    Answer { body, ..honest }
}

/// One stored block (RFC 1951, section 3.2.4) in a gzip member (RFC 1952).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("token answers are small");
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    gzip.extend_from_slice(&length.to_le_bytes());
    gzip.extend_from_slice(&(!length).to_le_bytes());
    gzip.extend_from_slice(bytes);
    gzip.extend_from_slice(&crc32(bytes).to_le_bytes());
    gzip.extend_from_slice(&u32::from(length).to_le_bytes());
    gzip
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
