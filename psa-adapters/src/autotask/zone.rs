//! Where an Autotask database lives: each belongs to a zone, which is asked for by the user's name
//! (psa.md §B1).

use serde::Deserialize;
use url::{Host, Url};

use crate::{error::PsaError, wire};

/// The domain of all of Autotask's zones.
const DOMAIN: &str = "autotask.net";

/// Where the search for the zone begins: the address that a person entered.
pub(super) struct Base {
    root: Url,
    loopback: bool,
}

impl Base {
    /// Reads what was entered: https under autotask.net, or loopback as given. An address of the API
    /// itself (`…/ATServicesRest/V1.0`) is understood too.
    pub(super) fn parse(entered: &str) -> Result<Self, PsaError> {
        let refused = || PsaError::Config {
            what: "the base URL must be https and under autotask.net, such as \
                   https://webservices2.autotask.net"
                .to_owned(),
        };
        let mut root = Url::parse(entered.trim()).or(Err(refused()))?;
        let loopback = is_loopback(&root);
        if !(is_plain(&root) && (loopback || is_autotask(&root))) {
            return Err(refused());
        }
        let mut segments: Vec<String> = root
            .path_segments()
            .into_iter()
            .flatten()
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect();
        for known in ["v1.0", "atservicesrest"] {
            segments.pop_if(|last| last.eq_ignore_ascii_case(known));
        }
        root.set_path(&segments.join("/"));
        root.set_query(None);
        root.set_fragment(None);
        Ok(Self { root, loopback })
    }

    /// The address of the zone call. It takes no credentials, only the user's name.
    pub(super) fn zone_call(&self, user: &str) -> Result<Url, PsaError> {
        let mut url = extended(&self.root, &["atservicesrest", "v1.0", "zoneInformation"])?;
        url.query_pairs_mut().append_pair("user", user);
        Ok(url)
    }

    /// Names the system: zones all lead to the same databases, a stand-in is one by its address.
    pub(super) fn system(&self) -> String {
        if !self.loopback {
            return DOMAIN.to_owned();
        }
        let host = self.root.host_str().unwrap_or_default();
        match self.root.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

/// The answer of the zone call.
#[derive(Deserialize)]
struct ZoneInformation {
    #[serde(default, deserialize_with = "wire::text")]
    url: Option<String>,
}

/// The zone that a database lives in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Zone {
    /// Its API, up to and with the version: `https://webservices16.autotask.net/ATServicesRest/V1.0`.
    api: Url,
}

impl Zone {
    /// Reads the answer of the zone call. The path is kept as it is written there: one zone takes it in no
    /// other case.
    pub(super) fn read(base: &Base, status: u16, body: &[u8]) -> Result<Self, PsaError> {
        let unexpected = || PsaError::Protocol {
            status,
            what: "the zone call named no address".to_owned(),
        };
        let answer: ZoneInformation = serde_json::from_slice(body).or(Err(unexpected()))?;
        let mut api = Url::parse(&answer.url.ok_or_else(unexpected)?).or(Err(unexpected()))?;
        if base.loopback && !is_loopback(&api) {
            // A stand-in that repeats Autotask's own words: loopback is used as given.
            api = extended(&base.root, &["ATServicesRest"])?;
        }
        let ours = base.loopback || is_autotask(&api);
        if !(is_plain(&api) && ours) {
            return Err(PsaError::Config {
                what: "the base URL's zone call names an address that is not Autotask's: the base URL \
                       must be Autotask's own"
                    .to_owned(),
            });
        }
        api.set_query(None);
        api.set_fragment(None);
        let has_version = api
            .path_segments()
            .into_iter()
            .flatten()
            .any(|segment| segment.eq_ignore_ascii_case("v1.0"));
        let api = if has_version {
            api
        } else {
            extended(&api, &["V1.0"])?
        };
        Ok(Self { api })
    }

    /// An address of the API, each segment escaped.
    pub(super) fn at(&self, segments: &[&str]) -> Result<Url, PsaError> {
        extended(&self.api, segments)
    }

    /// Whether an address has the zone's scheme, host and port: only such a one is sent credentials.
    pub(super) fn owns(&self, url: &Url) -> bool {
        is_plain(url) && url.origin() == self.api.origin()
    }
}

fn extended(url: &Url, segments: &[&str]) -> Result<Url, PsaError> {
    let mut url = url.clone();
    url.path_segments_mut()
        .or(Err(PsaError::AddressRefused))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

fn is_plain(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

fn is_autotask(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let under = host
        .strip_suffix(DOMAIN)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    url.scheme() == "https" && url.port().is_none() && under
}

fn is_loopback(url: &Url) -> bool {
    let is_web = matches!(url.scheme(), "http" | "https");
    is_web
        && match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(base: &str, named: &str) -> Result<String, PsaError> {
        let base = Base::parse(base)?;
        let body = serde_json::json!({ "url": named }).to_string();
        Ok(Zone::read(&base, 200, body.as_bytes())?
            .at(&["Companies", "a/../b"])?
            .to_string())
    }

    #[test]
    fn the_zone_call_starts_at_the_entered_address_however_much_of_it_was_entered() {
        for entered in [
            "https://webservices2.autotask.net",
            "https://webservices2.autotask.net/",
            "https://webservices2.autotask.net/ATServicesRest/V1.0/",
            "https://WEBSERVICES2.autotask.net/atservicesrest",
        ] {
            let url = Base::parse(entered)
                .unwrap()
                .zone_call("api+1@northgate.example")
                .unwrap();
            assert_eq!(
                url.as_str(),
                "https://webservices2.autotask.net/atservicesrest/v1.0/zoneInformation?user=api%2B1%40northgate.example",
                "{entered}"
            );
        }
        let standin = Base::parse("http://127.0.0.1:8123/autotask").unwrap();
        assert_eq!(
            standin.zone_call("a").unwrap().as_str(),
            "http://127.0.0.1:8123/autotask/atservicesrest/v1.0/zoneInformation?user=a"
        );
    }

    #[test]
    fn n1_a_base_that_is_not_autotasks_is_refused() {
        for entered in [
            "",
            "webservices2.autotask.net",
            "http://webservices2.autotask.net",
            "https://autotask.net.evil.example",
            "https://evilautotask.net",
            "https://user:pw@webservices2.autotask.net",
            "https://webservices2.autotask.net:8443",
            "http://10.0.0.1/",
            "file:///etc/passwd",
        ] {
            let refused = Base::parse(entered).err();
            assert!(
                matches!(refused, Some(PsaError::Config { .. })),
                "{entered}"
            );
        }
    }

    #[test]
    fn the_path_stays_as_the_zone_call_writes_it() {
        let base = "https://webservices2.autotask.net";
        for (named, expected) in [
            (
                "https://webservices16.autotask.net/ATServicesRest/",
                "https://webservices16.autotask.net/ATServicesRest/V1.0/Companies/a%2F..%2Fb",
            ),
            (
                "https://prde.autotask.net/atservicesrest",
                "https://prde.autotask.net/atservicesrest/V1.0/Companies/a%2F..%2Fb",
            ),
            (
                "https://webservices3.autotask.net/atservicesrest/v1.0/",
                "https://webservices3.autotask.net/atservicesrest/v1.0/Companies/a%2F..%2Fb",
            ),
        ] {
            assert_eq!(zone(base, named).unwrap(), expected);
        }
        assert_eq!(
            zone(
                "http://localhost:9000",
                "http://127.0.0.1:9001/ATServicesRest/"
            )
            .unwrap(),
            "http://127.0.0.1:9001/ATServicesRest/V1.0/Companies/a%2F..%2Fb"
        );
    }

    #[test]
    fn n1_a_zone_elsewhere_is_refused() {
        for (base, named) in [
            (
                "https://webservices2.autotask.net",
                "https://evil.example/ATServicesRest/",
            ),
            (
                "https://webservices2.autotask.net",
                "http://webservices16.autotask.net/ATServicesRest/",
            ),
            (
                "https://webservices2.autotask.net",
                "https://autotask.net@evil.example/",
            ),
            (
                "https://webservices2.autotask.net",
                "http://127.0.0.1:9001/",
            ),
        ] {
            let refused = zone(base, named).unwrap_err();
            assert!(
                matches!(refused, PsaError::Config { .. }),
                "{named}: {refused:?}"
            );
            assert!(!refused.to_string().contains("evil"), "{refused}");
        }
    }

    #[test]
    fn n1_loopback_stays_on_loopback_whatever_zone_is_named() {
        for named in [
            "https://webservices16.autotask.net/ATServicesRest/",
            "http://10.0.0.1/",
        ] {
            assert_eq!(
                zone("http://127.0.0.1:9000", named).unwrap(),
                "http://127.0.0.1:9000/ATServicesRest/V1.0/Companies/a%2F..%2Fb"
            );
        }
    }
}
