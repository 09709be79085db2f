//! Where a request comes from: the last hop, or what a proxy that is trusted says about it (N14).

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use ipnet::IpNet;

/// The address of the caller. Each trusted proxy appends the address it saw, so the list is read
/// from its end for as long as the hops are trusted.
pub fn client_address(request: &ServiceRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let forwarded: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut address = peer.to_canonical();
    for hop in forwarded.into_iter().rev() {
        if !trusted.iter().any(|network| network.contains(&address)) {
            break;
        }
        match hop.parse::<IpAddr>() {
            Ok(next) => address = next.to_canonical(),
            Err(_not_an_address) => break,
        }
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seen(peer: &str, forwarded: &str) -> String {
        let request = TestRequest::default()
            .peer_addr(format!("{peer}:4711").parse().unwrap())
            .insert_header(("x-forwarded-for", forwarded))
            .to_srv_request();
        let trusted = [
            "10.0.0.0/8".parse().unwrap(),
            "192.168.1.1/32".parse().unwrap(),
        ];
        client_address(&request, &trusted).unwrap().to_string()
    }

    #[test]
    fn n14_a_forwarded_address_is_believed_only_from_a_trusted_proxy() {
        assert_eq!(seen("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(seen("10.1.2.3", "198.51.100.1"), "198.51.100.1");
        assert_eq!(seen("10.1.2.3", "1.1.1.1, 198.51.100.1"), "198.51.100.1");
        assert_eq!(
            seen("10.1.2.3", "198.51.100.1, 192.168.1.1"),
            "198.51.100.1"
        );
        assert_eq!(seen("10.1.2.3", "garbage"), "10.1.2.3");
        assert_eq!(seen("[::ffff:10.1.2.3]", "198.51.100.1"), "198.51.100.1");
    }
}
