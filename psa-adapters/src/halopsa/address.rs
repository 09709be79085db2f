//! Where an instance is: its API, and who issues its tokens (psa.md §C1).

use url::{Host, Url};

use crate::error::PsaError;

/// The addresses of one instance.
#[derive(Clone)]
pub(super) struct Address {
    /// The instance without `/api`, its path without a slash at the end.
    root: Url,
    /// The authorisation server that a person entered.
    entered: Option<Url>,
}

impl Address {
    /// Reads what a person pasted.
    pub(super) fn read(base_url: &str, auth_url: Option<&str>) -> Result<Self, PsaError> {
        let root = read_one(base_url, "api")
            .filter(|url| is_safe(url, is_loopback(url)))
            .ok_or_else(|| PsaError::Config {
                what: "the address must be the Resource Server of HaloPSA, such as \
                       https://example.halopsa.com/api"
                    .to_owned(),
            })?;
        let entered = match auth_url.map(str::trim).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(
                read_one(text, "token")
                    .filter(|url| is_safe(url, is_loopback(&root)))
                    .ok_or_else(|| PsaError::Config {
                        what: "authUrl must be the Authorisation Server of HaloPSA, such as \
                               https://example.halopsa.com/auth"
                            .to_owned(),
                    })?,
            ),
        };
        Ok(Self { root, entered })
    }

    /// Host, port where it is not the usual one, and path.
    pub(super) fn system(&self) -> String {
        let host = self.root.host_str().unwrap_or_default();
        let host = host.trim_end_matches('.');
        let port = self.root.port().map(|port| format!(":{port}"));
        let path = self.root.path().trim_end_matches('/');
        format!("{host}{}{path}", port.unwrap_or_default())
    }

    /// `{root}/api/{segments}` with a query. Segments and values are escaped.
    pub(super) fn api(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = below(&self.root, &["api"]);
        url = below(&url, segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The authorisation server that a person entered.
    pub(super) fn entered_authority(&self) -> Option<&Url> {
        self.entered.as_ref()
    }

    /// The authorisation server where nothing says another.
    pub(super) fn usual_authority(&self) -> Url {
        below(&self.root, &["auth"])
    }

    /// The authorisation server that the instance names. None for one of another origin: whoever answers
    /// in the instance's place must not learn the secret. On loopback a stand-in stays on loopback, also where
    /// it repeats HaloPSA's own words.
    pub(super) fn named_authority(&self, named: &str) -> Option<Url> {
        let named = self.root.join(named.trim()).ok()?;
        let url = read_one(named.as_str(), "token")?;
        if is_loopback(&self.root) {
            return Some(if is_loopback(&url) {
                url
            } else {
                self.usual_authority()
            });
        }
        (url.origin() == self.root.origin()).then_some(url)
    }
}

/// `{authority}/token?tenant=…`.
pub(super) fn token_url(authority: &Url, tenant: Option<&str>) -> Url {
    let mut url = below(authority, &["token"]);
    if let Some(tenant) = tenant {
        url.query_pairs_mut().append_pair("tenant", tenant);
    }
    url
}

fn below(url: &Url, segments: &[&str]) -> Url {
    let mut url = url.clone();
    // An address that cannot have segments was refused when it was read.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// An address without slash and this last segment at its end; none where it holds what no base has.
fn read_one(text: &str, last: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    let is_plain = url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain {
        return None;
    }
    let path = url.path().trim_end_matches('/');
    let path = match path.rsplit_once('/') {
        Some((rest, end)) if end.eq_ignore_ascii_case(last) => rest,
        Some(_) | None => path,
    };
    let path = path.trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

/// https, or http to this machine where the instance itself is there.
fn is_safe(url: &Url, base_is_loopback: bool) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && base_is_loopback && is_loopback(url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_paste_it() {
        for pasted in [
            "https://northgate.halopsa.com",
            "https://northgate.halopsa.com/",
            "https://northgate.halopsa.com/api",
            " https://Northgate.HaloPSA.com/API/ ",
            "https://northgate.halopsa.com:443/api//",
        ] {
            let address = Address::read(pasted, None).unwrap();
            assert_eq!(address.system(), "northgate.halopsa.com", "{pasted}");
            assert_eq!(
                address
                    .api(&["Client", "1/2"], &[("order", "id&x")])
                    .as_str(),
                "https://northgate.halopsa.com/api/Client/1%2F2?order=id%26x"
            );
            assert_eq!(
                address.usual_authority().as_str(),
                "https://northgate.halopsa.com/auth"
            );
        }
        let own = Address::read("https://desk.northgate.example:8443/halo/api", None).unwrap();
        assert_eq!(own.system(), "desk.northgate.example:8443/halo");
        assert_eq!(
            own.api(&["Client"], &[]).path(),
            "/halo/api/Client",
            "an instance below a path"
        );
        assert_eq!(own.usual_authority().path(), "/halo/auth");
    }

    #[test]
    fn what_is_no_address_of_an_instance_is_refused() {
        for pasted in [
            "",
            "northgate.halopsa.com",
            "http://northgate.halopsa.com",
            "https://user@northgate.halopsa.com",
            "https://northgate.halopsa.com/api?tenant=x",
            "https://northgate.halopsa.com/#home",
            "ftp://northgate.halopsa.com",
            "mailto:a@northgate.example",
        ] {
            assert!(
                matches!(Address::read(pasted, None), Err(PsaError::Config { .. })),
                "{pasted}"
            );
        }
        let base = "https://northgate.halopsa.com";
        for entered in [
            "http://northgate.halopsa.com/auth",
            "http://127.0.0.1/auth",
            "auth",
        ] {
            assert!(Address::read(base, Some(entered)).is_err(), "{entered}");
        }
        assert!(Address::read("http://127.0.0.1:4000", Some("http://127.0.0.1:4001/auth")).is_ok());
    }

    #[test]
    fn only_an_authority_of_the_same_origin_is_believed() {
        let address = Address::read("https://northgate.halopsa.com/api", None).unwrap();
        for (named, is_believed) in [
            ("https://northgate.halopsa.com/auth", true),
            ("https://northgate.halopsa.com:443/auth/token", true),
            ("/auth", true),
            ("https://auth.halopsa.com/", false),
            ("https://evil.example/auth", false),
            ("http://northgate.halopsa.com/auth", false),
            ("https://northgate.halopsa.com:8443/auth", false),
            ("https://northgate.halopsa.com.evil.example/auth", false),
            ("https://northgate.halopsa.com@evil.example/auth", false),
            ("//evil.example/auth", false),
        ] {
            assert_eq!(
                address.named_authority(named).is_some(),
                is_believed,
                "{named}"
            );
        }
        assert_eq!(
            token_url(
                &address.named_authority("/auth/").unwrap(),
                Some("north gate")
            )
            .as_str(),
            "https://northgate.halopsa.com/auth/token?tenant=north+gate"
        );
    }
}
