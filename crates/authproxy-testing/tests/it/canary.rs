//! The scan sees what is traced, and says so.

use authproxy_testing::{CANARY, canary::Traces};

#[test]
fn a_clean_trace_passes() {
    let traces = Traces::collect();
    tracing::trace!(user = "user@example.com", "logged in");
    assert!(traces.text().contains("user@example.com"), "the scan sees nothing");
    traces.assert_clean(&["password123"]);
}

#[test]
#[should_panic(expected = "a secret was traced")]
fn a_canary_in_an_event_is_found() {
    let traces = Traces::collect();
    tracing::trace!(token = %format!("{CANARY}-refresh-1"), "refreshed");
    traces.assert_clean(&[]);
}

#[test]
#[should_panic(expected = "a secret was traced")]
fn a_secret_in_the_field_of_a_span_without_events_is_found() {
    let traces = Traces::collect();
    let _ = tracing::trace_span!("login", password = "password123").entered();
    traces.assert_clean(&["password123"]);
}

#[test]
#[should_panic(expected = "a secret was traced")]
fn a_secret_of_another_thread_is_found() {
    let traces = Traces::collect_from_all_threads();
    std::thread::spawn(|| tracing::debug!("the password is password123")).join().unwrap();
    traces.assert_clean(&["password123"]);
}

#[test]
fn what_is_found_is_not_printed_again() {
    let found = std::panic::catch_unwind(|| {
        let traces = Traces::collect();
        tracing::trace!("the password is password123");
        traces.assert_clean(&["password123"]);
    });
    let message = *found.unwrap_err().downcast::<String>().unwrap();
    assert!(!message.contains("password123"), "{message}");
}
