//! Addresses on Microsoft Graph, built from typed pieces or taken from a checked link.
//!
//! Nothing a tenant or a person typed can become part of a path (J6), and no link leads a token to
//! another host (N4).

use std::fmt::Write;

use url::{Url, form_urlencoded::byte_serialize};
use uuid::Uuid;

use crate::microsoft::{cloud::CloudProfile, graph_error::GraphError};

const VERSION: &str = "/v1.0/";
/// Delta tokens are long, but not this long: a link that grows page by page ends here.
const LONGEST_LINK: usize = 16 * 1024;

/// A path below `/v1.0/` with its query.
///
/// Texts are part of the program; what varies is an id, or a query value that gets encoded:
/// `GraphPath::of("groups").id(group).then("members?$select=id&$top=999")`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphPath {
    path: String,
    query: String,
}

impl GraphPath {
    /// Begins with a text of the program, without a leading slash; a query may follow.
    pub fn of(text: &'static str) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        Self {
            path: path.to_owned(),
            query: query.to_owned(),
        }
    }

    /// Goes on with an object's id.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        let _infallible = write!(self.path, "/{}", id.hyphenated());
        self
    }

    /// Goes on with a text of the program; a query may follow.
    #[must_use]
    pub fn then(mut self, text: &'static str) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        self.path.push('/');
        self.path.push_str(path);
        self.append_query(query);
        self
    }

    /// Adds a query option whose value is encoded.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: &str) -> Self {
        let value: String = byte_serialize(value.as_bytes()).collect();
        // `+` means a blank only in forms.
        self.append_query(&format!("{name}={}", value.replace('+', "%20")));
        self
    }

    fn append_query(&mut self, query: &str) {
        if !self.query.is_empty() && !query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(query);
    }

    fn url(&self, profile: &CloudProfile) -> Url {
        let query = (!self.query.is_empty()).then_some(self.query.as_str());
        profile
            .graph()
            .at(&format!("{VERSION}{}", self.path), query)
    }

    /// The form inside a batch: relative, without the version.
    pub(crate) fn in_batch(&self, profile: &CloudProfile) -> String {
        let url = self.url(profile);
        let path = url.path().strip_prefix(VERSION).unwrap_or_default();
        match url.query() {
            Some(query) => format!("/{path}?{query}"),
            None => format!("/{path}"),
        }
    }

    /// What it costs in Microsoft's resource units.
    pub(crate) fn units(&self) -> u32 {
        units(&self.path, &self.query)
    }
}

impl From<&'static str> for GraphPath {
    fn from(text: &'static str) -> Self {
        Self::of(text)
    }
}

/// A text as an OData literal, for use in a `$filter`.
pub fn odata_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A whole address that a token may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphUrl {
    url: Url,
    eventual: bool,
}

impl GraphUrl {
    pub(crate) fn of_path(path: &GraphPath, profile: &CloudProfile) -> Self {
        Self {
            url: path.url(profile),
            eventual: false,
        }
    }

    /// Takes a link that Graph returned, unless it leads elsewhere.
    pub(crate) fn of_link(link: &str, profile: &CloudProfile) -> Result<Self, GraphError> {
        // What a URL parser would quietly drop or turn round has no place in a link of Graph.
        let is_plain =
            link.len() <= LONGEST_LINK && !link.chars().any(|c| c.is_control() || c == '\\');
        let url = match Url::parse(link) {
            Ok(url) if is_plain => url,
            Ok(_) | Err(_) => return Err(GraphError::ForeignLink),
        };
        let stays = profile.graph().covers(&url)
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.path().starts_with(VERSION);
        if stays {
            Ok(Self {
                url,
                eventual: false,
            })
        } else {
            Err(GraphError::ForeignLink)
        }
    }

    /// Asks with `ConsistencyLevel: eventual`, which `$count` and `$search` need on every page.
    #[must_use]
    pub fn eventual(self) -> Self {
        Self {
            eventual: true,
            ..self
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn is_eventual(&self) -> bool {
        self.eventual
    }

    /// Whether this is a stored link to changes, so that it can be too old.
    pub(crate) fn is_delta_link(&self) -> bool {
        self.url
            .query_pairs()
            .any(|(name, value)| name.eq_ignore_ascii_case("$deltatoken") && value != "latest")
    }

    pub(crate) fn units(&self) -> u32 {
        let path = self.url.path().strip_prefix(VERSION).unwrap_or_default();
        units(path, self.url.query().unwrap_or_default())
    }
}

/// Resource units of a GET, by Microsoft's table.
fn units(path: &str, query: &str) -> u32 {
    let segments: Vec<&str> = path.split('/').collect();
    let base: u32 = match segments.as_slice() {
        ["users" | "applications" | "oauth2PermissionGrants"] => 2,
        ["contracts" | "subscribedSkus"] | ["groups", _, "members"] => 3,
        ["groups", _, "transitiveMembers"] | ["directoryObjects", "getByIds"] => 5,
        ["servicePrincipals", _, "appRoleAssignments"]
        | [
            "users",
            _,
            "memberOf" | "transitiveMemberOf" | "licenseDetails",
        ] => 2,
        _other => 1,
    };
    let option = |wanted: &str| {
        query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = name.trim_start_matches("%24").trim_start_matches('$');
            name.eq_ignore_ascii_case(wanted).then_some(value)
        })
    };
    let few = option("top")
        .and_then(|top| top.parse::<u32>().ok())
        .is_some_and(|top| top < 20);
    let saved = u32::from(option("select").is_some()) + u32::from(few);
    let extra = u32::from(option("expand").is_some());
    (base + extra).saturating_sub(saved).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::microsoft::cloud::MicrosoftCloud;

    fn profile() -> CloudProfile {
        CloudProfile::new(MicrosoftCloud::Global, None, None).unwrap()
    }

    #[test]
    fn j6_only_ids_and_encoded_values_vary() {
        let id = Uuid::from_u128(7);
        let path = GraphPath::of("groups")
            .id(id)
            .then("members?$select=id&$top=999");
        assert_eq!(
            path.url(&profile()).as_str(),
            format!("https://graph.microsoft.com/v1.0/groups/{id}/members?$select=id&$top=999")
        );
        for hostile in [
            "../organization",
            "%2e%2e/x",
            "a'b",
            "x&$select=id",
            "#",
            "a b",
            "$",
            "é\r\n",
        ] {
            let filter = format!("startsWith(displayName,{})", odata_text(hostile));
            let url = GraphPath::of("users?$top=999")
                .query("$filter", &filter)
                .url(&profile());
            assert_eq!(url.path(), "/v1.0/users");
            assert_eq!(url.fragment(), None);
            let pairs: Vec<(String, String)> = url
                .query_pairs()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            assert_eq!(pairs.len(), 2, "{url}");
            assert_eq!(pairs[1].1, filter);
        }
        assert_eq!(odata_text("O'Brien"), "'O''Brien'");
    }

    #[test]
    fn the_batch_form_is_relative() {
        let path = GraphPath::of("users")
            .id(Uuid::nil())
            .then("mailboxSettings/userPurpose");
        assert_eq!(
            path.in_batch(&profile()),
            "/users/00000000-0000-0000-0000-000000000000/mailboxSettings/userPurpose"
        );
        assert_eq!(
            GraphPath::of("subscribedSkus?$select=id").in_batch(&profile()),
            "/subscribedSkus?$select=id"
        );
    }

    #[test]
    fn r14_links_to_anywhere_else_are_refused() {
        for link in [
            "https://graph.microsoft.com.example/v1.0/users",
            "https://graph.microsoft.com:8443/v1.0/users",
            "http://graph.microsoft.com/v1.0/users",
            "https://graph.microsoft.us/v1.0/users",
            "https://user@graph.microsoft.com/v1.0/users",
            "https://user:pw@graph.microsoft.com/v1.0/users",
            "https://graph.microsoft.com@example.com/v1.0/users",
            "https://graph.microsoft.com/beta/users",
            "https://graph.microsoft.com/othertenant/v1.0/users",
            "https://graph.microsoft.com/v1.0/../secret",
            "https://graph.microsoft.com/v1.0/users#x",
            "https:\\\\graph.microsoft.com\\v1.0\\users",
            "https://graph.micro\tsoft.com/v1.0/users",
            "//graph.microsoft.com/v1.0/users",
            "/v1.0/users?$skiptoken=1",
            "users?$skiptoken=1",
            "ftp://graph.microsoft.com/v1.0/users",
            "javascript:alert(1)",
            "",
        ] {
            let refused = GraphUrl::of_link(link, &profile());
            assert!(matches!(refused, Err(GraphError::ForeignLink)), "{link}");
        }
        let growing = format!(
            "https://graph.microsoft.com/v1.0/users?$skiptoken={}",
            "x".repeat(LONGEST_LINK)
        );
        assert!(GraphUrl::of_link(&growing, &profile()).is_err());
    }

    #[test]
    fn links_are_followed_as_they_are() {
        for link in [
            "https://graph.microsoft.com/v1.0/users?$select=id,displayName&$top=2&$skiptoken=RFNwdAI-_",
            "https://graph.microsoft.com/v1.0/users?$filter=city+eq+null&$count=true&$skiptoken=X%274453707",
            "https://graph.microsoft.com/v1.0/users/delta?$deltatoken=oEcOySpF_hWYm-9O7n",
        ] {
            assert_eq!(
                GraphUrl::of_link(link, &profile()).unwrap().url().as_str(),
                link
            );
        }
        let is_delta = |link: &str| GraphUrl::of_link(link, &profile()).unwrap().is_delta_link();
        assert!(is_delta(
            "https://graph.microsoft.com/v1.0/users/delta?$deltatoken=a"
        ));
        assert!(is_delta(
            "https://graph.microsoft.com/v1.0/users/delta?%24deltaToken=a"
        ));
        assert!(!is_delta(
            "https://graph.microsoft.com/v1.0/users/delta?$deltatoken=latest"
        ));
        assert!(!is_delta(
            "https://graph.microsoft.com/v1.0/users/delta?$skiptoken=a"
        ));
    }

    #[test]
    fn costs_follow_microsofts_table() {
        for (path, units) in [
            ("users", 2),
            ("users?$select=id&$top=999", 1),
            ("users?$select=id&$expand=manager", 2),
            ("users?$top=5", 1),
            ("users/delta?$select=id", 1),
            ("groups/x/members", 3),
            ("groups/x/members?$select=id", 2),
            ("groups/x/members?%24select=id&$top=10", 1),
            ("groups/x/transitiveMembers", 5),
            ("directoryObjects/getByIds", 5),
            ("subscribedSkus", 3),
            ("organization", 1),
        ] {
            assert_eq!(GraphPath::of(path).units(), units, "{path}");
        }
    }
}
