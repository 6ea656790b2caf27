//! One connection through a relay.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch as state,
    time::sleep,
};

use super::{
    lock, resp,
    watch::{Passing, Watch},
};

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// They pass.
    Flows,
    /// What arrives together waits this long.
    Slow(Duration),
    /// They are taken and lead nowhere, and for connections of this time that stays so: half-open.
    Swallowed,
    /// Every connection is reset; new ones are reset as soon as they speak.
    Reset,
    /// Connections are cut and connecting is refused.
    Refused,
}

/// Carries bytes both ways until one end has had enough.
pub(super) async fn carry(
    node: TcpStream,
    redis: TcpStream,
    mut traffic: state::Receiver<Traffic>,
    watch: Arc<Mutex<Watch>>,
) {
    let _ = (node.set_nodelay(true), redis.set_nodelay(true));
    let connection = lock(&watch).connect();
    let (mut node, mut redis) = (node, redis);
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    let _ = async {
        loop {
            let current = *traffic.borrow_and_update();
            match current {
                Traffic::Swallowed => return swallow(&mut node).await,
                Traffic::Reset => return node.set_zero_linger(),
                Traffic::Flows | Traffic::Slow(_) | Traffic::Refused => {}
            }
            tokio::select! {
                _ = traffic.changed() => {}
                read = node.read_buf(&mut asked) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    late(current).await;
                    for command in messages(&mut asked) {
                        let passing = lock(&watch).command(connection, &command);
                        hold(passing).await;
                        redis.write_all(&command).await?;
                    }
                }
                read = redis.read_buf(&mut answered) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    late(current).await;
                    for answer in messages(&mut answered) {
                        let passing = lock(&watch).answer(connection, &answer);
                        hold(passing).await;
                        node.write_all(&answer).await?;
                    }
                }
            }
        }
    }
    .await;
    lock(&watch).disconnect(connection);
}

/// Reads what the node says and never answers, until the node has had enough.
async fn swallow(node: &mut TcpStream) -> io::Result<()> {
    let mut bytes = Vec::new();
    while node.read_buf(&mut bytes).await? > 0 {
        bytes.clear();
    }
    Ok(())
}

async fn late(traffic: Traffic) {
    if let Traffic::Slow(delay) = traffic {
        sleep(delay).await;
    }
}

async fn hold(passing: Passing) {
    if let Passing::Held(gate) = passing {
        gate.pass().await;
    }
}

/// Takes the whole messages from the front of what was read.
fn messages(bytes: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut at = 0;
    while let Some(end) = resp::end(&bytes[at..]) {
        messages.push(bytes[at..at + end].to_vec());
        at += end;
    }
    bytes.drain(..at);
    messages
}
