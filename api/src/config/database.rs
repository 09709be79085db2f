//! Where the data is, and whether the way there is safe.

use std::{fmt::Write as _, net::IpAddr, path::PathBuf, sync::Arc};

use tenantry_core::{secrets::SecretText, store::DatabaseLocation};

use super::reader::Reader;

/// What the default is relative to: the folder the process was started in.
const DEFAULT_URL: &str = "sqlite://tenantry.db";

/// With the connection that listens, 20 processes then fit a PostgreSQL as it comes: 100 connections, 3 of
/// them for superusers.
const DEFAULT_POOL: u32 = 3;

/// Whether this build's PostgreSQL client can speak TLS.
const SPEAKS_TLS: bool = cfg!(feature = "postgres-tls");

/// The database of the installation.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// Where it is.
    pub location: DatabaseLocation,
    /// Its address for people, without a password.
    pub shown: String,
}

impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl DatabaseConfig {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let pool_size = pool_size(reader);
        let url = reader.secret("DATABASE_URL");
        let admin_url = reader.secret("DATABASE_ADMIN_URL");
        let password = reader.secret_file("DATABASE_PASSWORD_FILE");
        let url = url.unwrap_or_else(|| SecretText::new(DEFAULT_URL.to_owned()));
        if let Some(path) = url.expose().strip_prefix("sqlite://") {
            return sqlite(reader, path, admin_url.is_some(), password.is_some());
        }
        let Some(parts) = PostgresUrl::parse(url.expose()) else {
            reader.refuse(
                "DATABASE_URL",
                "expected sqlite://PATH or postgres://USER@HOST/DATABASE",
            );
            return None;
        };
        let shown = parts.shown();
        require_safe_way(reader, "DATABASE_URL", &parts);
        if let Some(admin) = &admin_url {
            match PostgresUrl::parse(admin.expose()) {
                Some(parts) => require_safe_way(reader, "DATABASE_ADMIN_URL", &parts),
                None => reader.refuse(
                    "DATABASE_ADMIN_URL",
                    "expected postgres://USER@HOST/DATABASE",
                ),
            }
        }
        let url = match password {
            None => url,
            Some(password) => match parts.with_password(&password) {
                Ok(url) => url,
                Err(why) => {
                    reader.refuse("DATABASE_PASSWORD_FILE", why);
                    return None;
                }
            },
        };
        let location = DatabaseLocation::Postgres {
            url: Arc::new(url),
            admin_url: admin_url.map(Arc::new),
            pool_size,
        };
        Some(Self { location, shown })
    }
}

/// Connections of one process to PostgreSQL. One is kept for leases, so there are at least two.
fn pool_size(reader: &mut Reader) -> u32 {
    let given = reader.parsed("DATABASE_POOL", |text| match text.parse() {
        Ok(size @ 2..=1_000) => Ok(size),
        Ok(_) | Err(_) => Err("expected a number from 2 to 1000"),
    });
    given.unwrap_or(DEFAULT_POOL)
}

fn sqlite(
    reader: &mut Reader,
    path: &str,
    has_admin_url: bool,
    has_password: bool,
) -> Option<DatabaseConfig> {
    if has_admin_url {
        reader.refuse(
            "DATABASE_ADMIN_URL",
            "is for PostgreSQL, but TENANTRY_DATABASE_URL names a SQLite file",
        );
    }
    if has_password {
        reader.refuse(
            "DATABASE_PASSWORD_FILE",
            "is for PostgreSQL, but TENANTRY_DATABASE_URL names a SQLite file",
        );
    }
    // These would be more than a file's name to SQLite.
    if path.is_empty()
        || path.contains(['?', '\0'])
        || path.starts_with(":memory:")
        || path.starts_with("file:")
    {
        reader.refuse(
            "DATABASE_URL",
            "expected the path of a file after sqlite://, such as sqlite:///var/lib/tenantry/tenantry.db, without options",
        );
        return None;
    }
    Some(DatabaseConfig {
        location: DatabaseLocation::Sqlite(PathBuf::from(path)),
        shown: format!("sqlite://{path}"),
    })
}

/// Data must not cross a network in the clear.
fn require_safe_way(reader: &mut Reader, name: &'static str, url: &PostgresUrl<'_>) {
    let Some(remote) = url.hosts().into_iter().find(|host| !is_local(host)) else {
        return;
    };
    if !SPEAKS_TLS {
        reader.refuse(
            name,
            format!(
                "the PostgreSQL at {remote:?} is not on this machine, and this build has no TLS for PostgreSQL. \
                 Use a release binary or an image, or build with `--features postgres-tls`"
            ),
        );
    }
}

/// Whether libpq reaches a host without a network: this machine, or the path of a socket.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.is_empty()
        || host.starts_with(['/', '@'])
        || host == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The parts of a connection URI as libpq reads it: PostgreSQL's manual, "Connection URIs". It is no
/// ordinary URL: several hosts may stand in it, a host may be the path of a socket, and the query
/// may name host and password again.
struct PostgresUrl<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    password: Option<&'a str>,
    hosts: &'a str,
    /// Path and query with their leading characters.
    rest: &'a str,
}

impl<'a> PostgresUrl<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !matches!(scheme, "postgres" | "postgresql") {
            return None;
        }
        // As libpq does it: the first `@`, unless a `/` comes before it, ends the user's part.
        let (userinfo, rest) = match rest.split_once('@') {
            Some((userinfo, rest)) if !userinfo.contains('/') => (Some(userinfo), rest),
            Some(_) | None => (None, rest),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (hosts, rest) = rest.split_at_checked(end)?;
        let (user, password) = match userinfo.and_then(|info| info.split_once(':')) {
            Some((user, password)) => (Some(user), Some(password)),
            None => (userinfo, None),
        };
        Some(Self {
            scheme,
            user,
            password,
            hosts,
            rest,
        })
    }

    /// The parameters of the query, decoded.
    fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        let query = self.rest.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((decoded(name), decoded(value)))
        })
    }

    /// Every host the client may try, those of the query included; a named service may be anywhere.
    fn hosts(&self) -> Vec<String> {
        let named = self
            .hosts
            .split(',')
            .map(|host| decoded(without_port(host)));
        let queried = self
            .parameters()
            .filter(|(name, _)| matches!(name.as_str(), "host" | "hostaddr" | "service"))
            .flat_map(|(_, hosts)| hosts.split(',').map(str::to_owned).collect::<Vec<_>>());
        named.chain(queried).collect()
    }

    /// The URL for people: nothing of the user, the password or the query.
    fn shown(&self) -> String {
        let path = self.rest.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme, self.hosts)
    }

    /// The same URL with a password, which it must not have yet.
    fn with_password(&self, password: &SecretText) -> Result<SecretText, &'static str> {
        if self.password.is_some() || self.parameters().any(|(name, _)| name == "password") {
            return Err("TENANTRY_DATABASE_URL holds a password too; take it out there");
        }
        let user = match self.user {
            Some(user) if !user.is_empty() => user,
            Some(_) | None => {
                return Err("TENANTRY_DATABASE_URL names no user (postgres://USER@HOST/DATABASE)");
            }
        };
        let secret = password.expose();
        let mut url = String::with_capacity(
            secret.len() * 3 + self.hosts.len() + self.rest.len() + user.len() + 16,
        );
        url.push_str(self.scheme);
        url.push_str("://");
        url.push_str(user);
        url.push(':');
        for byte in secret.bytes() {
            if byte.is_ascii_alphanumeric() {
                url.push(char::from(byte));
            } else if write!(url, "%{byte:02X}").is_err() {
                return Err("the password cannot be encoded");
            }
        }
        url.push('@');
        url.push_str(self.hosts);
        url.push_str(self.rest);
        Ok(SecretText::new(url))
    }
}

/// A host without its port; an IPv6 address stands in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        Some(_) | None => host,
    }
}

/// A text with its percent-encoded characters as they are meant.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<String> {
        PostgresUrl::parse(url).unwrap().hosts()
    }

    #[test]
    fn hosts_are_found_wherever_libpq_looks_for_them() {
        assert_eq!(hosts("postgres://db.example/x"), ["db.example"]);
        assert_eq!(hosts("postgresql://u:p@db.example:5432/x"), ["db.example"]);
        assert_eq!(
            hosts("postgres://u:p@localhost@db.example/x"),
            ["localhost@db.example"]
        );
        assert_eq!(hosts("postgres://localhost?@db.example/x"), ["db.example"]);
        assert_eq!(hosts("postgres:///x?service=far"), ["", "far"]);
        assert_eq!(hosts("postgres://a:1,b:2/x"), ["a", "b"]);
        assert_eq!(hosts("postgres://%2Frun%2Fpg/x"), ["/run/pg"]);
        assert_eq!(
            hosts("postgres:///x?host=db.example,/run/pg"),
            ["", "db.example", "/run/pg"]
        );
        assert_eq!(
            hosts("postgres://localhost/x?hostaddr=10.0.0.1"),
            ["localhost", "10.0.0.1"]
        );
        assert_eq!(hosts("postgres://[::1]:5432/x"), ["[::1]"]);
        assert_eq!(hosts("postgres://"), [""]);
        assert!(PostgresUrl::parse("mysql://db/x").is_none());
        assert!(PostgresUrl::parse("postgres").is_none());
    }

    #[test]
    fn only_this_machine_and_sockets_are_local() {
        for local in [
            "",
            "localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "::1",
            "/run/pg",
            "@abstract",
        ] {
            assert!(is_local(local), "{local}");
        }
        for remote in [
            "db",
            "10.0.0.1",
            "127.0.0.1.example",
            "localhost.example",
            "[::2]",
        ] {
            assert!(!is_local(remote), "{remote}");
        }
    }

    #[test]
    fn a_password_of_any_characters_reaches_the_url() {
        let url = PostgresUrl::parse("postgres://tenantry@localhost:5432/db?x=1").unwrap();
        let url = url
            .with_password(&SecretText::new("p@ss:w/ör?d%".to_owned()))
            .unwrap();
        assert_eq!(
            url.expose(),
            "postgres://tenantry:p%40ss%3Aw%2F%C3%B6r%3Fd%25@localhost:5432/db?x=1"
        );
        let parsed = PostgresUrl::parse(url.expose()).unwrap();
        assert_eq!(decoded(parsed.password.unwrap()), "p@ss:w/ör?d%");
    }

    #[test]
    fn a_second_password_or_no_user_is_refused() {
        for url in [
            "postgres://u:p@localhost/db",
            "postgres://u@localhost/db?password=p",
            "postgres://localhost/db",
            "postgres://@localhost/db",
        ] {
            let url = PostgresUrl::parse(url).unwrap();
            assert!(url.with_password(&SecretText::new("x".to_owned())).is_err());
        }
    }

    #[test]
    fn v9_the_shown_url_has_no_user_and_no_secret() {
        let url =
            PostgresUrl::parse("postgres://user:canary@db.example:5432/tenantry?password=canary")
                .unwrap();
        assert_eq!(url.shown(), "postgres://db.example:5432/tenantry");
    }
}
