//! Connections are reused, closed under us, and poisoned: a POST that was written is never sent again, and no answer
//! reaches a request that it was not meant for (scenario 20).

use super::{
    Class, TOKENS, backend, class,
    raw_server::{Act, RawServer, response, response_with},
    refresh,
};

#[tokio::test]
async fn a_connection_is_reused() {
    let server = RawServer::always(Act::Answer(response(200, TOKENS))).await;
    let backend = backend(&server);
    for number in 0..20 {
        assert_eq!(class(&refresh(&backend, &format!("token-{number}")).await), Class::Tokens);
    }
    assert_eq!((server.received().len(), server.connections()), (20, 1));
}

/// The service reads the second request on a kept connection and closes: nobody can know what it did with it.
#[tokio::test]
async fn a_post_that_was_written_to_a_closing_connection_is_not_sent_again() {
    for act in [Act::AnswerAndClose(vec![]), Act::Reset] {
        let server = RawServer::start([Act::Answer(response(200, TOKENS)), act.clone()]).await;
        let backend = backend(&server);
        assert_eq!(class(&refresh(&backend, "first").await), Class::Tokens);
        assert_eq!(class(&refresh(&backend, "second").await), Class::Ambiguous, "{act:?}");
        drop(backend);
        server.drained().await;
        assert_eq!((server.presentations("second"), server.connections()), (1, 1), "{act:?}");
    }
}

/// The service closes each connection after its answer, without saying so: the next request races the close.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_races_the_close_of_its_connection_is_sent_at_most_once() {
    let server = RawServer::always(Act::AnswerAndClose(response(200, TOKENS))).await;
    let backend = backend(&server);
    let mut results = Vec::new();
    for number in 0..300 {
        results.push(class(&refresh(&backend, &format!("token-{number}")).await));
    }
    drop(backend);
    server.drained().await;
    assert!(results.contains(&Class::Tokens));
    for (number, class) in results.into_iter().enumerate() {
        let presentations = server.presentations(&format!("token-{number}"));
        match class {
            Class::Tokens => assert_eq!(presentations, 1, "token-{number}"),
            Class::NotProcessed => assert_eq!(presentations, 0, "token-{number}"),
            Class::Ambiguous => assert!(presentations <= 1, "token-{number}"),
            other => panic!("token-{number}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_service_gives_up_by_name_is_not_reused() {
    let server = RawServer::always(Act::Answer(response_with(200, "connection: close\r\n", TOKENS))).await;
    let backend = backend(&server);
    for number in 0..3 {
        assert_eq!(class(&refresh(&backend, &format!("token-{number}")).await), Class::Tokens);
    }
    assert_eq!((server.received().len(), server.connections()), (3, 3));
}

/// What a service sends unasked, be it a 408 for an idle connection or another user's tokens, answers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_asked_for_reaches_no_other_request() {
    let stray = TOKENS.replace("new-", "stray-");
    for unasked in [response(200, &stray), response(408, "")] {
        let server = RawServer::always(Act::Answer([response(200, TOKENS), unasked].concat())).await;
        let backend = backend(&server);
        for number in 0..100 {
            match refresh(&backend, &format!("token-{number}")).await {
                Ok(tokens) => assert_eq!(tokens.access_token.expose_secret(), "new-access"),
                Err(error) => assert_ne!(class(&Err(error)), Class::Rejected),
            }
        }
        drop(backend);
        server.drained().await;
        assert!((0..100).all(|number| server.presentations(&format!("token-{number}")) <= 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_refreshes_get_their_own_answers_and_are_each_sent_once() {
    let server = RawServer::always(Act::Answer(response(200, TOKENS))).await;
    let backend = backend(&server);
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let backend = backend.clone();
            tokio::spawn(async move { class(&refresh(&backend, &format!("token-{number}")).await) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Class::Tokens);
    }
    assert!((0..200).all(|number| server.presentations(&format!("token-{number}")) == 1));
}
