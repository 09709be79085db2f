//! One name for this machine: `localhost` and `127.0.0.1` are two hosts to a browser, and the flow's
//! cookie lives on one of them.

use actix_web::{HttpRequest, http::header};
use url::{Host, Url};

/// Where a request that came under another loopback name of this machine should go instead: the same
/// path under the public URL. Otherwise the host decides nothing, for proxies rewrite it.
pub fn canonical(request: &HttpRequest, public_url: &Url, https: bool) -> Option<String> {
    let asked = asked_host(request, https)?;
    let is_ours = is_loopback(public_url) && is_loopback(&asked);
    let same_port = asked.port_or_known_default() == public_url.port_or_known_default();
    if !is_ours || !same_port || asked.host() == public_url.host() {
        return None;
    }
    let mut url = public_url.clone();
    url.set_path(request.path());
    url.set_query(Some(request.query_string()).filter(|query| !query.is_empty()));
    Some(url.into())
}

/// The host of the request itself, whatever a forwarding header says.
fn asked_host(request: &HttpRequest, https: bool) -> Option<Url> {
    let authority = request.uri().authority().map(ToString::to_string);
    let named = || {
        let host = request.headers().get(header::HOST)?;
        host.to_str().ok().map(str::to_owned)
    };
    let scheme = if https { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{}", authority.or_else(named)?)).ok()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn redirected(host: &str, public_url: &str) -> Option<String> {
        let request = TestRequest::get()
            .uri("/connect/abc?details")
            .insert_header((header::HOST, host.to_owned()))
            .to_http_request();
        canonical(
            &request,
            &public_url.parse().unwrap(),
            public_url.starts_with("https"),
        )
    }

    #[test]
    fn another_loopback_name_leads_to_the_public_one() {
        let public_url = "http://localhost:8080";
        let expected = Some("http://localhost:8080/connect/abc?details".to_owned());
        for host in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "msp.localhost:8080",
            "127.1.2.3:8080",
        ] {
            assert_eq!(redirected(host, public_url), expected, "{host}");
        }
    }

    #[test]
    fn otherwise_the_host_decides_nothing() {
        for (host, public_url) in [
            ("localhost:8080", "http://localhost:8080"),
            ("LOCALHOST:8080", "http://localhost:8080"),
            ("127.0.0.1:9090", "http://localhost:8080"),
            ("evil.example", "http://localhost:8080"),
            ("127.0.0.1:8080", "https://tenantry.example"),
            ("backend:8080", "https://tenantry.example"),
            ("", "http://localhost:8080"),
            ("a b", "http://localhost:8080"),
        ] {
            assert_eq!(redirected(host, public_url), None, "{host} {public_url}");
        }
    }
}
