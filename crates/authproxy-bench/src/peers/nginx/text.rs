//! nginx's configurations.

use std::{fmt::Write as _, net::SocketAddr};

use crate::{auth::access_token, peers::Stage, upstream::ANYBODY};

/// What differs between configurations.
pub(super) struct Text {
    /// The locations of the server that is measured.
    locations: String,
    /// What stands beside that server.
    beside: String,
}

/// Answers everything.
pub(super) fn answer() -> Text {
    Text { locations: "        location / { return 204; }\n".into(), beside: String::new() }
}

const TO_API: &str = r#"            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
"#;
const TO_CHECK: &str = r#"            proxy_http_version 1.1;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Connection "";
"#;
const ASKING: &str = r"            auth_request /auth/verify;
            auth_request_set $authorization $upstream_http_authorization;
            proxy_set_header Authorization $authorization;
";

/// One header set.
pub(super) fn proxy_pass(stage: &Stage<'_>) -> Text {
    let token = access_token(ANYBODY, 1);
    let locations = format!(
        r#"        location /api/ {{
{TO_API}            proxy_set_header Authorization "Bearer {token}";
        }}
"#
    );
    Text { locations, beside: upstream("api", stage.upstream) }
}

/// A lookup in the map of cookies by another server.
pub(super) fn auth_request(stage: &Stage<'_>, check: SocketAddr) -> Text {
    let locations = format!(
        r"        location = /auth/verify {{
            internal;
            proxy_pass http://check;
{TO_CHECK}        }}
        location /api/ {{
{ASKING}{TO_API}        }}
"
    );
    let server = format!(
        r#"    map_hash_max_size 8192;
    map_hash_bucket_size 256;
    map $http_cookie $token {{
        default "";
        include sessions.map;
    }}
    server {{
        listen {check};
        location / {{
            if ($token = "") {{ return 401; }}
            add_header Authorization "Bearer $token";
            return 204;
        }}
    }}
"#
    );
    Text { locations, beside: upstream("api", stage.upstream) + &upstream("check", check) + &server }
}

/// A session's cookie and its token, line by line.
pub(super) fn map(tokens: &[(String, String)]) -> String {
    tokens.iter().fold(String::new(), |mut text, (cookie, token)| {
        let _ = writeln!(text, "\"{cookie}\" \"{token}\";");
        text
    })
}

/// authproxy is asked, as in `deploy/nginx`.
pub(super) fn verifying(stage: &Stage<'_>, authproxy: SocketAddr) -> Text {
    let locations = format!(
        r"        location = /auth/verify {{
            internal;
            proxy_pass http://authproxy;
{TO_CHECK}            proxy_set_header Host $http_host;
            proxy_set_header X-Original-Method $request_method;
        }}
        location /api/ {{
{ASKING}{TO_API}        }}
"
    );
    Text { locations, beside: upstream("api", stage.upstream) + &upstream("authproxy", authproxy) }
}

fn upstream(name: &str, address: SocketAddr) -> String {
    format!(
        r"    upstream {name} {{
        server {address};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
"
    )
}

/// A whole configuration.
pub(super) fn whole(stage: &Stage<'_>, address: SocketAddr, Text { locations, beside }: &Text) -> String {
    let (workers, port) = (stage.shape.width.count(), address.port());
    let listen = if stage.shape.tls {
        "ssl http2;\n        ssl_protocols TLSv1.2 TLSv1.3;\n        ssl_certificate cert.pem;\n        ssl_certificate_key key.pem;\n        \
         http2_max_concurrent_streams 128"
    } else {
        ""
    };
    format!(
        r"daemon off;
worker_processes {workers};
pid nginx-{port}.pid;
error_log stderr error;
worker_rlimit_nofile 40000;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_max_body_size 10m;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen {address} {listen};
{locations}    }}
{beside}}}
"
    )
}
