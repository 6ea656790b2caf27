//! Nginx.

use crate::{
    claims,
    gateway::Gateway,
    world::{World, send},
};

#[tokio::test]
async fn a_session_reaches_the_api_with_its_token_and_without_its_cookie() {
    claims::a_session_reaches_the_api_with_its_token_and_without_its_cookie(Gateway::Nginx).await;
}

#[tokio::test]
async fn a_body_reaches_the_api_whole() {
    claims::a_body_reaches_the_api_whole(Gateway::Nginx).await;
}

#[tokio::test]
async fn without_a_session_the_api_hears_nothing() {
    claims::without_a_session_the_api_hears_nothing(Gateway::Nginx).await;
}

#[tokio::test]
async fn without_authproxy_the_api_hears_nothing() {
    claims::without_authproxy_the_api_hears_nothing(Gateway::Nginx).await;
}

#[tokio::test]
async fn no_page_gets_a_token_from_the_gateway() {
    claims::no_page_gets_a_token_from_the_gateway(Gateway::Nginx).await;
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    claims::another_sites_page_changes_nothing(Gateway::Nginx).await;
}

#[tokio::test]
async fn what_a_browser_spoofs_does_not_arrive() {
    claims::what_a_browser_spoofs_does_not_arrive(Gateway::Nginx).await;
}

#[tokio::test]
async fn a_name_that_authproxy_does_not_say_is_nobodys() {
    claims::a_name_that_authproxy_does_not_say_is_nobodys(Gateway::Nginx).await;
}

#[tokio::test]
async fn connection_takes_nothing_away_that_the_gateway_has_set() {
    claims::connection_takes_nothing_away_that_the_gateway_has_set(Gateway::Nginx).await;
}

#[tokio::test]
async fn calls_go_on_across_refreshes_and_the_browser_hears_of_them() {
    claims::calls_go_on_across_refreshes_and_the_browser_hears_of_them(Gateway::Nginx).await;
}

#[tokio::test]
async fn sixty_four_requests_at_the_moment_of_refresh_cause_one_presentation() {
    claims::sixty_four_requests_at_the_moment_of_refresh_cause_one_presentation(Gateway::Nginx).await;
}

#[tokio::test]
async fn an_outage_is_503_with_a_pause_and_the_session_lives() {
    claims::an_outage_is_503_with_a_pause_and_the_session_lives(Gateway::Nginx).await;
}

#[tokio::test]
async fn a_session_that_the_service_has_ended_is_401_and_its_cookie_goes() {
    claims::a_session_that_the_service_has_ended_is_401_and_its_cookie_goes(Gateway::Nginx).await;
}

#[tokio::test]
async fn a_websocket_of_our_own_page_goes_through() {
    claims::a_websocket_of_our_own_page_goes_through(Gateway::Nginx).await;
}

#[tokio::test]
async fn a_login_page_in_the_configuration_makes_no_error_of_a_denial() {
    let world = World::with(Gateway::Nginx, |config| config.verify.login_page = Some("/welcome".into()), None).await;
    send(world.get("/api/items").header("sec-fetch-mode", "navigate").header("accept", "text/html"), 401).await;
    assert!(world.api.requests().is_empty());
}
