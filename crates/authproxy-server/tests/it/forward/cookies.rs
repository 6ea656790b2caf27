//! Our cookie stays between the browser and us (case 3 of the edge).

use authproxy_testing::{Answer, Play};

use super::site::Site;
use crate::harness::Ask;

#[tokio::test]
async fn our_cookie_never_reaches_an_upstream_and_others_do_byte_for_byte() {
    let site = Site::start().await;
    let ours = site.cookie.clone();
    let secret = ours.split_once('=').unwrap().1.to_owned();
    let mut connection = site.connect().await;
    for (path, lines, expected) in [
        ("/api/alone", vec![ours.clone()], None),
        ("/api/first", vec![format!("{ours}; theme=dark; a=\"b c\"")], Some("theme=dark; a=\"b c\"")),
        ("/api/last", vec![format!("theme=dark; {ours}")], Some("theme=dark")),
        ("/api/middle", vec![format!("a=1; {ours}; b=2=3; c")], Some("a=1; b=2=3; c")),
        ("/api/tight", vec![format!("a=1;{ours};b=2")], Some("a=1; b=2")),
        ("/api/twice", vec![format!("{ours}; a=1; {ours}")], Some("a=1")),
        ("/api/lines", vec!["a=1".into(), ours.clone(), "b=2".into()], Some("a=1; b=2")),
        ("/api/spaced", vec![format!("a=1; {}", ours.replace('=', " = "))], Some("a=1")),
        ("/api/near", vec![format!("session_id2=x; xsession_id=y; {ours}")], Some("session_id2=x; xsession_id=y")),
        ("/open/alone", vec![ours.clone()], None),
        ("/open/with", vec![format!("a=1; {ours}; b=2")], Some("a=1; b=2")),
    ] {
        let ask = lines.iter().fold(Ask::get(path), |ask, line| ask.cookie(line));
        assert_eq!(connection.ask(&ask).await.status, 200, "{path}");
        let request = site.received(path);
        assert!(!request.contains(&secret), "{path}");
        assert_eq!(request.header_values("cookie").join("; "), expected.unwrap_or_default(), "{path}");
    }
    let untouched = "a=1;b=2;  c=\"d\" ; e";
    let ask = Ask::get("/open/untouched").cookie(untouched);
    assert_eq!(connection.ask(&ask).await.status, 200);
    assert_eq!(site.received("/open/untouched").header("cookie"), Some(untouched));
    site.assert_serves_on(&mut connection).await;
    site.assert_serves().await;
}

#[tokio::test]
async fn a_session_that_is_named_in_an_unusual_way_does_not_reach_an_upstream_either() {
    let site = Site::start().await;
    let secret = site.cookie.split_once('=').unwrap().1;
    for (index, pair) in [
        format!("\u{a0}{}", site.cookie),
        format!("{}\u{a0}", site.cookie),
        format!("session_id\u{3000}={secret}"),
        format!("\u{2003}session_id={secret}"),
    ]
    .iter()
    .enumerate()
    {
        for route in ["/api", "/open"] {
            let path = format!("{route}/{index}");
            // Whether it counts as a session is not the question.
            site.ask(&Ask::get(&path).cookie(&format!("a=1; {pair}"))).await;
            for request in site.upstream.requests_of(&path) {
                if request.header("authorization").is_some() {
                    assert!(!request.contains(secret), "{pair:?} was taken for a session and passed on");
                }
            }
        }
    }
    site.assert_serves().await;
}

#[tokio::test]
async fn two_different_sessions_in_one_request_reach_no_upstream() {
    let site = Site::start().await;
    let other = site.proxy.log_in().await;
    let ask = Ask::get("/api/h").cookie(&format!("{}; {other}", site.cookie));
    assert_eq!(site.ask(&ask).await.status, 400);
    assert_eq!(site.count(), 0);
    site.assert_serves().await;
}

#[tokio::test]
async fn an_upstream_can_set_every_cookie_but_ours() {
    let site = Site::start().await;
    let mut answer = Answer::json(200, "{}");
    for cookie in [
        "theme=dark; Path=/",
        "session_id=fixated; Path=/",
        "session_id=; Max-Age=0",
        "session_id",
        " session_id = spaced",
        "session_id2=near",
        "basket=\"1, 2\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
    ] {
        answer = answer.with_header("set-cookie", cookie);
    }
    let mut connection = site.connect().await;
    for path in ["/api/c", "/open/c", "/bearer/c"] {
        site.upstream.on(path, Play::answer(answer.clone()));
        let reply = connection.ask(&site.get(path).header("authorization", "Bearer a")).await;
        let kept = ["theme=dark; Path=/", "session_id2=near", "basket=\"1, 2\"; Expires=Wed, 21 Oct 2026 07:28:00 GMT"];
        assert_eq!(reply.values("set-cookie"), kept, "{path}");
    }
    site.assert_serves_on(&mut connection).await;
    site.assert_serves().await;
}

#[tokio::test]
async fn an_upstream_cannot_set_ours_in_a_trailer() {
    let site = Site::start().await;
    let trailers = [("set-cookie", "session_id=fixated"), ("x-sum", "1")];
    site.upstream
        .on("/api/c", Play::chunked(Answer::json(200, "{}").with_header("trailer", "set-cookie, x-sum"), &trailers));
    let reply = site.ask(&site.get("/api/c").header("te", "trailers")).await;
    assert_eq!(reply.status, 200);
    assert!(!format!("{:?}{:?}", reply.headers, reply.trailers).contains("fixated"));
}
