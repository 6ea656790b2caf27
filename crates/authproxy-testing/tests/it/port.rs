//! Ports that stay one's own.

use std::{collections::HashSet, net::TcpListener};

use authproxy_testing::Port;

#[test]
fn ports_that_are_held_are_different_ones_and_nobody_listens_there() {
    let ports: Vec<Port> = (0..300).map(|_| Port::reserve()).collect();
    let numbers: HashSet<u16> = ports.iter().map(Port::number).collect();
    assert_eq!(numbers.len(), ports.len());
    for port in &ports {
        TcpListener::bind(port.address()).unwrap();
    }
}
