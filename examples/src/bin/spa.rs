//! A page that never holds a token: a single-page app, its API, an auth service, and authproxy in front of them all.
//! Run it: `cargo run -p authproxy-examples --bin spa`, then open <http://127.0.0.1:8000/>
//!
//! `-- --access 2s --refresh 1m --listen 127.0.0.1:0` sets how long tokens live and where it listens; `-- --check`
//! walks through it once, as a browser would, and stops. The page is `examples/spa`: plain files, read at each request.
//!
//! The same for `authproxy serve`, in front of an auth service and an API of your own:
//!
//! ```toml
//! auth_url = "https://auth.example.com"
//! public_url = "https://app.example.com"
//!
//! [[route]] # the page: for everyone
//! prefix = "/"
//! upstream = "http://127.0.0.1:9000"
//! access = "public"
//!
//! [[route]] # its API: with a session only; the upstream gets `Authorization: Bearer`, always fresh
//! prefix = "/api"
//! upstream = "http://127.0.0.1:9000"
//! access = "session"
//! ```

use std::{env, net::SocketAddr, time::Duration};

use authproxy_embedded::EmbeddedAuth;
use authproxy_examples::{Error, shop, start};
use authproxy_server::config::{Config, RouteAccess, RouteConfig, UpstreamUrl, duration};
use http::{StatusCode, header::SET_COOKIE};
use tokio::{net::TcpListener, signal::ctrl_c, task::JoinSet};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let options = Options::read(env::args().skip(1))?;

    // An auth service, with the account user@example.com. In production: yours.
    let service =
        EmbeddedAuth::builder().access_ttl(options.access).refresh_ttl(options.refresh).max_users(1000).build();
    let (_, auth_url) = start(&service).await?;

    // The page's files and its API. In production: yours.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream: UpstreamUrl = format!("http://{}", listener.local_addr()?).parse()?;
    let mut tasks = JoinSet::new();
    tasks.spawn(shop::serve(listener, auth_url.clone()));

    // authproxy in front. Its own endpoints (/login, /logout, /session, …) come before every route.
    let mut page = RouteConfig::new("/", upstream.clone());
    page.access = RouteAccess::Public;
    let mut api = RouteConfig::new("/api", upstream);
    api.access = RouteAccess::Session;
    let mut config = Config::default();
    config.auth_url = Some(auth_url);
    config.backend.rotation = service.rotation();
    config.route = vec![page, api];
    config.limits.drain_timeout = Duration::from_secs(1); // an event stream would be waited for
    let listener = TcpListener::bind(options.listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("open {url}/ and log in as user@example.com with password123, or register; Ctrl-C stops");
    if options.check {
        tokio::select! {
            ended = authproxy_server::run(listener, config, std::future::pending()) => ended.map(|_| ())?,
            checked = check(&url, options.access) => checked?,
        }
    } else {
        authproxy_server::run(listener, config, async { ctrl_c().await.unwrap_or_default() }).await?;
    }
    Ok(())
}

struct Options {
    access: Duration,
    refresh: Duration,
    listen: SocketAddr,
    check: bool,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Error> {
        let (access, refresh) = (Duration::from_secs(10), Duration::from_secs(60));
        let mut options = Self { access, refresh, listen: ([127, 0, 0, 1], 8000).into(), check: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--access" => options.access = duration::parse(&value()?)?,
                "--refresh" => options.refresh = duration::parse(&value()?)?,
                "--listen" => options.listen = value()?.parse()?,
                "--check" => options.check = true,
                _ => return Err(format!("{word} is none of --access, --refresh, --listen, --check").into()),
            }
        }
        Ok(options)
    }
}

/// What the page does, in short: its files for everyone, its API with a session only, across a refresh, until logout.
async fn check(url: &str, access: Duration) -> Result<(), Error> {
    let browser = reqwest::Client::builder().no_proxy().build()?;
    for file in ["", "app.js", "style.css"] {
        browser.get(format!("{url}/{file}")).send().await?.error_for_status()?;
    }
    let without = browser.get(format!("{url}/api/me")).send().await?;
    assert_eq!(without.status(), StatusCode::UNAUTHORIZED, "the API wants a session");

    // `Origin` is what tells a page's request from a program's.
    let login = browser.post(format!("{url}/login")).header("origin", url);
    let form = "username=user@example.com&password=password123";
    let login = login.header("content-type", "application/x-www-form-urlencoded").body(form).send().await?;
    let cookie = login.headers()[SET_COOKIE].to_str()?.split(';').next().unwrap_or_default().to_owned();
    let answer = login.text().await?;
    assert!(answer.contains("Login successful") && !answer.contains("token"), "a page gets no tokens");

    let me = || browser.get(format!("{url}/api/me")).header("cookie", &cookie).send();
    let first = me().await?.error_for_status()?.text().await?;
    tokio::time::sleep(access).await;
    let second = me().await?.error_for_status()?.text().await?;
    assert!(first.contains(r#""tokens_seen":1"#) && second.contains(r#""tokens_seen":2"#), "{first} {second}");

    let order = || browser.post(format!("{url}/api/orders")).header("cookie", &cookie).body(r#"{"item":"tea"}"#);
    let ordered = order().header("origin", url).send().await?;
    assert_eq!(ordered.status(), StatusCode::CREATED, "a page may order");
    let forged = order().header("origin", "https://evil.example").send().await?;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN, "another site's page may not");

    browser.post(format!("{url}/logout")).header("cookie", &cookie).header("origin", url).send().await?;
    assert_eq!(me().await?.status(), StatusCode::UNAUTHORIZED, "the session is over");
    println!("before a refresh {first}, after it {second}; no token in sight");
    Ok(())
}
