//! Where the administrator's browser may be sent at the end of a flow.

use url::Url;

/// Why a text is no address to return to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReturnUrlNotAllowed {
    /// It is under none of the configured ones.
    #[error("return url is not under one of the configured ones")]
    Elsewhere,
    /// It would be allowed without its fragment.
    #[error("return url has a fragment")]
    Fragment,
}

/// The addresses that the operator allows, each with everything below its path.
#[derive(Debug, Clone, Default)]
pub struct ReturnUrls(Vec<Url>);

impl ReturnUrls {
    /// The configured list.
    pub fn new(allowed: Vec<Url>) -> Self {
        Self(allowed)
    }

    /// Reads an address and requires it to share the origin of a configured one and to lie under its
    /// path by whole segments.
    ///
    /// # Errors
    /// See [`ReturnUrlNotAllowed`].
    pub fn check(&self, text: &str) -> Result<Url, ReturnUrlNotAllowed> {
        let Ok(url) = Url::parse(text) else {
            return Err(ReturnUrlNotAllowed::Elsewhere);
        };
        let is_plain = url.username().is_empty() && url.password().is_none();
        // The parser has resolved dots by now; what it leaves encoded could be resolved by others.
        let path = url.path().to_ascii_lowercase();
        let is_literal = !["%2e", "%2f", "%5c"]
            .iter()
            .any(|encoded| path.contains(encoded));
        if !(is_plain && is_literal && self.0.iter().any(|allowed| is_under(allowed, &url))) {
            return Err(ReturnUrlNotAllowed::Elsewhere);
        }
        // What the address is given at the end of the flow would come after it.
        if url.fragment().is_some() {
            return Err(ReturnUrlNotAllowed::Fragment);
        }
        Ok(url)
    }
}

fn is_under(allowed: &Url, url: &Url) -> bool {
    if !matches!(url.scheme(), "http" | "https") || allowed.origin() != url.origin() {
        return false;
    }
    let base = allowed.path().trim_end_matches('/');
    match url.path().strip_prefix(base) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(allowed: &[&str]) -> ReturnUrls {
        ReturnUrls::new(allowed.iter().map(|url| url.parse().unwrap()).collect())
    }

    #[test]
    fn an_address_under_the_path_is_allowed() {
        let urls = urls(&["https://portal.example/app", "http://localhost:3000"]);
        for url in [
            "https://portal.example/app",
            "https://portal.example/app/",
            "https://portal.example/app/tenants?tab=1",
            "https://PORTAL.example:443/app/x",
            "http://localhost:3000/",
            "http://localhost:3000/anything",
        ] {
            assert!(urls.check(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn every_other_address_is_refused() {
        let urls = urls(&["https://portal.example/app/"]);
        for url in [
            "",
            "/app",
            "//portal.example/app",
            "javascript:alert(1)",
            "http://portal.example/app",
            "https://portal.example",
            "https://portal.example/application",
            "https://portal.example/app/../admin",
            "https://portal.example/app/%2e%2e/admin",
            "https://portal.example/app/..%2fadmin",
            "https://portal.example/app\\..\\admin",
            "https://portal.example:8443/app",
            "https://portal.example.evil.example/app",
            "https://portal.example@evil.example/app",
            "https://user:pw@portal.example/app",
            "https://other.example/app#fragment",
        ] {
            assert_eq!(
                urls.check(url),
                Err(ReturnUrlNotAllowed::Elsewhere),
                "{url}"
            );
        }
        assert_eq!(
            urls.check("https://portal.example/app#fragment"),
            Err(ReturnUrlNotAllowed::Fragment)
        );
        assert!(
            ReturnUrls::default()
                .check("https://portal.example/app")
                .is_err()
        );
    }
}
