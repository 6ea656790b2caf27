//! How a server is to be started.

use super::{server::RedisServer, tls::RedisTlsFiles};

/// How a [`RedisServer`] is to be started. Without any: a free port on 127.0.0.1, no password, nothing on disk.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    pub(super) password: Option<String>,
    pub(super) user: Option<String>,
    pub(super) tls: bool,
    /// Another server's certificates, which this one uses too.
    pub(super) shared_tls: Option<RedisTlsFiles>,
    pub(super) unix: bool,
    pub(super) appendonly: bool,
    pub(super) settings: Vec<String>,
}

impl RedisOptions {
    /// Asks every client for this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Asks for a user's name too; the default user is off then. Call [`password`](Self::password) as well.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Speaks TLS only, with a certificate of [`RedisServer::tls_files`], and asks its clients for theirs.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Listens on a Unix socket too; [`RedisServer::url`] then names that.
    #[must_use]
    pub fn unix_socket(mut self) -> Self {
        self.unix = true;
        self
    }

    /// Writes everything to disk before it answers, so that [`RedisServer::restart`] finds it again.
    #[must_use]
    pub fn appendonly(mut self) -> Self {
        self.appendonly = true;
        self
    }

    /// At most so many bytes, as Redis writes them (`3mb`), and no eviction.
    #[must_use]
    pub fn maxmemory(self, bytes: &str) -> Self {
        self.setting("maxmemory", bytes).setting("maxmemory-policy", "noeviction")
    }

    /// At most so many connections.
    #[must_use]
    pub fn maxclients(self, clients: u32) -> Self {
        self.setting("maxclients", &clients.to_string())
    }

    /// The same certificates as this server's, where that speaks TLS: servers that speak to each other share an authority.
    pub(super) fn beside(mut self, server: &RedisServer) -> Self {
        self.shared_tls = self.tls.then(|| server.tls_files().clone());
        self
    }

    /// Any other setting of `redis.conf`, one value.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.extend([format!("--{name}"), value.to_owned()]);
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start(self) -> RedisServer {
        RedisServer::start_with(self).await
    }
}
