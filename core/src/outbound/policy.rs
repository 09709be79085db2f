//! Which addresses may be called that a user can name: PSA systems, and later receivers of webhooks.
//!
//! A text becomes a URL here, once, in one spelling (N1). Where its host leads is looked at again each
//! time a connection is made (N2): see [`super::names`].

use std::{net::IpAddr, str::FromStr, sync::Arc};

use ipnet::IpNet;
use url::{Host, Url};

use super::{
    addresses::{Place, is_private, place},
    is_loopback,
};

/// The longest address, in bytes.
const LONGEST: usize = 2048;
/// The longest name of a host, and of one of its labels (RFC 1035).
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;
/// The port that everybody may name.
const HTTPS: u16 = 443;
/// From here on, ports of hosts that the operator allowed.
const UNPRIVILEGED: u16 = 1024;

/// Why an address may not be called, in words for the person who entered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefused {
    /// No URL, or one with parts that have no place in it.
    #[error(
        "must be an address such as https://psa.example.com/path, without user name, query or fragment"
    )]
    NotAnAddress,
    /// Another scheme.
    #[error("must begin with https://")]
    NotHttps,
    /// An IP address in any spelling.
    #[error("must name its host, not an IP address")]
    Literal,
    /// A name that is none in the public DNS: one label, an empty one, other characters.
    #[error(
        "must have a full host name of letters, digits and hyphens; write international names as punycode"
    )]
    HostName,
    /// Another port.
    #[error(
        "must use port 443, unless the operator of this installation allowed this host in private_upstreams"
    )]
    Port,
    /// This machine, which only a setting opens.
    #[error("must not be this machine itself")]
    Loopback,
}

/// A private network, or one host in it, that the operator allows: `psa.example.com=10.1.0.0/16`, or
/// `10.1.0.0/16` for hosts of any name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateUpstream {
    host: Option<String>,
    network: IpNet,
}

/// Why a text allows no private network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrivateUpstream {
    /// No network in it.
    #[error(
        "expected a host and its network such as psa.example.com=10.1.0.0/16, or a network alone"
    )]
    NotANetwork,
    /// A network that is not private through and through.
    #[error(
        "only private networks can be allowed: parts of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 and fc00::/7"
    )]
    NotPrivate,
    /// Not the name of a host.
    #[error("expected a host name of letters, digits and hyphens before the =")]
    HostName,
}

impl FromStr for PrivateUpstream {
    type Err = InvalidPrivateUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidPrivateUpstream> {
        let (host, network) = match text.split_once('=') {
            Some((host, network)) => (Some(host.trim().to_ascii_lowercase()), network.trim()),
            None => (None, text.trim()),
        };
        let network = network
            .parse::<IpNet>()
            .or_else(|_no_network| network.parse::<IpAddr>().map(IpNet::from))
            .or(Err(InvalidPrivateUpstream::NotANetwork))?;
        if !is_private(&network) {
            return Err(InvalidPrivateUpstream::NotPrivate);
        }
        if host.as_deref().is_some_and(|host| !has_host_form(host)) {
            return Err(InvalidPrivateUpstream::HostName);
        }
        Ok(Self { host, network })
    }
}

/// Where an allowed address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Elsewhere: each address of the host is looked at when a connection is made.
    Remote,
    /// This machine.
    Local,
}

/// The rules about addresses that a user can name. Made from the settings of the operator alone; no API
/// changes them (N5). Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TargetPolicy {
    loopback: bool,
    private: Arc<[PrivateUpstream]>,
}

impl TargetPolicy {
    /// The rules of an installation. `loopback` lets this machine be called, as it is written.
    pub fn new(loopback: bool, private: Vec<PrivateUpstream>) -> Self {
        Self {
            loopback,
            private: private.into(),
        }
    }

    /// Reads an address that a person entered, in the one spelling in which it is kept and called.
    ///
    /// # Errors
    /// The first rule that it breaks. Its name may still lead to where nothing may be called: that shows
    /// with each connection.
    pub fn base(&self, text: &str) -> Result<Url, TargetRefused> {
        // What a URL parser would silently mend is refused: whoever checks and whoever calls must never
        // read one text in two ways.
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if text.len() > LONGEST {
            return Err(TargetRefused::NotAnAddress);
        }
        if !text.is_ascii() {
            return Err(TargetRefused::HostName);
        }
        if !is_plain {
            return Err(TargetRefused::NotAnAddress);
        }
        let url = Url::parse(text).or(Err(TargetRefused::NotAnAddress))?;
        let written = written_authority(text).ok_or(TargetRefused::NotAnAddress)?;
        if written.contains(['@', '%']) || url.query().is_some() || url.fragment().is_some() {
            return Err(TargetRefused::NotAnAddress);
        }
        self.reach(&url)?;
        Ok(url)
    }

    /// Whether a URL may be called, as far as its text tells.
    pub fn allows(&self, url: &Url) -> bool {
        self.reach(url).is_ok()
    }

    /// Whether a URL may be called, and where it lies.
    pub(super) fn reach(&self, url: &Url) -> Result<Reach, TargetRefused> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetRefused::NotAnAddress);
        }
        let scheme = url.scheme();
        if is_loopback(url) {
            return match (self.loopback, scheme) {
                (true, "http" | "https") => Ok(Reach::Local),
                (true, _) => Err(TargetRefused::NotHttps),
                (false, _) => Err(TargetRefused::Loopback),
            };
        }
        if scheme != "https" {
            return Err(TargetRefused::NotHttps);
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => name,
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(TargetRefused::Literal),
            None => return Err(TargetRefused::NotAnAddress),
        };
        let is_allowed_host = self.networks_of(name).next().is_some();
        if !has_host_form(name) || (!is_allowed_host && !name.contains('.')) {
            return Err(TargetRefused::HostName);
        }
        match url.port_or_known_default() {
            Some(HTTPS) => Ok(Reach::Remote),
            Some(UNPRIVILEGED..) if is_allowed_host => Ok(Reach::Remote),
            Some(_) | None => Err(TargetRefused::Port),
        }
    }

    /// Whether all addresses of a host may be called, each of them. One that may not spoils the answer:
    /// which of them would be dialled is not ours to say.
    pub(super) fn allows_addresses(&self, host: &str, addresses: &[IpAddr]) -> bool {
        if addresses.is_empty() {
            return false;
        }
        // A host that the operator gave a network lies in it and nowhere else.
        if self.networks_of(host).next().is_some() {
            return addresses
                .iter()
                .all(|address| is_within(*address, self.networks_of(host)));
        }
        let anyones = || {
            let open = self.private.iter().filter(|allowed| allowed.host.is_none());
            open.map(|allowed| &allowed.network)
        };
        let is_public = |address: &IpAddr| place(*address) == Place::Public;
        addresses.iter().all(is_public)
            || addresses
                .iter()
                .all(|address| is_within(*address, anyones()))
    }

    /// The networks that the operator gave a host by its name.
    fn networks_of<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p IpNet> {
        let named = self
            .private
            .iter()
            .filter(move |allowed| allowed.host.as_deref() == Some(name));
        named.map(|allowed| &allowed.network)
    }
}

/// Whether an address is private and lies in one of the networks.
fn is_within<'n>(address: IpAddr, mut networks: impl Iterator<Item = &'n IpNet>) -> bool {
    place(address) == Place::Private && networks.any(|network| network.contains(&address))
}

/// What stands between the slashes, as it was written; none where the form is another.
fn written_authority(text: &str) -> Option<&str> {
    let (_scheme, rest) = text.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

/// Letters, digits and hyphens, no empty label, no dot at the end, nothing over-long.
fn has_host_form(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        label.len() <= LONGEST_LABEL
            && is_edge(label.bytes().next())
            && is_edge(label.bytes().last())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= LONGEST_HOST && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(loopback: bool, private: &[&str]) -> TargetPolicy {
        TargetPolicy::new(
            loopback,
            private.iter().map(|text| text.parse().unwrap()).collect(),
        )
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn n1_an_address_is_taken_in_one_spelling() {
        let policy = policy(false, &[]);
        for (written, kept) in [
            (
                "https://api-eu.myconnectwise.net",
                "https://api-eu.myconnectwise.net/",
            ),
            (
                "HTTPS://NA.MyConnectWise.net:443/v4_6_release",
                "https://na.myconnectwise.net/v4_6_release",
            ),
            (
                "https://webservices16.autotask.net/ATServicesRest/",
                "https://webservices16.autotask.net/ATServicesRest/",
            ),
            (
                "https://xn--bcher-kva.example/psa",
                "https://xn--bcher-kva.example/psa",
            ),
            ("https://a.example/x@y", "https://a.example/x@y"),
        ] {
            assert_eq!(policy.base(written).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn n1_every_trick_in_an_address_is_refused() {
        let label = format!("https://{}.example", "a".repeat(64));
        let long_host = format!("https://{}example", "abcdefgh.".repeat(30));
        let huge_host = format!("https://{}.example", "a".repeat(10_000));
        for text in [
            "",
            "https",
            "https://",
            "https:///x",
            "//psa.example",
            "psa.example",
            "https:psa.example",
            "https:/psa.example",
            "http://psa.example",
            "ftp://psa.example",
            "file:///etc/passwd",
            "gopher://psa.example",
            "javascript:alert(1)",
            "data:,x",
            "ws://psa.example",
            // user names
            "https://user@psa.example",
            "https://user:password@psa.example",
            "https://@psa.example",
            "https://:@psa.example",
            "https://psa.example@169.254.169.254",
            "https://psa.example%40evil.example",
            // IP addresses however they are written
            "https://8.8.8.8",
            "https://10.0.0.1",
            "https://127.0.0.1",
            "https://2130706433",
            "https://0x7f000001",
            "https://0x7f.1",
            "https://0177.0.0.1",
            "https://127.1",
            "https://017700000001",
            "https://0",
            "https://169.254.169.254",
            "https://0xa9fea9fe",
            "https://[::1]",
            "https://[::]",
            "https://[fe80::1]",
            "https://[::ffff:127.0.0.1]",
            "https://[::ffff:a9fe:a9fe]",
            "https://[64:ff9b::7f00:1]",
            "https://[fd00:ec2::254]",
            "https://[2606:4700::1111]",
            "https://127.0.0.1.",
            "https://%31%32%37.0.0.1",
            "https://foo.1",
            "https://1.2.3.4.5",
            // this machine by name
            "https://localhost",
            "http://localhost:8080",
            "https://LOCALHOST",
            // names that are none
            "https://psa.example.",
            "https://psa..example",
            "https://.psa.example",
            "https://psa",
            "https://psa_x.example",
            "https://-psa.example",
            "https://psa-.example",
            "https://psa.example..",
            "https://*.example",
            "https://psa,example.com",
            "https://psa.exa%6dple",
            "https://bücher.example",
            "https://ｐｓａ.example",
            "https://①②⑦.⓪.⓪.①",
            "https://psa。example",
            "https://psa.ex\u{ad}ample",
            "https://\u{200b}psa.example",
            // what a parser mends
            " https://psa.example",
            "https://psa.example ",
            "https://psa.exa\tmple",
            "https://psa.exa\nmple",
            "ht\ntps://psa.example",
            "https://psa.example\\@evil.example",
            "https:\\\\psa.example",
            "https://psa.example\\.evil.example",
            "https://psa.example\0",
            "https://psa.example\r\nX: y",
            // other ports
            "https://psa.example:80",
            "https://psa.example:22",
            "https://psa.example:8443",
            "https://psa.example:0",
            "https://psa.example:65536",
            "https://psa.example:x",
            // parts that have no place in a base
            "https://psa.example?x=1",
            "https://psa.example/#x",
            &label,
            &long_host,
            &huge_host,
        ] {
            assert!(policy(false, &[]).base(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn n5_this_machine_is_called_as_written_with_the_setting_alone() {
        for text in [
            "http://127.0.0.1:4711/base",
            "http://[::1]:8080/",
            "https://localhost:8443/",
            "http://127.9.9.9/",
        ] {
            assert_eq!(policy(true, &[]).base(text).unwrap().as_str(), text);
            assert_eq!(
                policy(false, &[]).base(text),
                Err(TargetRefused::Loopback),
                "{text}"
            );
        }
        for text in [
            "https://169.254.169.254/",
            "http://169.254.169.254/",
            "http://10.0.0.1/",
            "http://psa.example/",
            "http://user@127.0.0.1/",
            "ftp://127.0.0.1/",
            "http://127.0.0.1.nip.io/",
            "http://0.0.0.0/",
            "http://[::]/",
        ] {
            assert!(policy(true, &["10.0.0.0/8"]).base(text).is_err(), "{text}");
        }
    }

    #[test]
    fn n5_the_operator_allows_a_host_in_its_network_and_nothing_else() {
        let policy = policy(true, &["psa.example=10.20.0.0/16", "psa=fd12::/16"]);
        for text in [
            "https://psa.example:8443/x",
            "https://psa.example/",
            "https://psa:1024/",
        ] {
            assert!(policy.base(text).is_ok(), "{text}");
        }
        for text in [
            "https://psa.example:444",
            "https://other.example:8443",
            "http://psa.example:8080",
            "https://other",
        ] {
            assert!(policy.base(text).is_err(), "{text}");
        }
        assert!(policy.allows_addresses("psa.example", &ips(&["10.20.1.1", "10.20.2.2"])));
        for other in [
            vec!["10.21.0.1"],
            vec!["10.20.1.1", "10.21.0.1"],
            vec!["10.20.1.1", "1.1.1.1"],
            vec!["1.1.1.1"],
            vec!["169.254.169.254"],
            vec!["127.0.0.1"],
        ] {
            assert!(
                !policy.allows_addresses("psa.example", &ips(&other)),
                "{other:?}"
            );
        }
        assert!(!policy.allows_addresses("other.example", &ips(&["10.20.1.1"])));
    }

    #[test]
    fn n5_an_allowed_network_serves_any_name_and_never_the_clouds_metadata() {
        let policy = policy(true, &["100.64.0.0/10", "fd00::/8"]);
        assert!(policy.allows_addresses("psa.example", &ips(&["100.64.0.1", "fd12::1"])));
        assert!(policy.allows_addresses("psa.example", &ips(&["1.1.1.1"])));
        for other in [
            vec!["100.100.100.200"],
            vec!["fd00:ec2::254"],
            vec!["100.64.0.1", "1.1.1.1"],
            vec!["127.0.0.1"],
            vec!["::1"],
            vec![],
        ] {
            assert!(
                !policy.allows_addresses("psa.example", &ips(&other)),
                "{other:?}"
            );
        }
    }

    #[test]
    fn n5_what_is_no_private_network_cannot_be_allowed() {
        use InvalidPrivateUpstream as Invalid;
        for (text, why) in [
            ("psa.example", Invalid::NotANetwork),
            ("psa.example=", Invalid::NotANetwork),
            ("=10.0.0.0/8", Invalid::HostName),
            ("p a=10.0.0.0/8", Invalid::HostName),
            ("0.0.0.0/0", Invalid::NotPrivate),
            ("psa.example=127.0.0.0/8", Invalid::NotPrivate),
            ("169.254.0.0/16", Invalid::NotPrivate),
        ] {
            assert_eq!(text.parse::<PrivateUpstream>(), Err(why), "{text}");
        }
        assert!("10.1.2.3".parse::<PrivateUpstream>().is_ok());
    }
}
