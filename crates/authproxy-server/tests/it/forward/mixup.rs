//! Nobody ever gets another's answer: many sessions, tagged requests, callers that leave in the middle.
//!
//! The run is short here. `MIXUP_REQUESTS=10000000 cargo test --release -p authproxy-server --test it mixup`
//! is the long one; `MIXUP_SEED=2` makes it another one.

use std::{env, sync::Arc, time::Duration};

use authproxy_testing::{Answer, FakeUpstream, Framing, Play, ReceivedRequest, Step};

use super::{client::Client, site::routes};
use crate::harness::{Ask, Proxy};

const REQUESTS: usize = 1600;
const SESSIONS: usize = 64;
const CALLERS: usize = 32;

/// Random enough to vary, and the same in every run (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Answers with the request's tag and token, in a way that the request asks for.
fn echo(request: &ReceivedRequest) -> Play {
    let tag = request.header("x-tag").unwrap_or_default();
    let token = request.header("authorization").unwrap_or_default();
    let body = format!("{tag}|{token}|{}|", String::from_utf8_lossy(&request.body()));
    let padding = "p".repeat(tag.len() * 97 % 5000);
    let answer = Answer::new(200, "text/plain", body + &padding).with_header("x-tag", tag);
    let end = match request.target().rsplit('=').next() {
        Some("chunked") => return Play::of([Step::Answer(answer, Framing::Chunked(Vec::new()))]),
        Some("close") => Some(Step::Close),
        Some("reuse") => Some(Step::CloseAtNextByte),
        Some("old") => return Play::of([Step::Answer(answer, Framing::UntilClose)]),
        _ => None,
    };
    end.into_iter().fold(Play::answer(answer), Play::then)
}

struct Caller {
    number: usize,
    dice: Dice,
    connection: Client,
}

impl Caller {
    /// One request; whether it was answered.
    async fn ask(&mut self, proxy: &Proxy, sessions: &[(String, String)], count: usize) -> bool {
        let (cookie, token) = &sessions[usize::try_from(self.dice.roll(SESSIONS as u64)).unwrap()];
        let tag = format!("{}-{count}-{}", self.number, "t".repeat(usize::try_from(self.dice.roll(40)).unwrap()));
        // One in four answers ends its connection: most requests go over one that others have used.
        let way = ["close", "reuse", "reuse", "old"].get(usize::try_from(self.dice.roll(16)).unwrap());
        let way = way.unwrap_or(&["length", "chunked"][usize::try_from(self.dice.roll(2)).unwrap()]);
        let longest = [120_000, 1, 1, 1].get(usize::try_from(self.dice.roll(16)).unwrap()).unwrap_or(&2_000);
        let body = "b".repeat(usize::try_from(self.dice.roll(*longest)).unwrap());
        let target = format!("/api/echo?way={way}");
        let ask = if self.dice.roll(2) == 0 { Ask::get(&target) } else { Ask::post(&target).body(&body) };
        let body = if ask.method() == "GET" { "" } else { &body };
        let bytes = ask.cookie(cookie).header("sec-fetch-site", "same-origin").header("x-tag", &tag).bytes();
        if self.dice.roll(8) == 0 {
            // A caller who leaves: within the request, or without waiting for the answer, or in the middle of it.
            let sent = bytes.len() - usize::try_from(self.dice.roll(bytes.len() as u64 / 2)).unwrap();
            self.connection.send(&bytes[..sent]).await;
            if self.dice.roll(2) == 0 && sent == bytes.len() {
                self.connection.head().await;
            }
            self.connection = Client::open(proxy.address).await;
            return false;
        }
        self.connection.send(bytes).await;
        let reply = self.connection.reply().await;
        // After an error the proxy may close: what is left of the request's body need not be read.
        if reply.status == 502 || reply.header("connection") == Some("close") {
            self.connection = Client::open(proxy.address).await;
        }
        if reply.status == 502 {
            // An upstream that closes at the moment of reuse costs a request, never an answer.
            assert_eq!(reply.detail(), "The upstream closed the connection without an answer");
            return false;
        }
        assert_eq!((reply.status, reply.header("x-tag")), (200, Some(tag.as_str())), "{way}, {} bytes up", body.len());
        let expected = format!("{tag}|Bearer {token}|{body}|");
        assert!(reply.is_complete && reply.text().starts_with(&expected), "{tag}: {}", &reply.text()[..80]);
        assert_eq!(reply.text().len() - expected.len(), tag.len() * 97 % 5000);
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_bears_its_askers_tag_and_token() {
    let given = |name| env::var(name).ok().map(|number| number.parse::<usize>().unwrap());
    let requests = given("MIXUP_REQUESTS").unwrap_or(REQUESTS);
    let seed = given("MIXUP_SEED").unwrap_or(0);
    let upstream = FakeUpstream::playing(echo).await.unwrap();
    let url = upstream.url();
    let proxy = Proxy::with(|config| {
        config.route = routes(&url);
        config.tokens.refresh_ttl = Duration::from_hours(12); // a long run must not outlive its sessions
    })
    .await;
    let mut sessions = Vec::new();
    for number in 1..=SESSIONS {
        sessions.push((proxy.log_in().await, format!("CANARY-token-a{number}")));
    }
    let (proxy, sessions) = (Arc::new(proxy), Arc::new(sessions));
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let (proxy, sessions) = (proxy.clone(), sessions.clone());
        callers.push(tokio::spawn(async move {
            let connection = Client::open(proxy.address).await;
            let mut caller = Caller { number, dice: Dice((seed * CALLERS + number) as u64), connection };
            let mut answered = 0;
            for count in 0..requests / CALLERS {
                answered += usize::from(caller.ask(&proxy, &sessions, count).await);
            }
            answered
        }));
    }
    let mut answered = 0;
    for caller in callers {
        answered += caller.await.unwrap();
    }
    assert!(answered > requests / 2, "{answered} of {requests} were answered");
    println!("{requests} requests with seed {seed}, {answered} answers, each its asker's");
}
