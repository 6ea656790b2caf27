//! A request as its upstream gets it, in the form of either protocol.

use authproxy_core::manager::ReadyToken;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{CONNECTION, HOST, TE},
    uri::{PathAndQuery, Scheme},
};
use hyper::ext;

use super::{
    headers::{self, Onward, Value},
    http1::Outgoing,
    upload::Upload,
};
use crate::server::Interim;

/// A request without its body.
pub(crate) struct Message<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a PathAndQuery,
    /// The browser's header fields.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) onward: &'a Onward<'a>,
    pub(crate) token: Option<&'a ReadyToken>,
}

impl Message<'_> {
    /// As HTTP/1.1 has it: the host in `Host` (RFC 9112, section 3.2.1), and `Connection` naming `TE` (RFC 9110, section
    /// 10.1.4).
    pub(super) fn http1(&self, body: Upload) -> Outgoing<'_> {
        const NAMES_TE: HeaderValue = HeaderValue::from_static("te");
        Outgoing::new(self.method, self.target, body, |say| {
            self.say(&mut |name, value| {
                say(name, value);
                if *name == TE {
                    say(&CONNECTION, Value::Kept(&NAMES_TE));
                }
            });
        })
    }

    /// As HTTP/2 has it: the host in `:authority` (RFC 9113, section 8.3.1).
    pub(super) fn http2(&self, body: Upload) -> Request<Upload> {
        let mut request = Request::new(body);
        let headers = request.headers_mut();
        self.say(&mut |name, value| _ = headers.append(name, value.to_header()));
        let host = headers.remove(HOST).unwrap_or(HeaderValue::from_static(""));
        let uri = Uri::builder().scheme(Scheme::HTTPS).authority(host.as_bytes());
        *request.uri_mut() = uri.path_and_query(self.target.clone()).build().unwrap_or_default();
        *request.method_mut() = self.method.clone();
        *request.version_mut() = Version::HTTP_2;
        if let Some(interim) = self.who_hears_interim().cloned() {
            ext::on_informational(&mut request, move |early| pass_on(&interim, early.status(), early.headers()));
        }
        request
    }

    /// What passes answers before the answer on.
    pub(super) fn interim(&self) -> impl FnMut(StatusCode, &HeaderMap) {
        let interim = self.who_hears_interim();
        move |status, headers| {
            if let Some(interim) = interim {
                pass_on(interim, status, headers);
            }
        }
    }

    /// Nobody over HTTP/1.0, which has no such answers.
    fn who_hears_interim(&self) -> Option<&Interim> {
        self.onward.peer.interim.as_ref().filter(|_| self.onward.version == Version::HTTP_11)
    }

    fn say(&self, say: &mut dyn FnMut(&HeaderName, Value<'_>)) {
        self.onward.request(self.headers, self.token, say);
    }
}

/// Passes an answer before the answer on, without what no answer may carry (RFC 8297 for 103).
fn pass_on(interim: &Interim, status: StatusCode, headers: &HeaderMap) {
    if status != StatusCode::CONTINUE {
        let mut headers = headers.clone();
        headers::clean_interim(&mut headers);
        interim.send(status, &headers);
    }
}
