//! `store.secrets` are rotated without ending a session, and an unknown secret is no session and no error.

use super::world::{Node, SECRET, World, log_in, protected};

const NEW: &str = "the next secret of the fleet that has more than 32";
const SECRETS: &str = "AUTHPROXY_STORE__SECRETS";

fn statuses(nodes: &[&Node], cookie: &str) -> Vec<u16> {
    nodes.iter().map(|node| protected(cookie).send(node.address).status).collect()
}

/// First every node learns to open the new secret, then every node seals with it, then the old one is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_rotated_without_ending_a_session() {
    let world = World::of_two(&[]).await;
    let cookie = log_in(world.nodes[0].address).cookie_pair();
    let opens_both = world.node(&[(SECRETS, &format!("{SECRET},{NEW}"))]);
    let seals_new = world.node(&[(SECRETS, &format!("{NEW},{SECRET}"))]);
    assert_eq!(statuses(&[&world.nodes[1], &opens_both, &seals_new], &cookie), [200; 3]);
    let later = log_in(seals_new.address).cookie_pair();
    let only_new = world.node(&[(SECRETS, NEW)]);
    assert_eq!(statuses(&[&opens_both, &seals_new, &only_new], &later), [200; 3]);
    assert_eq!(statuses(&[&opens_both, &only_new], &cookie), [200, 401], "sealed with what it does not know");
}

/// A node with another secret cannot tell: no session, never a 500, and the record is left for those who can.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_an_unknown_secret_is_no_session_and_stays() {
    let world = World::of_two(&[]).await;
    let cookie = log_in(world.nodes[0].address).cookie_pair();
    let stranger = world.node(&[(SECRETS, NEW)]);
    let answer = protected(&cookie).send(stranger.address);
    assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "the cookie is left alone");
    assert_eq!(statuses(&[&world.nodes[0], &world.nodes[1]], &cookie), [200; 2]);
    stranger.program.wait_for_log("a record cannot be opened");
}

/// Neither tokens nor session ids nor names of users are in Redis, nor in any log.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_redis_yields_nothing() {
    let world = World::of_two(&[]).await;
    let login = log_in(world.nodes[0].address);
    let cookie = login.cookie_pair();
    assert_eq!(protected(&cookie).send(world.nodes[1].address).status, 200);
    world.redis.cli(&["SAVE"]).await;
    let dump = std::fs::read(world.redis.directory().join("dump.rdb")).unwrap();
    let (_, id) = cookie.split_once('=').unwrap();
    let secrets = [id, &login.text("access_token"), &login.text("refresh_token"), "user@example.com", SECRET];
    for (number, secret) in secrets.iter().enumerate() {
        let is_there = dump.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_there, "secret {number} is in the dump");
    }
    assert!(dump.windows(3).any(|window| window == b"ap:"), "the session is in the dump");
    for node in world.nodes {
        let ended = node.program.stop();
        assert!(secrets.iter().all(|secret| *secret == "user@example.com" || !ended.stderr.contains(secret)));
    }
}
