//! A gateway: which files of `deploy/` it takes, how it is started, what it can do.

use std::{fs, net::SocketAddr, path::Path};

/// The ports that stand in the files of `deploy/`: the gateway's own, authproxy's, the API's.
const PORTS: [&str; 3] = ["8080", "8000", "9000"];

/// One of the four, or the balancer of a fleet, which asks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    Nginx,
    Traefik,
    Caddy,
    Envoy,
    Balancer,
}

impl Gateway {
    /// The program's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx | Self::Balancer => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
        }
    }

    /// The name of its folder under `deploy/`.
    fn folder(self) -> &'static str {
        if self == Self::Balancer { "fleet" } else { self.name() }
    }

    /// How it is started in the folder with its files.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nginx | Self::Balancer => &["-p", ".", "-c", "nginx.conf", "-e", "stderr"],
            Self::Traefik => &["--configfile=traefik.yml"],
            Self::Caddy => &["run", "--config", "Caddyfile", "--adapter", "caddyfile"],
            Self::Envoy => &["-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "2", "-l", "warning"],
        }
    }

    /// Whether it can take one cookie out of many. The others take all away before a request goes to the API.
    pub(crate) fn keeps_other_cookies(self) -> bool {
        matches!(self, Self::Nginx | Self::Caddy)
    }

    /// Writes its files with these addresses' ports into `folder`, and what surrounds them on a real machine.
    pub(crate) fn write_files(self, folder: &Path, listen: SocketAddr, authproxy: SocketAddr, api: SocketAddr) {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(self.folder());
        let ports = [listen, authproxy, api].map(|address| address.port().to_string());
        let mut found = [false; 3];
        for file in fs::read_dir(deploy).unwrap() {
            let file = file.unwrap();
            let mut text = fs::read_to_string(file.path()).unwrap();
            // Twice, for a new port's digits may look like one that is still to be replaced.
            for (place, port) in PORTS.iter().enumerate() {
                found[place] |= text.contains(port);
                text = text.replace(port, &format!("<{place}>"));
            }
            for (place, port) in ports.iter().enumerate() {
                text = text.replace(&format!("<{place}>"), port);
            }
            let text = text.replace("node1:", "127.0.0.1:").replace("node2:", "127.0.0.1:");
            fs::write(folder.join(file.file_name()), text).unwrap();
        }
        assert_eq!(found, [true; 3], "{PORTS:?} stand in deploy/{}", self.folder());
        if self == Self::Balancer {
            fs::rename(folder.join("nginx.conf"), folder.join("authproxy.conf")).unwrap();
        }
        if self.name() == "nginx" {
            fs::write(folder.join("nginx.conf"), NGINX_CONF).unwrap();
        }
    }
}

/// What `/etc/nginx/nginx.conf` is elsewhere: one process, everything in this folder.
const NGINX_CONF: &str = "
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include authproxy.conf;
}
";
