//! `form-action` of a content security policy, as browsers apply it: to a form's address and to every
//! redirect that follows.

use reqwest::header::{CONTENT_SECURITY_POLICY, HeaderMap};
use url::Url;

/// The `form-action` sources of a page, if it has the directive.
pub(super) fn of(headers: &HeaderMap) -> Option<String> {
    let policy = headers.get(CONTENT_SECURITY_POLICY)?.to_str().ok()?;
    policy.split(';').find_map(|directive| {
        let (name, sources) = directive.trim().split_once(' ')?;
        name.eq_ignore_ascii_case("form-action")
            .then(|| sources.trim().to_owned())
    })
}

/// Whether the sources allow a form of `page` to lead to `target`.
pub(super) fn allows(sources: &str, page: &Url, target: &Url) -> bool {
    sources.split_whitespace().any(|source| match source {
        "'none'" => false,
        "'self'" => page.origin() == target.origin(),
        "*" => matches!(target.scheme(), "http" | "https"),
        scheme if scheme.ends_with(':') => scheme.strip_suffix(':') == Some(target.scheme()),
        host => allows_host(host, target),
    })
}

fn allows_host(source: &str, target: &Url) -> bool {
    // A source without a scheme allows https and, from a plain page, http.
    let source = if source.contains("://") {
        source.to_owned()
    } else {
        format!("{}://{source}", target.scheme())
    };
    Url::parse(&source).is_ok_and(|allowed| {
        let path_fits = allowed.path() == "/" || target.path().starts_with(allowed.path());
        allowed.origin() == target.origin() && path_fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn self_allows_the_own_origin_only() {
        let page = url("http://localhost:8080/connect/x");
        assert!(allows("'self'", &page, &url("http://localhost:8080/y")));
        assert!(!allows("'self'", &page, &url("http://127.0.0.1:8080/y")));
        assert!(!allows("'none'", &page, &url("http://localhost:8080/y")));
    }

    #[test]
    fn a_named_origin_is_allowed_with_its_port_and_nothing_else() {
        let page = url("http://localhost:8080/");
        let sources = "'self' http://127.0.0.1:7001";
        assert!(allows(
            sources,
            &page,
            &url("http://127.0.0.1:7001/x/authorize")
        ));
        assert!(!allows(sources, &page, &url("http://127.0.0.1:7002/")));
        assert!(allows("https:", &page, &url("https://login.example/")));
    }
}
