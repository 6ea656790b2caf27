//! A relay between a hand-made node and a hand-made Redis.

#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const BEGIN: &str = include_str!("../../../authproxy-core/src/store/redis/scripts/begin.lua");
const COMMIT: &str = include_str!("../../../authproxy-core/src/store/redis/scripts/commit.lua");
const ABORT: &str = include_str!("../../../authproxy-core/src/store/redis/scripts/abort.lua");
const NAME: &str = "00112233445566778899aabbccddeeff";
const GRANTED: &str = "*1\r\n$7\r\ngranted\r\n";

fn command(words: &[&str]) -> Vec<u8> {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    [format!("*{}\r\n", words.len())].into_iter().chain(words).collect::<String>().into_bytes()
}

fn eval(script: &str) -> Vec<u8> {
    eval_for("one attempt", script)
}

fn eval_for(attempt: &str, script: &str) -> Vec<u8> {
    command(&["EVAL", &format!("-- shared\n{script}"), "1", &format!("ap:{{001}}:{NAME}"), "1", attempt])
}

struct Ends {
    relays: Relays,
    node: TcpStream,
    redis: TcpStream,
}

impl Ends {
    async fn connect() -> Self {
        let redis = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relays = Relays::start(1, redis.local_addr().unwrap()).await.unwrap();
        let node = TcpStream::connect(relays.address(0)).await.unwrap();
        let redis = redis.accept().await.unwrap().0;
        Self { relays, node, redis }
    }

    /// Sends a command and its answer, each through to the other end.
    async fn exchange(&mut self, command: &[u8], answer: &str) {
        self.node.write_all(command).await.unwrap();
        let mut arrived = vec![0; command.len()];
        self.redis.read_exact(&mut arrived).await.unwrap();
        assert_eq!(arrived, command);
        self.redis.write_all(answer.as_bytes()).await.unwrap();
        let mut arrived = vec![0; answer.len()];
        self.node.read_exact(&mut arrived).await.unwrap();
        assert_eq!(arrived, answer.as_bytes());
    }
}

#[tokio::test]
async fn a_session_is_in_flight_from_its_begin_to_its_commit() {
    let mut ends = Ends::connect().await;
    ends.exchange(&command(&["PING"]), "+PONG\r\n").await;
    assert!(ends.relays.in_flight(0).is_empty());
    ends.exchange(&eval(BEGIN), GRANTED).await;
    assert_eq!(ends.relays.in_flight(0), HashSet::from([NAME.to_owned()]));
    ends.exchange(&eval(COMMIT), "-OOM no room\r\n").await;
    assert_eq!(ends.relays.in_flight(0).len(), 1, "an error says nothing");
    ends.exchange(&eval(COMMIT), "*1\r\n$6\r\nstored\r\n").await;
    assert!(ends.relays.in_flight(0).is_empty());
    ends.exchange(&eval(BEGIN), "*1\r\n$4\r\nbusy\r\n").await;
    assert!(ends.relays.in_flight(0).is_empty(), "it was not granted");
}

/// After an outage a node writes again what may be lost; the store says of what is there what it said then.
#[tokio::test]
async fn a_version_that_is_stored_again_is_no_new_one() {
    let mut ends = Ends::connect().await;
    for (attempt, versions) in [("first", 1), ("first", 1), ("second", 2), ("first", 2)] {
        ends.exchange(&eval_for(attempt, COMMIT), "*1\r\n$6\r\nstored\r\n").await;
        assert_eq!(ends.relays.commits()[NAME].len(), versions, "{attempt}");
    }
}

/// A lease that was perhaps granted is given back for as long as it takes: also beside the next attempt.
#[tokio::test]
async fn an_abort_of_another_attempt_ends_no_flight() {
    let mut ends = Ends::connect().await;
    ends.exchange(&eval(BEGIN), GRANTED).await;
    ends.exchange(&eval_for("an earlier one", ABORT), "*1\r\n$6\r\nfenced\r\n").await;
    assert_eq!(ends.relays.in_flight(0).len(), 1);
    ends.exchange(&eval(ABORT), "*1\r\n$4\r\ndone\r\n").await;
    assert!(ends.relays.in_flight(0).is_empty());
}

#[tokio::test]
async fn a_held_message_does_not_arrive_and_a_cut_is_a_cut() {
    let mut ends = Ends::connect().await;
    let held = ends.relays.hold(0, Verb::Begin, Side::Command);
    ends.node.write_all(&eval(BEGIN)).await.unwrap();
    held.arrived().await;
    assert_eq!(ends.redis.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);

    let mut ends = Ends::connect().await;
    ends.exchange(&command(&["PING"]), "+PONG\r\n").await;
    ends.relays.set(Traffic::Reset);
    assert_eq!(ends.node.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}
