//! The end of patience races everything: whatever wins, "not processed" means that the service never saw the token.

use std::{future::Future, task::Context, time::Duration};

use super::{
    Class, TOKENS, backend, builder, class,
    raw_server::{Act, RawServer, response},
    refresh, refresh_within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_was_not_processed_was_never_seen() {
    let server = RawServer::always(Act::AnswerAndClose(response(200, TOKENS))).await;
    let backend = backend(&server);
    let crowd: Vec<_> = (0..600)
        .map(|number| {
            let backend = backend.clone();
            let timeout = Duration::from_micros(number * 400);
            tokio::spawn(async move { class(&refresh_within(&backend, &format!("token-{number}"), timeout).await) })
        })
        .collect();
    let mut results = Vec::new();
    for refresh in crowd {
        results.push(refresh.await.unwrap());
    }
    drop(backend);
    server.drained().await;
    assert!(results.contains(&Class::NotProcessed), "a crowd keeps some from ever connecting");
    for (number, class) in results.into_iter().enumerate() {
        let presentations = server.presentations(&format!("token-{number}"));
        match class {
            Class::NotProcessed => assert_eq!(presentations, 0, "token-{number}"),
            Class::Tokens => assert_eq!(presentations, 1, "token-{number}"),
            _ => assert!(presentations <= 1, "token-{number}"),
        }
    }
}

/// A dropped future sends nothing by itself, and nothing twice.
#[tokio::test]
async fn a_caller_who_goes_away_at_any_point_sends_nothing_twice() {
    let server = RawServer::always(Act::Answer(response(200, TOKENS))).await;
    let backend = builder(&server).build().unwrap();
    for polls in 0..40 {
        let token = format!("token-{polls}");
        let mut call = Box::pin(refresh(&backend, &token));
        for _ in 0..polls {
            let waker = std::task::Waker::noop();
            if call.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
    }
    drop(backend);
    server.drained().await;
    assert!((0..40).all(|number| server.presentations(&format!("token-{number}")) <= 1));
}
