//! Traefik.

use std::path::Path;

use super::{Plain, Site};

pub(super) fn side(gateways: &Path) -> Plain {
    Plain {
        name: "Traefik",
        program: gateways.join("traefik"),
        version: &["version"],
        configuration: "GOMAXPROCS of one core, kept connections, one Authorization header set, no session, no log",
        arguments: &["--configfile=FOLDER/traefik.yml"],
        files: |site| vec![("traefik.yml", fixed(site)), ("dynamic.yml", dynamic(site))],
    }
}

fn fixed(Site { address, folder, .. }: &Site) -> String {
    format!(
        r#"entryPoints:
  web:
    address: "{address}"
global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: ERROR
serversTransport:
  maxIdleConnsPerHost: 256
providers:
  file:
    filename: {folder}/dynamic.yml
    watch: false
"#
    )
}

fn dynamic(Site { upstream, token, .. }: &Site) -> String {
    format!(
        r#"http:
  routers:
    api:
      rule: PathPrefix(`/api`)
      entryPoints: [web]
      middlewares: [token]
      service: api
  middlewares:
    token:
      headers:
        customRequestHeaders:
          Authorization: "Bearer {token}"
  services:
    api:
      loadBalancer:
        servers:
          - url: "http://{upstream}"
"#
    )
}
