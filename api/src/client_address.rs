//! Where a request comes from, and how: the last hop, or what a proxy that is trusted says about it
//! (N14).

use std::net::IpAddr;

use actix_web::{HttpRequest, dev::ServiceRequest};
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

/// Whether the caller used TLS: to this server itself, or to the trusted proxy before it. Of several
/// words the last is the proxy's own; what stands before it could be the caller's.
pub fn came_by_https(request: &HttpRequest, trusted: &[IpNet]) -> bool {
    if request.app_config().secure() {
        return true;
    }
    let is_trusted = request.peer_addr().is_some_and(|peer| {
        let address = peer.ip().to_canonical();
        trusted.iter().any(|network| network.contains(&address))
    });
    let said = request.headers().get_all("x-forwarded-proto").last();
    let last = said
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.rsplit(',').next());
    is_trusted && last.is_some_and(|word| word.trim().eq_ignore_ascii_case("https"))
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
    fn n14_a_forwarded_scheme_is_believed_only_from_a_trusted_proxy() {
        let https = |peer: &str, said: &[&'static str]| {
            let peer = format!("{peer}:4711").parse().unwrap();
            let request = said
                .iter()
                .fold(TestRequest::default().peer_addr(peer), |request, &said| {
                    request.append_header(("x-forwarded-proto", said))
                });
            came_by_https(&request.to_http_request(), &["10.0.0.0/8".parse().unwrap()])
        };
        for said in [
            &["https"][..],
            &["HTTPS"],
            &["http, https"],
            &["http", "https"],
        ] {
            assert!(https("10.1.2.3", said), "{said:?}");
            assert!(https("[::ffff:10.1.2.3]", said), "{said:?}");
            assert!(!https("203.0.113.9", said), "{said:?}");
        }
        for said in [
            &[][..],
            &["http"],
            &["https, http"],
            &["https", "http"],
            &["x"],
        ] {
            assert!(!https("10.1.2.3", said), "{said:?}");
        }
    }

    #[test]
    fn n14_a_forwarded_address_address_is_believed_only_from_a_trusted_proxy() {
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
