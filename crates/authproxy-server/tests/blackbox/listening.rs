//! The program's listener: whoever comes faster than connections are accepted.

use std::{net::TcpStream, time::Duration};

use crate::program::Program;

#[test]
fn thousands_that_connect_while_the_program_is_held_up_find_room() {
    let most: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let (program, address) = Program::dev(&[]);
    program.signal("STOP");
    // A connection that its client has closed keeps its place until it is accepted.
    let finds_none = |_: &usize| TcpStream::connect_timeout(&address, Duration::from_millis(900)).is_err();
    assert_eq!((0..most.min(3_000)).find(finds_none), None);
    program.signal("CONT");
    crate::http::log_in(address);
}
