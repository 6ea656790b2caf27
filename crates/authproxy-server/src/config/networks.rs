//! Networks of gateways: addresses, and address blocks in CIDR notation (RFC 4632, section 3.1).

use std::net::IpAddr;

use ipnet::IpNet;

use super::{mistake::Refusal, raw::Raw};

/// What a list of networks may hold.
pub(super) const ALLOWED: &str = "a list of IP addresses and networks, such as 127.0.0.1 and 10.0.0.0/8";

/// Reads a list; a bare address is a network of its own.
pub(super) fn parse(raw: &Raw) -> Result<Vec<IpNet>, Refusal> {
    let mut list = raw.items()?.into_iter().map(network).collect::<Result<Vec<_>, _>>()?;
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

fn network(text: &str) -> Result<IpNet, Refusal> {
    let network: IpNet = match text.parse::<IpAddr>() {
        Ok(ip) => ip.into(),
        Err(_) => text.parse().map_err(|_| Refusal::of(text, "is neither an IP address nor a network"))?,
    };
    // A peer is compared by its IPv4 address, however the socket writes it.
    if matches!(network, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some()) {
        return Err(Refusal::of(text, "is an IPv4 address written as IPv6"));
    }
    if network.addr() != network.network() {
        return Err(Refusal::of(text, format!("is an address inside of {}", network.trunc())));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let list = parse(&Raw::loose(text)).map_err(|refusal| refusal.explain("x", true))?;
        Ok(list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_address_is_a_network_of_its_own() {
        for (text, networks) in [
            ("", &[][..]),
            ("127.0.0.1", &["127.0.0.1/32"]),
            ("::1, 10.0.0.0/8,10.0.0.0/8", &["10.0.0.0/8", "::1/128"]),
            ("0.0.0.0/0,2001:db8::/32", &["0.0.0.0/0", "2001:db8::/32"]),
        ] {
            assert_eq!(read(text).unwrap(), networks, "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_a_reason() {
        for (text, sentence) in [
            ("gateway", "\"gateway\" is neither an IP address nor a network"),
            ("10.0.0.0/33", "\"10.0.0.0/33\" is neither an IP address nor a network"),
            ("10.0.0/8", "\"10.0.0/8\" is neither an IP address nor a network"),
            ("10.0.0.1/8", "\"10.0.0.1/8\" is an address inside of 10.0.0.0/8"),
            ("2001:db8::1/32", "\"2001:db8::1/32\" is an address inside of 2001:db8::/32"),
            ("::ffff:10.0.0.1", "\"::ffff:10.0.0.1\" is an IPv4 address written as IPv6"),
            ("127.0.0.1,127.0.0.1:80", "\"127.0.0.1:80\" is neither an IP address nor a network"),
        ] {
            assert_eq!(read(text), Err(format!("{sentence}; allowed: x")), "{text}");
        }
    }
}
