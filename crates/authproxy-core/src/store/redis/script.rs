//! The scripts, each on one key, and their replies.

use std::{fmt::Write, vec};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use redis::{Cmd, Value};

use super::{
    failure::{Failure, Refusal},
    node::{Answered, Manner, Node},
    servers::Servers,
};
use crate::clock::{Clock, Timestamp};

/// A script as it is sent: by its digest, and whole to a server that does not know it.
pub(super) struct Script {
    text: String,
    digest: String,
}

/// All of them.
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) begin: Script,
    pub(super) commit: Script,
    pub(super) abort: Script,
    pub(super) remove: Script,
    pub(super) touch: Script,
    pub(super) exchange: Script,
    pub(super) index: Script,
    pub(super) point: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let on_a_record = |rest: &str| Script::new(format!("{}\n{rest}", include_str!("scripts/record.lua")));
        Self {
            create: Script::new(include_str!("scripts/create.lua").to_owned()),
            begin: on_a_record(include_str!("scripts/begin.lua")),
            commit: on_a_record(include_str!("scripts/commit.lua")),
            abort: on_a_record(include_str!("scripts/abort.lua")),
            remove: on_a_record(include_str!("scripts/remove.lua")),
            touch: on_a_record(include_str!("scripts/touch.lua")),
            exchange: on_a_record(include_str!("scripts/exchange.lua")),
            index: Script::new(include_str!("scripts/index.lua").to_owned()),
            point: Script::new(include_str!("scripts/point.lua").to_owned()),
        }
    }
}

impl Script {
    fn new(text: String) -> Self {
        let mut hex = String::new();
        for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref() {
            let _ = write!(hex, "{byte:02x}"); // a String takes everything
        }
        Self { text, digest: hex }
    }

    /// Runs the script on the server that has `key`.
    pub(super) async fn run(
        &self,
        servers: &Servers,
        clock: &dyn Clock,
        key: &str,
        arguments: &[&[u8]],
        manner: Manner,
    ) -> Result<Reply, Failure> {
        let sent = clock.now();
        let answered = match servers.ask(key, &command("EVALSHA", &self.digest, key, arguments), manner).await {
            Err(Failure::Refused(Refusal::NoScript)) => {
                servers.ask(key, &command("EVAL", &self.text, key, arguments), manner).await?
            }
            answered => answered?,
        };
        Reply::read(answered, sent)
    }
}

fn command(name: &str, script: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(name).arg(script).arg(1).arg(key);
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

/// What a script answered: a word, the server's time, and what the word calls for.
pub(super) struct Reply {
    pub(super) word: String,
    /// False when a replica was to confirm a write and none did.
    pub(super) replicated: bool,
    node: std::sync::Arc<Node>,
    rest: vec::IntoIter<Value>,
}

impl Reply {
    fn read(answered: Answered, sent: Timestamp) -> Result<Self, Failure> {
        let Answered { value, replicated, node } = answered;
        let Value::Array(fields) = value else { return Err(Failure::Nonsense) };
        let mut rest = fields.into_iter();
        let Some(Value::BulkString(word)) = rest.next() else { return Err(Failure::Nonsense) };
        let word = String::from_utf8(word).map_err(|_| Failure::Nonsense)?;
        let mut reply = Self { word, replicated, node, rest };
        let server_now = reply.time()?;
        reply.node.server_clock().observe(sent, server_now);
        Ok(reply)
    }

    pub(super) fn number(&mut self) -> Result<u64, Failure> {
        match self.rest.next() {
            Some(Value::Int(number)) => u64::try_from(number).map_err(|_| Failure::Nonsense),
            _ => Err(Failure::Nonsense),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        match self.rest.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes),
            _ => Err(Failure::Nonsense),
        }
    }

    /// An instant on the server's clock.
    fn time(&mut self) -> Result<Timestamp, Failure> {
        self.number().map(Timestamp::from_millis)
    }

    /// An instant, from the server's clock to this node's.
    pub(super) fn time_here(&mut self) -> Result<Timestamp, Failure> {
        let time = self.time()?;
        Ok(self.node.server_clock().to_node(time))
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }
}
