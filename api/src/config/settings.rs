//! Every setting there is, in one list: the reference page, the example file and the check for
//! unknown names come from it.

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name without the prefix: `LISTEN`.
    pub name: &'static str,
    /// The default as the reference page shows it; `none` where there is none.
    pub default: &'static str,
    /// In which forms it may be given.
    pub form: Form,
    /// What it means, in Markdown.
    pub meaning: &'static str,
}

/// In which forms a setting may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A value that may be shown.
    Plain,
    /// A secret: as a value, or by the name of a file that holds it (`…_FILE`). Never shown.
    Secret,
    /// A secret that is given by the name of its file only; the setting's name ends in `_FILE`.
    SecretFile,
    /// A value that only the settings file can give, so that whoever sets variables for the process cannot.
    FileOnly,
}

/// The prefix of the environment variables.
pub const PREFIX: &str = "TENANTRY_";

/// The variable that names the settings file. It is no key of that file.
pub const CONFIG_VARIABLE: &str = "TENANTRY_CONFIG";

/// What the reference page and the example file are compared with.
#[cfg(test)]
impl Setting {
    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The key of the settings file.
    pub fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Whether the value must never be shown.
    pub fn is_secret(&self) -> bool {
        match self.form {
            Form::Plain | Form::FileOnly => false,
            Form::Secret | Form::SecretFile => true,
        }
    }
}

/// All names under which a setting may be given, without the prefix: secrets have two.
pub fn names() -> impl Iterator<Item = String> {
    SETTINGS.iter().flat_map(|setting| {
        let file = match setting.form {
            Form::Secret => Some(format!("{}_FILE", setting.name)),
            Form::Plain | Form::SecretFile | Form::FileOnly => None,
        };
        std::iter::once(setting.name.to_owned()).chain(file)
    })
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting {
        name,
        default,
        form: Form::Plain,
        meaning,
    }
}

const fn secret(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting {
        name,
        default,
        form: Form::Secret,
        meaning,
    }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    plain(
        "LISTEN",
        "127.0.0.1:8080",
        "Address and port to bind. Port 0 picks a free one; the log line `listening` names it. \
         A process with the role `worker` binds nothing unless this is set.",
    ),
    plain(
        "PUBLIC_URL",
        "http://localhost:8080",
        "Where browsers reach this server: scheme, host and port. `https`; `http` only for this machine. \
         The one redirect URI of the app registration is `{PUBLIC_URL}/api/msp-portal/tenants/callback`.",
    ),
    secret(
        "DATABASE_URL",
        "sqlite://tenantry.db",
        "`sqlite://PATH` or `postgres://USER@HOST/DATABASE`. A build without the feature `postgres-tls` \
         takes only a PostgreSQL on this machine; with it, add `?sslmode=verify-full`.",
    ),
    Setting {
        name: "DATABASE_PASSWORD_FILE",
        default: "none",
        form: Form::SecretFile,
        meaning: "File with the password for `TENANTRY_DATABASE_URL`, which then holds none. \
                  The password may contain any character.",
    },
    secret(
        "DATABASE_ADMIN_URL",
        "none",
        "PostgreSQL: the role that owns the tables and migrates. Without it the role of \
         `TENANTRY_DATABASE_URL` migrates, and every pooled connection takes on the unprivileged role `tenantry_app`.",
    ),
    plain(
        "DATABASE_POOL",
        "3",
        "PostgreSQL: connections of one process, from 2; a server has one more, which listens. More of them let \
         more tenants be written at once in this process.",
    ),
    secret(
        "MASTER_KEY",
        "none",
        "32 bytes in base64: wraps the data keys of all stored credentials. Required with PostgreSQL. \
         With SQLite and none given, one is made beside the database file. Keep a copy apart from the database.",
    ),
    plain(
        "MICROSOFT_CLIENT_ID",
        "none",
        "Application (client) id of the multi-tenant app registration that reads. Without it the server \
         starts, but connects no tenant.",
    ),
    secret(
        "MICROSOFT_CLIENT_SECRET",
        "none",
        "A client secret of that registration; or a certificate, see below. A file is read again when it changes.",
    ),
    plain(
        "MICROSOFT_CLIENT_SECRET_EXPIRES",
        "none",
        "When that secret ends, as the portal shows it: a day such as `2027-05-31`, which counts from its \
         beginning in UTC, or a time such as `2027-05-31T14:00:00Z`. It is shown and warned of; nothing else tells it.",
    ),
    plain(
        "MICROSOFT_CLIENT_CERTIFICATE_FILE",
        "none",
        "PEM file with a certificate of that registration and its private RSA key of at least 2048 bits, in place of \
         the secret. It may hold several certificates, each with its key. Read again when it changes.",
    ),
    plain(
        "MICROSOFT_PARTNER_CLIENT_ID",
        "none",
        "App registration of the partner side. Checked, but not used by this version.",
    ),
    secret(
        "MICROSOFT_PARTNER_CLIENT_SECRET",
        "none",
        "Its client secret. Checked, but not used by this version.",
    ),
    plain(
        "MICROSOFT_PROVISIONING_CLIENT_ID",
        "none",
        "App registration that writes. Checked, but not used by this version.",
    ),
    secret(
        "MICROSOFT_PROVISIONING_CLIENT_SECRET",
        "none",
        "Its client secret. Checked, but not used by this version.",
    ),
    plain(
        "MICROSOFT_CLOUD",
        "global",
        "`global`, `usgov`, `usgovdod` or `china`. One installation serves one cloud.",
    ),
    plain(
        "MICROSOFT_AUTHORITY_URL",
        "from the cloud",
        "Scheme and host of Microsoft's login, for a proxy or a stand-in (`http` only for this machine).",
    ),
    plain(
        "MICROSOFT_GRAPH_URL",
        "from the cloud",
        "Scheme and host of Microsoft Graph, likewise.",
    ),
    plain(
        "MICROSOFT_PARTNER_CENTER_URL",
        "from the cloud",
        "Scheme and host of Partner Center, likewise. Checked, but not used by this version.",
    ),
    plain(
        "PARTNER_WRITES",
        "false",
        "Allows creating, extending and terminating GDAP relationships. Checked, but not used by this version.",
    ),
    plain(
        "ALLOW_LOOPBACK_UPSTREAMS",
        "false",
        "Lets the addresses of PSAs and webhook targets point at this machine, as they are written. For stand-ins and tests.",
    ),
    Setting {
        name: "PRIVATE_UPSTREAMS",
        default: "none",
        form: Form::FileOnly,
        meaning: "Key of the settings file only. List of private networks in which PSAs may be called, each for one host: \
                  `psa.example.com=10.1.0.0/16`. Such a host may use port 443 and those from 1024 on. A network alone allows \
                  every host in it, and so every organisation of this installation to name one.",
    },
    plain(
        "RETURN_URLS",
        "none",
        "Comma-separated URLs. A `returnUrl` must share the origin of one and lie under its path by whole segments.",
    ),
    plain(
        "TLS_CERTIFICATE_FILE",
        "none",
        "PEM file with the server's certificate chain. With it the server speaks TLS itself.",
    ),
    plain(
        "TLS_KEY_FILE",
        "none",
        "PEM file with the private key of that certificate.",
    ),
    plain(
        "TRUSTED_PROXIES",
        "none",
        "Comma-separated networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Browsers are told to stay with TLS only when it ends here or at one of these.",
    ),
    secret(
        "METRICS_TOKEN",
        "none",
        "Bearer token for `/metrics`. Without it an owner's key opens `/metrics` while there is one organisation.",
    ),
    plain(
        "LICENSE_NAMES_FILE",
        "none",
        "Microsoft's CSV of product names, for names beyond the built-in ones. Read again when it changes.",
    ),
    plain(
        "RATE_LIMIT",
        "6000",
        "Requests a minute for each API key or session, counted in each process by itself; `0` is no limit.",
    ),
    plain(
        "SYNC_WORKERS",
        "cores × 4",
        "How many tenants may sync at once in this process.",
    ),
    plain(
        "LOG",
        "info",
        "Filter for log lines: a level, or levels by target such as `info,tenantry_core=debug`.",
    ),
    plain("LOG_FORMAT", "text", "`text` or `json`."),
];
