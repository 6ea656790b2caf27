//! `HAProxy`.

use super::{Plain, Site};

pub(super) fn side() -> Plain {
    Plain {
        name: "HAProxy",
        program: "/usr/sbin/haproxy".into(),
        version: &["-v"],
        configuration: "one thread, http-reuse always, one Authorization header set, no session, no log",
        arguments: &["-db", "-f", "FOLDER/haproxy.cfg"],
        files: |site| vec![("haproxy.cfg", text(site))],
    }
}

fn text(Site { address, upstream, token, .. }: &Site) -> String {
    format!(
        r#"global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    timeout http-keep-alive 1m
frontend browsers
    bind {address}
    http-request set-header Authorization "Bearer {token}"
    default_backend api
backend api
    http-reuse always
    server api {upstream}
"#
    )
}
