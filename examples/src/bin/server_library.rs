//! The server as a library: the whole proxy inside another program, on a listener of its choosing.
//! Run it: `cargo run -p authproxy-examples --bin server_library`

use authproxy_embedded::EmbeddedAuth;
use authproxy_examples::{Error, start};
use authproxy_server::config::Config;
use tokio::{net::TcpListener, sync::oneshot};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = EmbeddedAuth::builder().cheap_passwords().build();
    let (_, auth_url) = start(&service).await?;

    let mut config = Config::default();
    config.auth_url = Some(auth_url);
    config.backend.rotation = service.rotation();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let proxy = tokio::spawn(authproxy_server::run(listener, config, async {
        let _ = stopped.await;
    }));

    let browser = reqwest::Client::builder().no_proxy().build()?;
    let form = "username=user@example.com&password=password123";
    let login = browser.post(format!("{url}/login")).body(form);
    let login = login.header("content-type", "application/x-www-form-urlencoded").send().await?.error_for_status()?;
    let cookie = login.headers()["set-cookie"].to_str()?.split(';').next().unwrap_or_default().to_owned();
    let page = browser.get(format!("{url}/protected-auto")).header("cookie", cookie).send().await?;
    println!("{} {}", page.status(), page.text().await?);

    drop(stop);
    proxy.await??;
    Ok(())
}
