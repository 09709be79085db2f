//! Where a ConnectWise PSA is: what people paste, the two hosts of the cloud, and the code base between
//! host and API (psa.md §A1).

use url::{Host, Url};

use crate::error::PsaError;

/// The endings of the hosts that ConnectWise runs itself. Many customers of theirs share each host.
const CLOUD: &[&str] = &[".myconnectwise.net", ".connectwisedev.com"];

/// What the API's host of the cloud begins with; the host that people see has the same name without it.
const API_PREFIX: &str = "api-";

/// The code base that every server knows, and that a server of one's own always has.
pub(super) const RELEASE: &str = "v4_6_release";

/// What runs at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hosting {
    /// One of ConnectWise's own hosts: the code base is looked up.
    Cloud,
    /// The MSP's own server.
    OnPremises,
    /// On this machine, a stand-in for tests and demonstrations: the address is used as given.
    Loopback,
}

/// A connection's address, read from what a person entered.
pub(super) struct Address {
    hosting: Hosting,
    /// Where people sign in and where the code base is looked up; without path.
    ui: Url,
    /// Where the API is; without path.
    api: Url,
    /// What stands before the code base: empty but for a stand-in.
    prefix: String,
    /// The code base where it is not looked up.
    fixed: Option<String>,
}

/// Which version of the API is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodeBase {
    /// Its part of the address, without slashes: `v2025_1`.
    pub name: String,
    /// Whether ConnectWise runs it, so that a version of the API may be asked for by name.
    pub is_cloud: bool,
}

fn config(what: &str) -> PsaError {
    PsaError::Config {
        what: what.to_owned(),
    }
}

impl Address {
    /// Reads what was entered: the address of the sign-in page or of the API, with or without `https://`,
    /// with or without what follows the host.
    ///
    /// # Errors
    /// [`PsaError::Config`] for what is no such address.
    pub fn parse(entered: &str) -> Result<Self, PsaError> {
        let entered = entered.trim();
        let whole = if entered.contains("://") {
            entered.to_owned()
        } else {
            format!("https://{entered}")
        };
        let mut base = Url::parse(&whole).or(Err(config(
            "the base URL is no web address; enter one such as https://na.myconnectwise.net",
        )))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(config("the base URL must not hold a user name or password"));
        }
        let hosting = hosting(&base)?;
        if base.scheme() != "https" && !(hosting == Hosting::Loopback && base.scheme() == "http") {
            return Err(config("the base URL must begin with https://"));
        }
        let path = base.path().to_owned();
        base.set_path("");
        base.set_query(None);
        base.set_fragment(None);
        let mut address = Self {
            hosting,
            ui: base.clone(),
            api: base,
            prefix: String::new(),
            fixed: None,
        };
        match hosting {
            Hosting::Cloud => address.split_hosts()?,
            Hosting::OnPremises => address.fixed = Some(RELEASE.to_owned()),
            Hosting::Loopback => address.keep_path(&path),
        }
        Ok(address)
    }

    /// The cloud has two hosts of one name: without the prefix the API says "SSL is required.".
    fn split_hosts(&mut self) -> Result<(), PsaError> {
        let refused = || config("the base URL is no address of ConnectWise's cloud");
        if self.api.port().is_some() {
            return Err(refused());
        }
        let host = self.api.host_str().unwrap_or_default().to_owned();
        let ui = host.strip_prefix(API_PREFIX).unwrap_or(&host);
        self.ui.set_host(Some(ui)).or(Err(refused()))?;
        self.api
            .set_host(Some(&format!("{API_PREFIX}{ui}")))
            .or(Err(refused()))
    }

    /// A stand-in may stand under a path, and may have its code base in it.
    fn keep_path(&mut self, path: &str) {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let is_whole = parts.ends_with(&["apis", "3.0"]);
        if is_whole {
            parts.truncate(parts.len().saturating_sub(2));
        }
        let has_code_base = parts.last().is_some_and(|last| looks_like_code_base(last));
        if has_code_base {
            self.fixed = parts.pop().map(str::to_owned);
        }
        self.prefix = parts.iter().map(|part| format!("/{part}")).collect();
    }

    /// The code base where it need not be looked up.
    pub fn fixed(&self) -> Option<CodeBase> {
        self.fixed.as_ref().map(|name| CodeBase {
            name: name.clone(),
            is_cloud: false,
        })
    }

    /// The code base of a server that does not say which it has: a stand-in without that page. In the cloud
    /// the page is always there, and one that is missing means another thing.
    pub fn unsaid(&self) -> Option<CodeBase> {
        (self.hosting == Hosting::Loopback).then(|| CodeBase {
            name: RELEASE.to_owned(),
            is_cloud: false,
        })
    }

    /// Where the code base is looked up. The company's id is entered by people and is encoded whole.
    pub fn company_info(&self, company: &str) -> Url {
        let mut url = self.ui.clone();
        url.set_path(&format!("{}/login/companyinfo", self.prefix));
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(company);
        }
        url
    }

    /// Where a resource of the API is. `path` is made of our own words and numbers.
    pub fn resource(&self, code_base: &CodeBase, path: &str) -> Url {
        let mut url = self.api.clone();
        let (prefix, name) = (&self.prefix, &code_base.name);
        url.set_path(&format!("{prefix}/{name}/apis/3.0/{path}"));
        url
    }

    /// Whether an address that the PSA gave us is on one of our two hosts, by the same scheme and port.
    pub fn is_ours(&self, url: &Url) -> bool {
        let same = |ours: &Url| {
            url.scheme() == ours.scheme()
                && url.host() == ours.host()
                && url.port_or_known_default() == ours.port_or_known_default()
        };
        url.username().is_empty() && url.password().is_none() && (same(&self.ui) || same(&self.api))
    }

    /// Whether other firms have their PSA at the same host.
    pub fn is_shared(&self) -> bool {
        self.hosting == Hosting::Cloud
    }

    /// What tells this system from another: host and company.
    pub fn system(&self, company: &str) -> String {
        let host = self.ui.host_str().unwrap_or_default();
        let port = self.ui.port().map(|port| format!(":{port}"));
        let port = port.unwrap_or_default();
        format!("{host}{port}{}/{company}", self.prefix)
    }
}

fn hosting(base: &Url) -> Result<Hosting, PsaError> {
    Ok(match base.host() {
        Some(Host::Ipv4(ip)) if ip.is_loopback() => Hosting::Loopback,
        Some(Host::Ipv6(ip)) if ip.is_loopback() => Hosting::Loopback,
        Some(Host::Domain("localhost")) => Hosting::Loopback,
        Some(Host::Domain(name)) if CLOUD.iter().any(|ending| name.ends_with(ending)) => {
            Hosting::Cloud
        }
        Some(Host::Domain(name)) if CLOUD.iter().any(|end| end.strip_prefix('.') == Some(name)) => {
            return Err(config(
                "the base URL lacks the region; enter the address of your sign-in page, such as https://na.myconnectwise.net",
            ));
        }
        Some(Host::Ipv4(_) | Host::Ipv6(_) | Host::Domain(_)) => Hosting::OnPremises,
        None => return Err(config("the base URL has no host")),
    })
}

/// `v2025_1`, `v4_6_release`.
fn looks_like_code_base(part: &str) -> bool {
    let mut characters = part.chars();
    characters.next() == Some('v')
        && characters.next().is_some_and(|c| c.is_ascii_digit())
        && part.contains('_')
}

impl CodeBase {
    /// Reads the name that a server gives; none for what would lead elsewhere.
    pub fn named(said: &str, is_cloud: bool) -> Option<Self> {
        let name = said.trim().trim_matches('/');
        let is_plain = !name.is_empty()
            && name.len() <= 40
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        is_plain.then(|| Self {
            name: name.to_owned(),
            is_cloud,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(entered: &str) -> (String, String, Option<String>) {
        let address = Address::parse(entered).unwrap();
        let base = address
            .fixed()
            .unwrap_or(CodeBase::named("v2025_1/", true).unwrap());
        (
            address.company_info("north gate").to_string(),
            address.resource(&base, "company/companies").to_string(),
            address.fixed().map(|base| base.name),
        )
    }

    #[test]
    fn what_people_paste_of_the_cloud_leads_to_both_hosts() {
        for pasted in [
            "https://eu.myconnectwise.net",
            "eu.myconnectwise.net",
            " https://api-eu.myconnectwise.net/ ",
            "https://EU.myconnectwise.net/v2025_1/ConnectWise.aspx?fullscreen=false#startscreen",
            "https://api-eu.myconnectwise.net/v4_6_release/apis/3.0",
        ] {
            let (info, api, fixed) = told(pasted);
            assert_eq!(
                info, "https://eu.myconnectwise.net/login/companyinfo/north%20gate",
                "{pasted}"
            );
            assert_eq!(
                api, "https://api-eu.myconnectwise.net/v2025_1/apis/3.0/company/companies",
                "{pasted}"
            );
            assert_eq!(fixed, None, "{pasted}");
            assert_eq!(
                Address::parse(pasted).unwrap().system("northgate"),
                "eu.myconnectwise.net/northgate"
            );
        }
        let (_, api, _) = told("https://staging.connectwisedev.com");
        assert!(api.starts_with("https://api-staging.connectwisedev.com/v2025_1/"));
    }

    #[test]
    fn a_server_of_ones_own_has_no_prefix_and_the_lasting_code_base() {
        let (_, api, fixed) = told("https://psa.northgate.example:8443/v4_6_release/services");
        assert_eq!(
            api,
            "https://psa.northgate.example:8443/v4_6_release/apis/3.0/company/companies"
        );
        assert_eq!(fixed.as_deref(), Some(RELEASE));
    }

    #[test]
    fn a_loopback_address_is_used_as_given() {
        let (info, api, fixed) = told("http://127.0.0.1:4010/cw");
        assert_eq!(
            info,
            "http://127.0.0.1:4010/cw/login/companyinfo/north%20gate"
        );
        assert_eq!(
            api,
            "http://127.0.0.1:4010/cw/v2025_1/apis/3.0/company/companies"
        );
        assert_eq!(fixed, None);
        for whole in [
            "http://[::1]:9/v2024_3/apis/3.0/",
            "http://[::1]:9/v2024_3",
            "http://[::1]:9//v2024_3/",
        ] {
            let (_, api, fixed) = told(whole);
            assert_eq!(api, "http://[::1]:9/v2024_3/apis/3.0/company/companies");
            assert_eq!(fixed.as_deref(), Some("v2024_3"));
        }
    }

    #[test]
    fn what_is_no_address_of_a_psa_is_refused() {
        for entered in [
            "",
            "http://eu.myconnectwise.net",
            "ftp://127.0.0.1",
            "https://user:word@eu.myconnectwise.net",
            "https://eu.myconnectwise.net:8443",
            "https://myconnectwise.net",
            "https://",
        ] {
            assert!(
                matches!(Address::parse(entered), Err(PsaError::Config { .. })),
                "{entered}"
            );
        }
    }

    #[test]
    fn only_both_hosts_are_ours() {
        let address = Address::parse("https://eu.myconnectwise.net").unwrap();
        for (url, ours) in [
            ("https://eu.myconnectwise.net/x", true),
            ("https://api-eu.myconnectwise.net//y", true),
            ("https://eu.myconnectwise.net:443/x", true),
            ("http://eu.myconnectwise.net/x", false),
            ("https://na.myconnectwise.net/x", false),
            ("https://eu.myconnectwise.net.evil.example/x", false),
            ("https://eu.myconnectwise.net@evil.example/x", false),
            ("https://a@eu.myconnectwise.net/x", false),
            ("https://eu.myconnectwise.net:8443/x", false),
        ] {
            assert_eq!(address.is_ours(&Url::parse(url).unwrap()), ours, "{url}");
        }
    }

    #[test]
    fn a_code_base_that_leads_elsewhere_is_none() {
        assert!(CodeBase::named("v2025_1/", true).is_some());
        for said in ["", "/", "..", "v1/../x", "v1?x", "v1#", "a%2f"] {
            assert_eq!(CodeBase::named(said, true), None, "{said}");
        }
    }
}
