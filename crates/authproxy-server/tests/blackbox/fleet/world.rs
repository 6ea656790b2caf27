//! Two nodes, a Redis and an auth service on this machine.

use std::{net::SocketAddr, time::Duration};

use authproxy_core::store::AttemptId;
use authproxy_testing::{
    Lifetimes,
    fake_auth::{FakeAuthService, PASSWORD, USER},
    redis::RedisServer,
};

use crate::{
    http::{Answer, Ask},
    program::{Program, Stopwatch, poll_until},
};

/// What seals the sessions of a fleet in these tests.
pub(super) const SECRET: &str = "a secret of the fleet that has more than 32 characters";
/// How long an access token lives in tests that wait for its end.
const SHORT: Duration = Duration::from_secs(1);

/// One node.
pub(super) struct Node {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
}

/// What a fleet consists of. Nodes end first.
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) redis: RedisServer,
    pub(super) service: FakeAuthService,
}

impl World {
    /// Two nodes, both with this environment besides what they need.
    pub(super) async fn of_two(environment: &[(&str, &str)]) -> Self {
        let (redis, service) = (RedisServer::start().await, FakeAuthService::start().await);
        let mut world = Self { nodes: Vec::new(), redis, service };
        for _ in 0..2 {
            let node = world.node(environment);
            world.nodes.push(node);
        }
        world
    }

    /// Another node.
    pub(super) fn node(&self, environment: &[(&str, &str)]) -> Node {
        let redis = self.redis.url();
        let mut all = vec![("AUTHPROXY_STORE__URL", redis.as_str()), ("AUTHPROXY_STORE__SECRETS", SECRET)];
        all.retain(|(name, _)| environment.iter().all(|(other, _)| other != name));
        all.extend(environment);
        let (program, address) = Program::serve(&self.service.url(), &all);
        Node { program, address }
    }

    /// Where the first and the second node listen.
    pub(super) fn addresses(&self) -> [SocketAddr; 2] {
        [self.nodes[0].address, self.nodes[1].address]
    }

    /// Tokens that are issued from now on live so short that a test can wait for their end.
    pub(super) fn issue_short(&self) {
        self.service.set_lifetimes(Lifetimes { access: Some(SHORT), ..Lifetimes::default() });
    }

    /// Tokens that are issued from now on outlive the test.
    pub(super) fn issue_long(&self) {
        self.service.set_lifetimes(Lifetimes::default());
    }
}

/// Logs in; the answer.
pub(super) fn log_in(address: SocketAddr) -> Answer {
    let answer = Ask::login(USER, PASSWORD).send(address);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// `GET /protected-auto` in a session.
pub(super) fn protected(cookie: &str) -> Ask {
    Ask::get("/protected-auto").cookie(cookie)
}

/// Waits until a token has expired that was issued just now with [`World::issue_short`].
pub(super) fn expire() {
    let watch = Stopwatch::start();
    poll_until("the access token expires", || watch.elapsed() > SHORT + Duration::from_millis(50));
}

/// A cookie that names no session.
pub(super) fn strange_cookie() -> String {
    let AttemptId(random) = AttemptId::random();
    format!("session_id={random:042x}A") // 256 bits end in two that are not used
}
