//! Microsoft's national clouds as closed sets of hosts (G8).
//!
//! An installation speaks to one cloud. Its hosts may be overridden, for a proxy or a stand-in, but
//! never by a host of another of Microsoft's clouds.

use std::{fmt, str::FromStr};

use url::{Host, Url};

use crate::{ids::TenantId, microsoft::data_set::DataSet, outbound::is_loopback};

/// One of Microsoft's clouds. GCC tenants live in the global one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MicrosoftCloud {
    /// The worldwide cloud.
    Global,
    /// US Government L4 (GCC High).
    UsGov,
    /// US Government L5 (DoD).
    UsGovDod,
    /// China, operated by 21Vianet.
    China,
}

/// A text that names no cloud.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a Microsoft cloud; known are global, usgov, usgovdod and china")]
pub struct UnknownCloud;

impl MicrosoftCloud {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Global, Self::UsGov, Self::UsGovDod, Self::China];

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::UsGov => "usgov",
            Self::UsGovDod => "usgovdod",
            Self::China => "china",
        }
    }

    /// The hosts of this cloud's login, the one we use first.
    const fn login_hosts(self) -> &'static [&'static str] {
        match self {
            Self::Global => &[
                "login.microsoftonline.com",
                "login.microsoft.com",
                "login.windows.net",
            ],
            Self::UsGov | Self::UsGovDod => &["login.microsoftonline.us"],
            Self::China => &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
        }
    }

    /// The host of this cloud's Microsoft Graph.
    const fn graph_host(self) -> &'static str {
        match self {
            Self::Global => "graph.microsoft.com",
            Self::UsGov => "graph.microsoft.us",
            Self::UsGovDod => "dod-graph.microsoft.us",
            Self::China => "microsoftgraph.chinacloudapi.cn",
        }
    }

    /// Whether a host is this cloud's login or Graph.
    fn owns(self, host: &str) -> bool {
        self.graph_host() == host || self.login_hosts().contains(&host)
    }

    /// The clouds that own a host; two of them share a login. Empty: not Microsoft's, or unknown.
    pub fn owning(host: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |cloud| cloud.owns(host))
    }
}

impl FromStr for MicrosoftCloud {
    type Err = UnknownCloud;

    fn from_str(text: &str) -> Result<Self, UnknownCloud> {
        Self::ALL
            .into_iter()
            .find(|cloud| cloud.name() == text)
            .ok_or(UnknownCloud)
    }
}

impl fmt::Display for MicrosoftCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A service that not every cloud has, by Microsoft's v1.0 metadata of August 2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudService {
    /// `security/secureScores`.
    SecureScore,
    /// `reports/getMailboxUsageDetail` and `admin/reportSettings`.
    UsageReports,
}

/// Scheme, host and port: where a token may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Url);

/// Why an override is not an origin of this cloud.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OriginError {
    /// Not an absolute URL with a host.
    #[error("not a URL with a scheme and a host")]
    NotAUrl,
    /// It has a user name, a path, a query or a fragment.
    #[error("only scheme, host and port are allowed")]
    MoreThanAnOrigin,
    /// `http` to another machine, or no web scheme at all.
    #[error("must be https (http only for loopback)")]
    InsecureScheme,
    /// A host of another of Microsoft's clouds.
    #[error("this host belongs to Microsoft's cloud {owner}")]
    OtherCloud {
        /// The cloud it belongs to.
        owner: MicrosoftCloud,
    },
}

impl Origin {
    /// Reads `scheme://host[:port]`, a trailing slash tolerated.
    ///
    /// # Errors
    /// When there is more or less than that, or plain `http` to another machine.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let url = match Url::parse(text) {
            Ok(url) if url.has_host() => url,
            Ok(_) | Err(_) => return Err(OriginError::NotAUrl),
        };
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare {
            return Err(OriginError::MoreThanAnOrigin);
        }
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            _insecure => Err(OriginError::InsecureScheme),
        }
    }

    /// `scheme://host[:port]` without a trailing slash.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// A URL under this origin. Path and query are percent-encoded where they must be.
    pub(crate) fn at(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// Whether a URL has this scheme, host and port.
    pub fn covers(&self, url: &Url) -> bool {
        url.scheme() == self.0.scheme()
            && url.host() == self.0.host()
            && url.port_or_known_default() == self.0.port_or_known_default()
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    fn host(&self) -> Option<&str> {
        self.0.host_str()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where administrators of a cloud find things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portals {
    /// The Azure portal.
    pub azure: &'static str,
    /// The Microsoft Entra admin center.
    pub entra: &'static str,
    /// The Microsoft 365 admin center.
    pub microsoft_365: &'static str,
}

/// Everything about the installation's cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudProfile {
    cloud: MicrosoftCloud,
    authority: Origin,
    graph: Origin,
}

impl CloudProfile {
    /// The profile of a cloud, with the overrides of the settings.
    ///
    /// # Errors
    /// An override that is no origin, not safe, or a host of another cloud.
    pub fn new(
        cloud: MicrosoftCloud,
        authority_url: Option<&str>,
        graph_url: Option<&str>,
    ) -> Result<Self, OriginError> {
        let own_login = cloud.login_hosts().first().copied().unwrap_or_default();
        Ok(Self {
            cloud,
            authority: origin_of(cloud, authority_url, own_login)?,
            graph: origin_of(cloud, graph_url, cloud.graph_host())?,
        })
    }

    /// Which cloud.
    pub fn cloud(&self) -> MicrosoftCloud {
        self.cloud
    }

    /// Where people sign in and tokens come from.
    pub fn authority(&self) -> &Origin {
        &self.authority
    }

    /// Where Microsoft Graph answers.
    pub fn graph(&self) -> &Origin {
        &self.graph
    }

    /// The scope that stands for everything granted on Microsoft Graph. It stays the cloud's own,
    /// whatever host is overridden.
    pub fn default_scope(&self) -> String {
        format!("https://{}/.default", self.cloud.graph_host())
    }

    /// A delegated permission of Microsoft Graph as it is asked for. A name without a resource is known
    /// to mean Graph in the global cloud only, so elsewhere the resource stands before it.
    pub(crate) fn scope(&self, name: &str) -> String {
        match self.cloud {
            MicrosoftCloud::Global => name.to_owned(),
            MicrosoftCloud::UsGov | MicrosoftCloud::UsGovDod | MicrosoftCloud::China => {
                format!("{}{name}", self.graph_resource())
            }
        }
    }

    /// The prefix by which delegated scopes of Microsoft Graph may be named.
    pub(crate) fn graph_resource(&self) -> String {
        format!("https://{}/", self.cloud.graph_host())
    }

    /// The issuer of a tenant's id tokens.
    pub fn issuer(&self, tenant: TenantId) -> String {
        format!("{}/{tenant}/v2.0", self.authority)
    }

    /// An issuer as this installation names it. Where the authority is overridden, documents may still
    /// name this cloud's own login hosts; there the overriding authority is meant.
    pub(crate) fn own_issuer(&self, issuer: &str) -> String {
        let hosts = self.cloud.login_hosts();
        if self
            .authority
            .host()
            .is_some_and(|host| hosts.contains(&host))
        {
            return issuer.to_owned();
        }
        let path = issuer.strip_prefix("https://").and_then(|rest| {
            let mut below = hosts.iter().filter_map(|host| rest.strip_prefix(host));
            below.find(|path| path.starts_with('/'))
        });
        match path {
            Some(path) => format!("{}{path}", self.authority),
            None => issuer.to_owned(),
        }
    }

    /// The token endpoint of a tenant: never a generic one.
    pub fn token_endpoint(&self, tenant: TenantId) -> Url {
        self.authority
            .at(&format!("/{tenant}/oauth2/v2.0/token"), None)
    }

    /// The authorization endpoint of a tenant.
    pub(crate) fn authorization_endpoint(&self, tenant: TenantId) -> Url {
        self.authority
            .at(&format!("/{tenant}/oauth2/v2.0/authorize"), None)
    }

    /// The signing keys of a tenant.
    pub(crate) fn keys_endpoint(&self, tenant: TenantId) -> Url {
        self.authority
            .at(&format!("/{tenant}/discovery/v2.0/keys"), None)
    }

    /// Whether the cloud has a service.
    pub fn has(&self, service: CloudService) -> bool {
        match (self.cloud, service) {
            (MicrosoftCloud::Global, CloudService::SecureScore | CloudService::UsageReports) => {
                true
            }
            (MicrosoftCloud::UsGov | MicrosoftCloud::UsGovDod, CloudService::SecureScore) => true,
            (MicrosoftCloud::UsGov | MicrosoftCloud::UsGovDod, CloudService::UsageReports) => false,
            (MicrosoftCloud::China, CloudService::SecureScore | CloudService::UsageReports) => {
                false
            }
        }
    }

    /// Whether a data set can be read in this cloud. Mailboxes have a second source where there are
    /// no usage reports.
    pub fn offers(&self, data_set: DataSet) -> bool {
        match data_set {
            DataSet::SecureScores => self.has(CloudService::SecureScore),
            DataSet::Organization
            | DataSet::Users
            | DataSet::Groups
            | DataSet::Licenses
            | DataSet::Devices
            | DataSet::Mailboxes => true,
        }
    }

    /// Whether this cloud may lack the list of a data set although [`offers`](Self::offers) says it is
    /// there: services of the national clouds arrive late and are withdrawn, and Microsoft's metadata
    /// describes both US Government clouds as one. A first request for such a list that is refused with
    /// 400, 404 or 501 means "not available" there.
    pub fn may_lack(&self, data_set: DataSet) -> bool {
        let everywhere = self.cloud == MicrosoftCloud::Global;
        match data_set {
            DataSet::SecureScores | DataSet::Devices => !everywhere,
            // Mailboxes have a second source, and no tenant is without the others.
            DataSet::Organization
            | DataSet::Users
            | DataSet::Groups
            | DataSet::Licenses
            | DataSet::Mailboxes => false,
        }
    }

    /// Whether a report may be fetched from an address that Graph redirected to: `https` under the
    /// cloud's report domain, or this machine when Graph itself is overridden to it.
    pub(crate) fn trusts_report_host(&self, url: &Url) -> bool {
        if !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        if self.graph.is_loopback() && is_loopback(url) {
            return matches!(url.scheme(), "http" | "https");
        }
        let suffix = match self.cloud {
            MicrosoftCloud::Global => "office.com",
            MicrosoftCloud::UsGov | MicrosoftCloud::UsGovDod => "office365.us",
            MicrosoftCloud::China => "office365.cn",
        };
        let host_fits = match url.host() {
            Some(Host::Domain(name)) => name
                .strip_suffix(suffix)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => false,
        };
        url.scheme() == "https" && url.port().is_none() && host_fits
    }

    /// Where administrators of this cloud find things.
    pub fn portals(&self) -> Portals {
        match self.cloud {
            MicrosoftCloud::Global => Portals {
                azure: "portal.azure.com",
                entra: "entra.microsoft.com",
                microsoft_365: "admin.microsoft.com",
            },
            MicrosoftCloud::UsGov => Portals {
                azure: "portal.azure.us",
                entra: "entra.microsoft.us",
                microsoft_365: "portal.office365.us",
            },
            MicrosoftCloud::UsGovDod => Portals {
                azure: "portal.azure.us",
                entra: "entra.microsoft.us",
                microsoft_365: "portal.apps.mil",
            },
            MicrosoftCloud::China => Portals {
                azure: "portal.azure.cn",
                entra: "entra.microsoftonline.cn",
                microsoft_365: "portal.partner.microsoftonline.cn",
            },
        }
    }
}

fn origin_of(
    cloud: MicrosoftCloud,
    overridden: Option<&str>,
    own_host: &str,
) -> Result<Origin, OriginError> {
    let Some(text) = overridden else {
        return Origin::parse(&format!("https://{own_host}"));
    };
    let origin = Origin::parse(text)?;
    let host = origin.host().unwrap_or_default();
    if cloud.owns(host) {
        return Ok(origin);
    }
    let owner = MicrosoftCloud::owning(host).next();
    match owner {
        Some(owner) => Err(OriginError::OtherCloud { owner }),
        None => Ok(origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c10_under_another_authority_the_clouds_own_issuers_mean_that_authority() {
        let own =
            CloudProfile::new(MicrosoftCloud::Global, Some("http://127.0.0.1:7"), None).unwrap();
        let real = "https://login.microsoftonline.com/{tenantid}/v2.0";
        assert_eq!(own.own_issuer(real), "http://127.0.0.1:7/{tenantid}/v2.0");
        for foreign in [
            "https://login.microsoftonline.us/{tenantid}/v2.0",
            "https://login.microsoftonline.com.evil.example/{tenantid}/v2.0",
            "http://login.microsoftonline.com/{tenantid}/v2.0",
        ] {
            assert_eq!(own.own_issuer(foreign), foreign);
        }
        let plain = CloudProfile::new(MicrosoftCloud::Global, None, None).unwrap();
        assert_eq!(plain.own_issuer(real), real);
    }

    #[test]
    fn names_of_the_settings_are_read_exactly() {
        for cloud in MicrosoftCloud::ALL {
            assert_eq!(cloud.name().parse(), Ok(cloud));
        }
        for wrong in ["", "Global", "gcc", "usgov ", "us-gov"] {
            assert_eq!(
                wrong.parse::<MicrosoftCloud>(),
                Err(UnknownCloud),
                "{wrong}"
            );
        }
    }

    #[test]
    fn g8_no_cloud_takes_a_host_of_another() {
        for cloud in MicrosoftCloud::ALL {
            for other in MicrosoftCloud::ALL {
                for host in other.login_hosts().iter().chain([&other.graph_host()]) {
                    let url = format!("https://{host}");
                    let made = CloudProfile::new(cloud, Some(&url), None);
                    assert_eq!(made.is_ok(), cloud.owns(host), "{cloud} with {host}");
                    let made = CloudProfile::new(cloud, None, Some(&url));
                    assert_eq!(made.is_ok(), cloud.owns(host), "{cloud} with {host}");
                }
            }
        }
    }

    #[test]
    fn overrides_are_origins_and_nothing_more() {
        let refused = [
            ("", OriginError::NotAUrl),
            ("login.example", OriginError::NotAUrl),
            ("mailto:a@b.example", OriginError::NotAUrl),
            (
                "https://login.example/common",
                OriginError::MoreThanAnOrigin,
            ),
            ("https://login.example?x=1", OriginError::MoreThanAnOrigin),
            ("https://login.example#x", OriginError::MoreThanAnOrigin),
            ("https://user@login.example", OriginError::MoreThanAnOrigin),
            (
                "https://user:pw@login.example",
                OriginError::MoreThanAnOrigin,
            ),
            ("http://login.example", OriginError::InsecureScheme),
            ("ftp://login.example", OriginError::InsecureScheme),
            ("http://127.0.0.1.example", OriginError::InsecureScheme),
            ("http://localhost.example", OriginError::InsecureScheme),
        ];
        for (text, error) in refused {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
        for text in [
            "https://login.example",
            "http://127.0.0.1:8081",
            "http://[::1]:1",
            "http://localhost:9",
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(
            Origin::parse("https://login.example:443/")
                .unwrap()
                .as_str(),
            "https://login.example"
        );
    }

    #[test]
    fn g8_each_cloud_offers_what_microsofts_metadata_has_there() {
        for (cloud, scores, reports, may_lack) in [
            (MicrosoftCloud::Global, true, true, false),
            (MicrosoftCloud::UsGov, true, false, true),
            (MicrosoftCloud::UsGovDod, true, false, true),
            (MicrosoftCloud::China, false, false, true),
        ] {
            let profile = CloudProfile::new(cloud, None, None).unwrap();
            assert_eq!(profile.has(CloudService::UsageReports), reports, "{cloud}");
            for data_set in DataSet::ALL {
                let is_score = data_set == DataSet::SecureScores;
                assert_eq!(
                    profile.offers(data_set),
                    scores || !is_score,
                    "{cloud} {data_set}"
                );
                let optional = is_score || data_set == DataSet::Devices;
                assert_eq!(
                    profile.may_lack(data_set),
                    may_lack && optional,
                    "{cloud} {data_set}"
                );
            }
        }
    }

    #[test]
    fn scopes_stay_the_clouds_when_hosts_are_overridden() {
        let profile = CloudProfile::new(
            MicrosoftCloud::Global,
            Some("http://127.0.0.1:1"),
            Some("http://127.0.0.1:2"),
        )
        .unwrap();
        assert_eq!(
            profile.default_scope(),
            "https://graph.microsoft.com/.default"
        );
        let tenant: TenantId = "0b8f1a52-6a5e-4b0e-8f6e-0d7a5f3b9c11".parse().unwrap();
        assert_eq!(
            profile.issuer(tenant),
            format!("http://127.0.0.1:1/{tenant}/v2.0")
        );
    }

    #[test]
    fn n3_reports_come_only_from_the_report_domain() {
        let cloud = CloudProfile::new(MicrosoftCloud::Global, None, None).unwrap();
        let stand_in =
            CloudProfile::new(MicrosoftCloud::Global, None, Some("http://127.0.0.1:5")).unwrap();
        let trusted = [
            "https://reports.office.com/data/x?token=1",
            "https://office.com/x",
        ];
        let foreign = [
            "http://reports.office.com/x",
            "https://reports.office.com.example/x",
            "https://notoffice.com/x",
            "https://reports.office.com:8443/x",
            "https://user@reports.office.com/x",
            "https://169.254.169.254/x",
            "https://graph.microsoft.com/x",
        ];
        for url in trusted {
            assert!(cloud.trusts_report_host(&Url::parse(url).unwrap()), "{url}");
        }
        for url in foreign {
            assert!(
                !cloud.trusts_report_host(&Url::parse(url).unwrap()),
                "{url}"
            );
            assert!(
                !stand_in.trusts_report_host(&Url::parse(url).unwrap()),
                "{url}"
            );
        }
        let local = Url::parse("http://127.0.0.1:6/report").unwrap();
        assert!(stand_in.trusts_report_host(&local));
        assert!(!cloud.trusts_report_host(&local));
    }
}
