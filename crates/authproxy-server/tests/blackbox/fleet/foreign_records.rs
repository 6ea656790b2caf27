//! What may lie in Redis where a session should: an unknown session for the browser, never a 500, never a cookie cleared.

use super::world::{World, log_in, protected};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_lies_in_a_sessions_place_is_401_and_hurts_nobody_else() {
    let world = World::of_two(&[("AUTHPROXY_STORE__NEAR_TTL", "0s")]).await;
    let [here, there] = world.addresses();
    for (what, spoil) in [
        ("truncated", "redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, 200))"),
        ("of another format", "redis.call('SETRANGE', KEYS[1], 2, '\\2')"),
        ("of another version", "redis.call('SETRANGE', KEYS[1], 11, '\\9')"),
        ("another session's", "redis.call('COPY', KEYS[2], KEYS[1], 'REPLACE')"),
        ("ten megabytes long", "redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]) .. string.rep('x', 10000000))"),
        ("not ours", "redis.call('SET', KEYS[1], '{}')"),
        ("a list", "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'x')"),
    ] {
        world.redis.cli(&["FLUSHALL"]).await;
        let spoiled = log_in(here).cookie_pair();
        let record = world.redis.cli(&["KEYS", "ap:{*"]).await;
        let whole = log_in(here).cookie_pair();
        let records = world.redis.cli(&["KEYS", "ap:{*"]).await;
        let other = records.lines().find(|name| *name != record).unwrap();
        let answer = world.redis.cli(&["EVAL", spoil, "2", &record, other]).await;
        assert!(!answer.contains("ERR"), "{what}: {answer}");
        for address in [here, there] {
            let answer = protected(&spoiled).send(address);
            assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{what}: {}", answer.body);
            assert_eq!(protected(&whole).send(address).status, 200, "beside one that is {what}");
        }
    }
    for node in world.nodes {
        node.program.wait_for_log("a record cannot be opened");
        assert_eq!(node.program.stop().code, Some(0));
    }
}
