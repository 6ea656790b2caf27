//! Signals: the program finishes what it has begun and goes with exit code 0.

use std::{net::TcpStream, thread};

use crate::{
    auth_service::{AuthService, Mood},
    http::Ask,
    program::{Program, poll_until},
};

/// A program with a login in progress that waits for the auth service.
fn busy() -> (AuthService, Program, std::net::SocketAddr, thread::JoinHandle<Option<crate::http::Answer>>) {
    let service = AuthService::start(Mood::Silent);
    let (program, address) = Program::serve(&service.url(), &[]);
    let login = thread::spawn(move || {
        std::panic::catch_unwind(|| Ask::login("user@example.com", "password123").send(address)).ok()
    });
    poll_until("the auth service is asked", || service.requests() == 1);
    (service, program, address, login)
}

#[test]
fn a_request_in_progress_is_finished_before_the_program_ends() {
    for signal in ["TERM", "INT"] {
        let (service, program, address, login) = busy();
        program.signal(signal);
        program.wait_for_log("shutting down");
        assert!(TcpStream::connect(address).is_err(), "{signal}: nobody new is let in");
        assert!(!login.is_finished(), "{signal}");
        service.set(Mood::Works);
        let answer = login.join().unwrap().expect("a whole answer");
        assert_eq!(answer.status, 200, "{signal}: {}", answer.body);
        assert!(answer.header("set-cookie").is_some());
        let ended = program.ended();
        assert_eq!(ended.code, Some(0), "{signal}: {ended:?}");
    }
}

#[test]
fn a_program_with_nothing_to_do_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let (program, address) = Program::dev(&[]);
        crate::http::log_in(address);
        program.signal(signal);
        let ended = program.ended();
        assert_eq!(ended.code, Some(0), "{signal}: {ended:?}");
    }
}

#[test]
fn an_idle_connection_does_not_hold_the_program_up() {
    let (program, address) = Program::dev(&[]);
    let _idle = TcpStream::connect(address).unwrap();
    program.signal("TERM");
    assert_eq!(program.ended().code, Some(0));
}

#[test]
fn the_drain_has_a_deadline() {
    let service = AuthService::start(Mood::Silent);
    let (program, address) = Program::serve(&service.url(), &[("AUTHPROXY_LIMITS__DRAIN_TIMEOUT", "200ms")]);
    let login = thread::spawn(move || {
        std::panic::catch_unwind(|| Ask::login("user@example.com", "password123").send(address)).is_ok()
    });
    poll_until("the auth service is asked", || service.requests() == 1);
    let ended = program.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("connections_cut=1"), "{}", ended.stderr);
    assert!(!login.join().unwrap(), "the request was cut off");
}

#[test]
fn a_second_signal_ends_the_program_where_it_stands() {
    let (_service, program, _address, login) = busy();
    program.signal("INT");
    program.wait_for_log("shutting down");
    program.signal("INT");
    let ended = program.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("told twice to stop"), "{}", ended.stderr);
    assert!(login.join().unwrap().is_none());
}
