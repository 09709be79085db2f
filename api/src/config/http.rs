//! The HTTP side: where to listen, where browsers come in, whom to believe.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
};

use ipnet::IpNet;
use tenantry_core::{microsoft::cloud::Origin, outbound::is_loopback, secrets::SecretText};
use url::Url;

use super::reader::Reader;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_PUBLIC_URL: &str = "http://localhost:8080";
const DEFAULT_RATE_LIMIT: u32 = 6_000;

/// What the HTTP server needs.
#[derive(Debug)]
pub struct HttpConfig {
    /// The address to bind, where one was given.
    pub listen: Option<SocketAddr>,
    /// Where browsers reach the server.
    pub public_url: Origin,
    /// Certificate chain and key, when the server speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// Whose `X-Forwarded-…` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What opens `/metrics`.
    pub metrics_token: Option<SecretText>,
    /// Requests a minute for each key; 0 is no limit.
    pub rate_limit: u32,
    /// Where a browser may be sent after a consent.
    pub return_urls: Vec<Url>,
}

/// The PEM files of the server's certificate.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl HttpConfig {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let listen = reader.parsed("LISTEN", address);
        let public_url = match reader.text("PUBLIC_URL") {
            Some(_) => reader.parsed("PUBLIC_URL", Origin::parse),
            None => Origin::parse(DEFAULT_PUBLIC_URL).ok(),
        };
        let tls = tls(reader);
        let trusted_proxies = reader.list("TRUSTED_PROXIES", network);
        let metrics_token = metrics_token(reader);
        let rate_limit = reader.parsed("RATE_LIMIT", |text| {
            text.parse::<u32>()
                .map_err(|_not_one| "expected a number of requests a minute; 0 is no limit")
        });
        let return_urls = reader.list("RETURN_URLS", return_url);
        Some(Self {
            listen,
            public_url: public_url?,
            tls,
            trusted_proxies,
            metrics_token,
            rate_limit: rate_limit.unwrap_or(DEFAULT_RATE_LIMIT),
            return_urls,
        })
    }

    /// The address to bind.
    pub fn listen_or_default(&self) -> SocketAddr {
        self.listen.unwrap_or(DEFAULT_LISTEN)
    }
}

/// An address with a port, or a name of this machine with one.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let unusable = "expected an address and a port such as 127.0.0.1:8080 or [::]:8080";
    match text.to_socket_addrs() {
        Ok(mut addresses) => addresses.next().ok_or(unusable),
        Err(_unusable) => Err(unusable),
    }
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_not_an_address| text.parse::<IpNet>())
        .map_err(|_neither| "expected a network such as 10.0.0.0/8 or an address")
}

/// A place a browser may be sent back to: its origin and the beginning of its path.
fn return_url(text: &str) -> Result<Url, &'static str> {
    let url = match Url::parse(text) {
        Ok(url) if url.has_host() => url,
        Ok(_) | Err(_) => return Err("expected a URL with a scheme and a host"),
    };
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("a user name, a query or a fragment has no place here");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _insecure => Err("must be https (http only for loopback)"),
    }
}

fn tls(reader: &mut Reader) -> Option<TlsFiles> {
    let certificate = reader.text("TLS_CERTIFICATE_FILE");
    let key = reader.text("TLS_KEY_FILE");
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: certificate.into(),
            key: key.into(),
        }),
        (Some(_), None) => {
            reader.refuse("TLS_CERTIFICATE_FILE", "needs TENANTRY_TLS_KEY_FILE");
            None
        }
        (None, Some(_)) => {
            reader.refuse("TLS_KEY_FILE", "needs TENANTRY_TLS_CERTIFICATE_FILE");
            None
        }
        (None, None) => None,
    }
}

/// A token must fit into an `Authorization` header.
fn metrics_token(reader: &mut Reader) -> Option<SecretText> {
    let token = reader.secret("METRICS_TOKEN")?;
    if token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(token);
    }
    reader.refuse(
        "METRICS_TOKEN",
        "a bearer token has visible ASCII characters only, and no blank",
    );
    None
}
