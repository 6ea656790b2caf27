//! Caddy.

use std::path::Path;

use super::{Plain, Site};

pub(super) fn side(gateways: &Path) -> Plain {
    Plain {
        name: "Caddy",
        program: gateways.join("caddy"),
        version: &["version"],
        configuration: "GOMAXPROCS of one core, reverse_proxy with kept connections, one Authorization header set, no \
                        session, no log",
        arguments: &["run", "--config", "FOLDER/Caddyfile", "--adapter", "caddyfile"],
        files: |site| vec![("Caddyfile", text(site))],
    }
}

fn text(Site { address, upstream, token, .. }: &Site) -> String {
    let port = address.port();
    format!(
        r#"{{
	admin off
	persist_config off
	log {{
		level ERROR
	}}
}}
http://:{port} {{
	bind 127.0.0.1
	reverse_proxy {upstream} {{
		header_up Authorization "Bearer {token}"
		transport http {{
			keepalive_idle_conns_per_host 256
		}}
	}}
}}
"#
    )
}
