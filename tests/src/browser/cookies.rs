//! The cookie jar (RFC 6265bis): which cookies are kept and with which requests they go.

use actix_web::cookie::{Cookie, SameSite};
use url::{Host, Url};

/// The cookies of a browser. Ports do not separate cookies, as in real browsers.
#[derive(Default)]
pub struct Jar {
    kept: Vec<Kept>,
}

struct Kept {
    name: String,
    value: String,
    domain: String,
    /// Only for exactly this host.
    host_only: bool,
    path: String,
    secure: bool,
    same_site: SameSite,
    /// Unix seconds; none: until the browser closes.
    expires: Option<i64>,
}

/// A request that cookies may go with.
pub(super) struct Request<'a> {
    pub url: &'a Url,
    pub same_site: bool,
    pub safe_method: bool,
}

impl Jar {
    /// The value of a cookie with this name, of any host.
    pub fn get(&self, name: &str) -> Option<&str> {
        let kept = self.kept.iter().find(|kept| kept.name == name);
        kept.map(|kept| kept.value.as_str())
    }

    /// Forgets all cookies.
    pub fn clear(&mut self) {
        self.kept.clear();
    }

    /// Changes a cookie's value, as somebody with the browser's tools could. Panics if there is none.
    pub fn tamper(&mut self, name: &str, value: &str) {
        let kept = self.kept.iter_mut().find(|kept| kept.name == name);
        value.clone_into(&mut kept.expect("a cookie of this name").value);
    }

    /// Keeps, replaces or deletes a cookie as a `Set-Cookie` says, unless a rule forbids it.
    pub(super) fn store(&mut self, url: &Url, set_cookie: &str) {
        let Ok(cookie) = Cookie::parse(set_cookie.to_owned()) else {
            return;
        };
        let Some(new) = Kept::accept(url, &cookie) else {
            return;
        };
        self.kept.retain(|old| {
            (&old.name, &old.domain, &old.path) != (&new.name, &new.domain, &new.path)
        });
        if !new.is_expired() {
            self.kept.push(new);
        }
    }

    /// Names and values that go with a request, longer paths first.
    pub(super) fn for_request(&self, request: &Request<'_>) -> Vec<(String, String)> {
        let mut fitting: Vec<&Kept> = self
            .kept
            .iter()
            .filter(|kept| kept.goes_with(request))
            .collect();
        fitting.sort_by_key(|kept| std::cmp::Reverse(kept.path.len()));
        fitting
            .iter()
            .map(|kept| (kept.name.clone(), kept.value.clone()))
            .collect()
    }
}

impl Kept {
    fn accept(url: &Url, cookie: &Cookie<'_>) -> Option<Self> {
        let host = url.host_str()?.to_lowercase();
        let secure = cookie.secure().unwrap_or(false);
        let named = cookie
            .domain()
            .map(|domain| domain.trim_start_matches('.').to_lowercase());
        let named = named.filter(|domain| !domain.is_empty());
        let path = cookie.path().filter(|path| path.starts_with('/'));
        let same_site = cookie.same_site().unwrap_or(SameSite::Lax);
        let name = cookie.name();

        let host_prefix = name.starts_with("__Host-");
        let prefix_kept = !host_prefix || (secure && path == Some("/") && named.is_none());
        let secure_kept = !name.starts_with("__Secure-") || secure;
        let domain_fits = named
            .as_ref()
            .is_none_or(|domain| belongs_to(&host, domain));
        let may_be_secure = !secure || is_trustworthy(url);
        let none_is_secure = same_site != SameSite::None || secure;
        if !(prefix_kept && secure_kept && domain_fits && may_be_secure && none_is_secure) {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            value: cookie.value().to_owned(),
            host_only: named.is_none(),
            domain: named.unwrap_or(host),
            path: path.map_or_else(|| default_path(url), str::to_owned),
            secure,
            same_site,
            expires: expiry(cookie),
        })
    }

    fn is_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= now())
    }

    fn goes_with(&self, request: &Request<'_>) -> bool {
        let host = request.url.host_str().unwrap_or_default().to_lowercase();
        let host_fits = host == self.domain || (!self.host_only && belongs_to(&host, &self.domain));
        let site_fits = match self.same_site {
            SameSite::None => true,
            SameSite::Lax => request.same_site || request.safe_method,
            SameSite::Strict => request.same_site,
        };
        host_fits
            && site_fits
            && path_fits(request.url.path(), &self.path)
            && (!self.secure || is_trustworthy(request.url))
            && !self.is_expired()
    }
}

/// Whether two addresses are of one site: scheme and registrable domain. Ports do not count. The last
/// two labels stand for the registrable domain, which is right for the names tests use.
pub(super) fn same_site(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && site_of(a) == site_of(b)
}

/// Whether an address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Where `Secure` cookies may be: browsers trust loopback without TLS.
fn is_trustworthy(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

fn site_of(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => {
            let mut labels = name.rsplitn(3, '.');
            let last = labels.next().unwrap_or_default();
            labels
                .next()
                .map_or_else(|| last.to_owned(), |second| format!("{second}.{last}"))
        }
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

fn belongs_to(host: &str, domain: &str) -> bool {
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        None | Some(("", _)) => "/".to_owned(),
        Some((folder, _)) => folder.to_owned(),
    }
}

fn path_fits(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

fn expiry(cookie: &Cookie<'_>) -> Option<i64> {
    if let Some(age) = cookie.max_age() {
        return Some(now().saturating_add(age.whole_seconds()));
    }
    cookie
        .expires_datetime()
        .map(|expires| expires.unix_timestamp())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a browser lets cookies expire by the real time"
)]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn sent(jar: &Jar, to: &str, same_site: bool, safe_method: bool) -> Vec<String> {
        let url = url(to);
        let request = Request {
            url: &url,
            same_site,
            safe_method,
        };
        jar.for_request(&request)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn a_host_cookie_is_kept_only_with_secure_the_root_path_and_no_domain() {
        let mut jar = Jar::default();
        let here = url("http://localhost:8080/connect/x");
        jar.store(&here, "__Host-a=1; Path=/; Secure");
        jar.store(&here, "__Host-b=1; Path=/");
        jar.store(&here, "__Host-c=1; Path=/connect; Secure");
        jar.store(&here, "__Host-d=1; Path=/; Secure; Domain=localhost");
        jar.store(&here, "__Host-e=1; Secure");
        assert_eq!(sent(&jar, "http://localhost:9/", true, true), ["__Host-a"]);
        assert!(sent(&jar, "http://127.0.0.1:8080/", true, true).is_empty());
    }

    #[test]
    fn a_lax_cookie_goes_with_cross_site_navigation_but_not_with_a_cross_site_post() {
        let mut jar = Jar::default();
        let here = url("http://localhost:8080/");
        jar.store(&here, "lax=1; Path=/; SameSite=Lax");
        jar.store(&here, "silent=1; Path=/");
        jar.store(&here, "strict=1; Path=/; SameSite=Strict");
        jar.store(&here, "none=1; Path=/; SameSite=None; Secure");
        jar.store(&here, "refused=1; Path=/; SameSite=None");
        assert_eq!(
            sent(&jar, "http://localhost/", false, true),
            ["lax", "silent", "none"]
        );
        assert_eq!(sent(&jar, "http://localhost/", false, false), ["none"]);
        assert_eq!(sent(&jar, "http://localhost/", true, false).len(), 4);
    }

    #[test]
    fn paths_secure_and_expiry_limit_where_a_cookie_goes() {
        let mut jar = Jar::default();
        let here = url("http://shop.example/a/b");
        jar.store(&here, "deep=1");
        jar.store(&here, "secure=1; Secure; Path=/");
        jar.store(&here, "wide=1; Path=/; Domain=example");
        jar.store(&here, "foreign=1; Path=/; Domain=other.example");
        assert_eq!(
            sent(&jar, "http://shop.example/a/c", true, true),
            ["deep", "wide"]
        );
        assert_eq!(sent(&jar, "http://shop.example/ab", true, true), ["wide"]);
        jar.store(&here, "wide=; Path=/; Domain=example; Max-Age=0");
        jar.store(
            &here,
            "deep=; Path=/a; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        );
        assert!(sent(&jar, "http://shop.example/a/c", true, true).is_empty());
    }
}
