//! Embedding `TokenManager` in a service of your own, which calls an API with a token that is always fresh.
//! Run it: `cargo run -p authproxy-examples --bin embed`

use std::{sync::Arc, time::Duration};

use authproxy_core::{Credentials, MemoryStore, SessionKey, TokenError, TokenManager};
use authproxy_embedded::EmbeddedAuth;
use authproxy_examples::{Error, start};

/// A job that calls an API every now and then.
struct Reports {
    manager: TokenManager,
    session: SessionKey,
    http_client: reqwest::Client,
    api: String,
}

impl Reports {
    async fn fetch(&self) -> Result<String, Error> {
        let token = match self.manager.access_token(&self.session).await {
            Ok(token) => token,
            Err(TokenError::LogInAgain(why)) => return Err(format!("the job must log in again: {why}").into()),
            Err(later) => return Err(format!("try again later: {later}").into()),
        };
        let authorization = token.access_token().authorization().clone();
        let answer = self.http_client.get(&self.api).header("authorization", authorization).send().await?;
        if answer.status() == 401 {
            self.manager.report_rejected(&self.session, token.version()); // the next call gets a new one
        }
        Ok(answer.error_for_status()?.text().await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = EmbeddedAuth::builder().cheap_passwords().build();
    let (backend, url) = start(&service).await?;
    let manager = TokenManager::builder(Arc::new(backend), Arc::new(MemoryStore::new(100))).build();
    let opened = manager.open(Credentials::password("user@example.com", "password123")).await?;
    let http_client = reqwest::Client::builder().no_proxy().build()?;
    let reports =
        Reports { manager: manager.clone(), session: opened.id.key(), http_client, api: format!("{url}/protected") };
    println!("{}", reports.fetch().await?);

    manager.close(&reports.session).await?;
    let after = reports.fetch().await.expect_err("the session is closed");
    println!("after the logout: {after}");
    manager.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
