//! [`Names`]: what a browser may not say, because upstreams believe it of us.

use http::HeaderName;

use crate::config::RouteConfig;

/// Header names, compared as those upstreams read them that take `_` for `-`.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<HeaderName>);

impl Names {
    /// What any route says about who is asking. An upstream that believes it from one route would believe it from every
    /// other one that leads there.
    pub(crate) fn about_the_asker(routes: &[RouteConfig]) -> Self {
        let names = routes.iter().flat_map(|route| {
            let claims = route.claim_headers.iter().map(|(name, _)| name);
            route.token_header.iter().chain(&route.user_header).chain(claims)
        });
        Self(names.map(normalised).collect()).each_once()
    }

    /// These, and what this route replaces or takes away.
    pub(crate) fn and_those_of(&self, route: &RouteConfig) -> Self {
        let added = route.add_request_headers.iter().map(|(name, _)| name);
        let names = added.chain(&route.remove_request_headers).map(normalised);
        Self(self.0.iter().cloned().chain(names).collect()).each_once()
    }

    fn each_once(mut self) -> Self {
        self.0.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        self.0.dedup();
        self
    }

    /// Whether this name is among them, without a look at its spelling: it has no `_`.
    pub(super) fn contain(&self, name: &HeaderName) -> bool {
        self.0.contains(name)
    }

    /// Whether this name is among them, however it is spelled.
    pub(super) fn contain_spelled(&self, name: &HeaderName) -> bool {
        self.contain(&normalised(name))
    }
}

fn normalised(name: &HeaderName) -> HeaderName {
    HeaderName::try_from(name.as_str().replace('_', "-")).expect("a hyphen may stand where an underscore does")
}
