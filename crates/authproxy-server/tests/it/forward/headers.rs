//! Which header fields reach an upstream (cases 1 to 5 of the edge).

use authproxy_testing::ReceivedRequest;

use super::site::Site;
use crate::harness::Ask;

/// What only we, or a gateway that we trust, may say to an upstream.
const FORGED: &[&str] = &[
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
    "Forwarded",
    "X-Real-Ip",
    "X-Original-Url",
    "X-Original-Method",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Access-Token",
    "Remote-User",
    "X-User",
    "X-User-Id",
    "X-User-Roles",
    "Client-Cert",
    "Client-Cert-Chain",
];

/// A word that no honest header has.
const FORGERY: &str = "f0rged";

fn assert_nothing_forged(request: &ReceivedRequest, case: &str) {
    assert!(!request.contains(FORGERY), "{case}: {}", String::from_utf8_lossy(&request.head));
}

#[tokio::test]
async fn identity_headers_of_the_peer_are_dropped_in_every_spelling_on_every_route() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    let mut asked = 0;
    for name in FORGED {
        let underscored = name.replace('-', "_");
        let mixed = name.replacen('-', "_", 1);
        for spelling in [*name, &name.to_uppercase(), &name.to_lowercase(), &underscored, &mixed] {
            for (path, method) in [("/api/h", "GET"), ("/open/h", "GET"), ("/open/h", "OPTIONS"), ("/bearer/h", "GET")]
            {
                let mut ask = Ask::new(method, path).header(spelling, FORGERY).header(spelling, FORGERY);
                ask = match path {
                    "/api/h" => ask.cookie(&site.cookie),
                    "/bearer/h" => ask.header("authorization", "Bearer mine"),
                    _ => ask,
                };
                let reply = connection.ask(&ask).await;
                assert_eq!(reply.status, 200, "{method} {path} {spelling}");
                asked += 1;
            }
        }
    }
    let requests = site.upstream.requests();
    assert_eq!(requests.len(), asked);
    for request in &requests {
        assert_nothing_forged(request, request.path());
        for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "host", "x-request-id", "traceparent"]
        {
            assert_eq!(request.header_values(name).len(), 1, "{name}");
        }
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.header("x-forwarded-host"), Some("proxy.example"));
        assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    }
    site.assert_serves_on(&mut connection).await;
    site.assert_serves().await;
}

#[tokio::test]
async fn the_routes_own_identity_headers_cannot_be_forged() {
    let site = Site::with_config(|config| {
        let route = &mut config.route[0];
        route.user_header = Some("x-whoami".parse().unwrap());
        route.token_header = Some("x-token".parse().unwrap());
        route.claim_headers = vec![("x-roles".parse().unwrap(), "roles".into())];
    })
    .await;
    let names = ["X-Whoami", "X-Token", "X-Roles", "x_whoami", "X_TOKEN", "x_roles"];
    let ask = names.into_iter().fold(site.get("/api/h"), |ask, name| ask.header(name, FORGERY));
    assert_eq!(site.ask(&ask).await.status, 200);
    assert_nothing_forged(&site.received("/api/h"), "/api/h");
    let request = site.received("/api/h");
    assert_eq!(request.header("x-whoami"), Some("a@example.com"));
    assert!(request.header("x-token").unwrap().starts_with("CANARY-token-a"));
    assert_eq!((request.header("authorization"), request.header("x-roles")), (None, None));
    site.assert_serves_token_header().await;
}

#[tokio::test]
async fn what_one_route_says_about_the_user_cannot_be_forged_through_another() {
    let site = Site::with_config(|config| {
        let [session, bearer, public] = &mut config.route[..] else { panic!("three routes") };
        session.user_header = Some("x-whoami".parse().unwrap());
        session.token_header = Some("x-token".parse().unwrap());
        session.claim_headers = vec![("x-roles".parse().unwrap(), "roles".into())];
        bearer.underscore_headers = vec!["x_whoami".parse().unwrap()];
        public.underscore_headers = vec!["x_token".parse().unwrap()];
    })
    .await;
    let names = ["X-Whoami", "X-Token", "X-Roles", "x_whoami", "X_TOKEN", "x_roles"];
    for path in ["/open/h", "/bearer/h"] {
        let mut connection = site.connect().await;
        let fields: String = names.map(|name| format!("{name}: {FORGERY}\r\n")).concat();
        connection
            .send(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer mine\r\n{fields}\
                 Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n{fields}\r\n"
            ))
            .await;
        assert_eq!(connection.reply().await.status, 200, "{path}");
        let request = site.received(path);
        assert_nothing_forged(&request, path);
        assert!(request.raw_body.ends_with(b"ab\r\n0\r\n\r\n"), "{path}: trailers");
    }
}

impl Site {
    /// [`Site::assert_serves`] for a site whose token stands in another header.
    async fn assert_serves_token_header(&self) {
        assert_eq!(self.ask(&self.get("/api/again")).await.status, 200);
        assert_eq!(self.received("/api/again").header_values("x-token").len(), 1);
    }
}

#[tokio::test]
async fn other_names_with_underscores_are_dropped_and_honest_ones_cross() {
    let site = Site::start().await;
    let ask = site.get("/api/h").header("my_header", FORGERY).header("X-My-Header", "a").header("x-my-header", "b");
    let mut connection = site.connect().await;
    assert_eq!(connection.ask(&ask.header("Accept-Language", "de, en;q=0.5")).await.status, 200);
    let request = site.received("/api/h");
    assert_nothing_forged(&request, "underscore");
    assert_eq!(request.header_values("x-my-header"), ["a", "b"]);
    assert_eq!(request.header("accept-language"), Some("de, en;q=0.5"));
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn a_name_with_an_underscore_crosses_where_its_route_allows_it_by_name() {
    let site = Site::with_config(|config| config.route[0].underscore_headers = vec!["api_key".parse().unwrap()]).await;
    let ask = |path| site.get(path).header("Api_Key", "k").header("my_header", FORGERY).header("x_real_ip", FORGERY);
    assert_eq!(site.ask(&ask("/api/h")).await.status, 200);
    let request = site.received("/api/h");
    assert_nothing_forged(&request, "underscore");
    assert_eq!(request.header_values("api_key"), ["k"]);
    assert_eq!(site.ask(&ask("/open/h")).await.status, 200);
    assert_eq!(site.received("/open/h").header("api_key"), None, "another route");
}

#[tokio::test]
async fn a_gateway_is_believed_only_when_it_is_trusted() {
    for (trusted, chain, proto, host) in [
        (None, "127.0.0.1", "http", "proxy.example"),
        (Some("10.0.0.0/8"), "127.0.0.1", "http", "proxy.example"),
        (Some("127.0.0.0/8"), "203.0.113.9, 127.0.0.1", "https", "app.example"),
    ] {
        let site = Site::with_config(|config| {
            config.trusted_proxies = trusted.into_iter().map(|network| network.parse().unwrap()).collect();
        })
        .await;
        let ask = site
            .get("/api/h")
            .header("X-Forwarded-For", "203.0.113.9")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "app.example")
            .header("X-Forwarded-User", FORGERY)
            .header("Remote-User", FORGERY)
            .header("X_Forwarded_For", FORGERY);
        assert_eq!(site.ask(&ask).await.status, 200);
        let request = site.received("/api/h");
        assert_nothing_forged(&request, "an identity is no gateway's to tell");
        assert_eq!(request.header_values("x-forwarded-for"), [chain], "{trusted:?}");
        assert_eq!(request.header_values("x-forwarded-proto"), [proto]);
        assert_eq!(request.header_values("x-forwarded-host"), [host]);
        site.assert_serves().await;
    }
}

#[tokio::test]
async fn a_connection_header_takes_away_nothing_of_ours() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    let nominated = "authorization, x-forwarded-for, x-forwarded-host, x-forwarded-proto, via, x-request-id, \
                     traceparent, host, cookie, x-mine, keep-alive";
    let ask = site.get("/api/h").header("X-Mine", "gone").header("Connection", nominated);
    assert_eq!(connection.ask(&ask).await.status, 200);
    let request = site.received("/api/h");
    for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via", "x-request-id", "traceparent"] {
        assert_eq!(request.header_values(name).len(), 1, "{name}");
    }
    assert_eq!(request.header("host"), Some(site.upstream.addr().to_string().as_str()));
    assert!(request.header("authorization").unwrap().starts_with("Bearer CANARY-token-a"));
    assert_eq!((request.header("x-mine"), request.header("connection")), (None, None));
    site.assert_serves_on(&mut connection).await;
    site.assert_serves().await;
}

#[tokio::test]
async fn a_connection_header_cannot_take_a_body_out_of_its_frame() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    let smuggled = "GET /api/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let ask = site.post("/api/h", smuggled).header("Connection", "content-length, transfer-encoding");
    assert_eq!(connection.ask(&ask).await.status, 200);
    assert_eq!(site.received("/api/h").body(), smuggled.as_bytes());
    site.assert_serves_on(&mut connection).await;
    assert_eq!(site.count(), 2);
}

#[tokio::test]
async fn hop_by_hop_headers_stay_on_their_hop() {
    let site = Site::start().await;
    let hops = [
        ("TE", "gzip, trailers;q=0.5"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic YTpi"),
        ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "h2c, websocket"),
        ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
    ];
    let mut connection = site.connect().await;
    let ask = hops.iter().fold(site.get("/api/h"), |ask, (name, value)| ask.header(name, value));
    assert_eq!(connection.ask(&ask).await.status, 200);
    let h2c = site.get("/api/h2c").header("Connection", "Upgrade, HTTP2-Settings").header("Upgrade", "h2c");
    assert_eq!(connection.ask(&h2c.header("HTTP2-Settings", "AAMAAABk")).await.status, 200);
    let request = site.received("/api/h");
    assert!(matches!(request.header("te"), None | Some("trailers")), "only a willingness to take trailers crosses");
    for (name, _) in &hops[1..] {
        assert_eq!(request.header(name), None, "{name}");
        assert_eq!(site.received("/api/h2c").header(name), None, "{name}");
    }
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn the_peers_own_authorization_is_dropped_on_session_routes_and_kept_elsewhere() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    for (path, expected) in
        [("/api/h", "Bearer CANARY-token-a1"), ("/bearer/h", "Bearer mine"), ("/open/h", "Bearer mine")]
    {
        let nominated = site.get(path).header("Connection", "keep-alive, authorization");
        let ask = nominated.header("Authorization", "Bearer mine");
        assert_eq!(connection.ask(&ask).await.status, 200);
        assert_eq!(site.received(path).header_values("authorization"), [expected]);
    }
    for values in [&["Basic YTpi"][..], &["Bearer one", "Bearer two"], &["bearer x"]] {
        let ask = values.iter().fold(site.get("/api/twice"), |ask, value| ask.header("Authorization", value));
        assert_eq!(connection.ask(&ask).await.status, 200);
    }
    for request in site.upstream.requests_of("/api/twice") {
        assert_eq!(request.header_values("authorization"), ["Bearer CANARY-token-a1"]);
    }
    site.assert_serves().await;
}

#[tokio::test]
async fn without_its_credential_a_request_reaches_no_upstream() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    for (ask, status, detail) in [
        (Ask::get("/api/h"), 401, "No session cookie found. Please login first."),
        (Ask::get("/api/h").header("authorization", "Bearer x"), 401, "No session cookie found. Please login first."),
        (Ask::get("/api/h").cookie("session_id=junk"), 401, "Invalid session. Please login again."),
        (Ask::get("/bearer/h"), 401, "Not authenticated"),
        (site.get("/bearer/h"), 401, "Not authenticated"),
        (Ask::get("/bearer/h").header("authorization", "Basic YTpi"), 401, "Not authenticated"),
        (
            Ask::get("/bearer/h").header("authorization", "Bearer a").header("authorization", "Bearer b"),
            401,
            "Not authenticated",
        ),
    ] {
        let reply = connection.ask(&ask).await;
        assert_eq!((reply.status, reply.detail().as_str()), (status, detail));
    }
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for origin in [None, Some(("sec-fetch-site", "cross-site")), Some(("origin", "https://evil.example"))] {
            let ask = Ask::new(method, "/api/h").cookie(&site.cookie);
            let ask = origin.into_iter().fold(ask, |ask, (name, value)| ask.header(name, value));
            assert_eq!(site.ask(&ask).await.status, 403, "{method} {origin:?}");
        }
    }
    assert_eq!(site.count(), 0);
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn the_host_decides_nothing_at_the_upstream_unless_it_is_to() {
    for preserve in [false, true] {
        let site = Site::with_routes(|route| route.preserve_host = preserve).await;
        let authority = site.upstream.addr().to_string();
        let cookie = &site.cookie;
        for (line, host, asked) in [
            ("GET /api/a HTTP/1.1", "app.example", "app.example"),
            ("GET /api/b HTTP/1.1", "app.example:8443", "app.example:8443"),
            ("GET http://real.example/api/c HTTP/1.1", "other.example", "real.example"),
            ("GET HTTP://real.example:81/api/d?x=http://y HTTP/1.1", "other.example", "real.example:81"),
        ] {
            let mut connection = site.connect().await;
            connection.send(format!("{line}\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n")).await;
            assert_eq!(connection.reply().await.status, 200, "{line}");
            let path = line.split(['?', ' ']).nth(1).unwrap();
            let path = &path[path.find("/api").unwrap()..];
            let request = site.received(path);
            assert_eq!(request.header_values("host"), [if preserve { asked } else { &authority }]);
            assert_eq!(request.header_values("x-forwarded-host"), [asked]);
            assert!(request.target().starts_with("/api/"), "origin-form only: {}", request.target());
            site.assert_serves_on(&mut connection).await;
        }
    }
}

#[tokio::test]
async fn what_is_not_for_an_origin_server_reaches_no_upstream() {
    let site = Site::start().await;
    let cookie = format!("Cookie: {}\r\n", site.cookie);
    for (head, status) in [
        ("GET /api/a HTTP/1.1\r\n", 400),
        ("GET /api/a HTTP/1.1\r\nHost:\r\n", 400),
        ("GET /api/a HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        ("GET /api/a HTTP/1.1\r\nHost: u@a\r\n", 400),
        ("GET /api/a HTTP/1.1\r\nHost: a/b\r\n", 400),
        ("GET http://u@a/api/a HTTP/1.1\r\nHost: a\r\n", 400),
        ("GET ftp://a/api/a HTTP/1.1\r\nHost: a\r\n", 400),
        ("GET /api/a#b HTTP/1.1\r\nHost: a\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n", 501),
        ("TRACE /api/a HTTP/1.1\r\nHost: a\r\n", 405),
        ("BREW /api/a HTTP/1.1\r\nHost: a\r\n", 501),
    ] {
        let mut connection = site.connect().await;
        connection.send(format!("{head}{cookie}\r\n")).await;
        assert_eq!(connection.reply().await.status, status, "{head:?}");
        assert_eq!(site.count(), 0, "{head:?}");
    }
    site.assert_serves().await;
}

#[tokio::test]
async fn every_request_is_traceable_and_junk_is_replaced() {
    let site = Site::start().await;
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut connection = site.connect().await;
    let ask =
        site.get("/api/good").header("traceparent", good).header("tracestate", "a=1").header("x-request-id", "abc-1");
    let reply = connection.ask(&ask.header("via", "1.1 gateway")).await;
    assert_eq!(reply.header("x-request-id"), Some("abc-1"));
    let request = site.received("/api/good");
    assert_eq!(request.header_values("traceparent"), [good]);
    assert_eq!(request.header_values("tracestate"), ["a=1"]);
    assert_eq!(request.header_values("x-request-id"), ["abc-1"]);
    assert_eq!(request.header_values("via").join(", "), "1.1 gateway, 1.1 authproxy");

    for (junk_trace, junk_id) in [
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", "a b"),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "<script>"),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01", "\"quoted\""),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""),
        ("junk", &"x".repeat(5000)),
    ] {
        let ask = site.get("/api/junk").header("traceparent", junk_trace).header("tracestate", "a=1");
        let reply = connection.ask(&ask.header("x-request-id", junk_id)).await;
        let requests = site.upstream.requests_of("/api/junk");
        let request = requests.last().unwrap();
        let [id] = request.header_values("x-request-id")[..] else { panic!("one id") };
        assert_eq!(reply.header("x-request-id"), Some(id));
        assert!(id != junk_id && !id.is_empty() && id.len() <= 64, "{id}");
        let [trace] = request.header_values("traceparent")[..] else { panic!("one trace") };
        assert!(trace != junk_trace && trace.len() == 55 && trace.starts_with("00-"), "{trace}");
        assert_eq!(request.header("tracestate"), None);
    }
    let twice = site.get("/api/twice").header("traceparent", good).header("traceparent", good);
    assert_eq!(connection.ask(&twice.header("x-request-id", "a").header("x-request-id", "b")).await.status, 200);
    let request = site.received("/api/twice");
    assert_eq!((request.header_values("traceparent").len(), request.header_values("x-request-id").len()), (1, 1));
    assert_ne!(request.header("traceparent"), Some(good));
}
