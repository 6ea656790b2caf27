//! Envoy.

use std::path::Path;

use super::{Plain, Site};

pub(super) fn side(gateways: &Path) -> Plain {
    Plain {
        name: "Envoy",
        program: gateways.join("envoy"),
        version: &["--version"],
        configuration: "--concurrency 1, router filter only, one Authorization header set, no session, no log, no tracing",
        arguments: &["-c", "FOLDER/envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
        files: |site| vec![("envoy.yaml", text(site))],
    }
}

fn text(Site { address, upstream, token, .. }: &Site) -> String {
    let ([port, upstream_port], [host, upstream_host]) =
        ([address.port(), upstream.port()], [address.ip(), upstream.ip()]);
    format!(
        r#"static_resources:
  listeners:
    - address: {{ socket_address: {{ address: {host}, port_value: {port} }} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: browsers
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      request_headers_to_add:
                        - header: {{ key: Authorization, value: "Bearer {token}" }}
                          append_action: OVERWRITE_IF_EXISTS_OR_ADD
                      routes:
                        - match: {{ prefix: / }}
                          route: {{ cluster: api }}
  clusters:
    - name: api
      connect_timeout: 2s
      load_assignment:
        cluster_name: api
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address: {{ socket_address: {{ address: {upstream_host}, port_value: {upstream_port} }} }}
"#
    )
}
