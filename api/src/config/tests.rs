use std::{fmt::Write as _, fs, path::Path};

use tenantry_tests::certificates;

use super::{
    settings::{Form, SETTINGS, names},
    *,
};

/// The settings with these variables, as the server would read them.
fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), OsString::from(value)));
    Config::read(variables, Needs::MasterKey)
}

fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    read(variables).map(drop).unwrap_err().problems
}

/// The one problem with these variables.
fn problem(variables: &[(&str, &str)]) -> String {
    let problems = problems(variables);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.into_iter().next().unwrap()
}

fn in_file(folder: &Path, content: &str) -> String {
    let path = folder.join("content");
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

const KEY: &str = "TBfLxT7lqWlqOc/ZCd9Ps7vG3FbAQ5Xh2QN8HpBq0Ks=";
const ID: &str = "00001111-aaaa-2222-bbbb-3333cccc4444";

#[test]
fn without_any_variable_the_defaults_hold() {
    let config = read(&[]).unwrap();
    assert_eq!(config.http.listen, None);
    assert_eq!(
        config.http.listen_or_default().to_string(),
        "127.0.0.1:8080"
    );
    assert_eq!(config.http.public_url.as_str(), "http://localhost:8080");
    assert_eq!(config.database.shown, "sqlite://tenantry.db");
    assert!(
        matches!(config.master_key, MasterKeySource::Beside(path) if path == Path::new("tenantry.db"))
    );
    assert_eq!(
        config.microsoft.profile.authority().as_str(),
        "https://login.microsoftonline.com"
    );
    assert!(config.microsoft.credential.is_none());
    assert_eq!(config.http.rate_limit, 6_000);
    assert_eq!(
        (config.log.filter.as_str(), config.log.format),
        ("info", LogFormat::Text)
    );
    assert_eq!(config.warnings, [Warning::NoAppRegistration]);
}

#[test]
fn every_listed_setting_is_read_and_no_other() {
    let mut reader = Reader::new(std::iter::empty());
    Config::read_all(&mut reader, Needs::MasterKey);
    let listed = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(*reader.asked(), listed);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let problems = problems(&[
        ("TENANTRY_LISTEN", "8080"),
        ("TENANTRY_PUBLIC_URL", "http://tenantry.example"),
        ("TENANTRY_MASTER_KEY", "canary"),
        ("TENANTRY_MICROSOFT_CLIENT_ID", "contoso"),
        ("TENANTRY_MICROSOFT_CLOUD", "gcc"),
        ("TENANTRY_RATE_LIMIT", "many"),
        ("TENANTRY_SYNC_WORKERS", "0"),
        ("TENANTRY_LOG", "info,=="),
        ("TENANTRY_LOG_FORMAT", "xml"),
    ]);
    let all = problems.join("\n");
    for name in [
        "TENANTRY_LISTEN: \"8080\" is refused",
        "TENANTRY_PUBLIC_URL: \"http://tenantry.example\" is refused: must be https",
        "TENANTRY_MASTER_KEY: the master key must be 32 bytes in base64",
        "TENANTRY_MICROSOFT_CLIENT_ID: \"contoso\" is refused",
        "TENANTRY_MICROSOFT_CLOUD: \"gcc\" is refused: not a Microsoft cloud",
        "TENANTRY_RATE_LIMIT: ",
        "TENANTRY_SYNC_WORKERS: ",
        "TENANTRY_LOG: ",
        "TENANTRY_LOG_FORMAT: ",
    ] {
        assert!(all.contains(name), "{name} in {all}");
    }
    assert!(!all.contains("canary"), "{all}");
}

#[test]
fn one_problem_makes_one_line() {
    let error = read(&[("TENANTRY_RATE_LIMIT", "-1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "TENANTRY_RATE_LIMIT: \"-1\" is refused: expected a number of requests a minute; 0 is no limit"
    );
}

#[test]
fn an_unknown_variable_is_a_warning_with_the_nearest_name() {
    let config = read(&[
        ("TENANTRY_PUBLIC_ULR", "x"),
        ("TENANTRY_FROBNICATE", "x"),
        ("TENANTRY_SERVICE_HOST", "10.0.0.1"),
        ("TENANTRY_SERVICE_PORT_HTTP", "80"),
        ("TENANTRY_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("TENANTRY_TEST_DATABASE", "x"),
        ("TENANTRY_EXAMPLES", "/x"),
        ("TENANTRY_FAILPOINTS", "x=abort"),
    ])
    .unwrap();
    let unknown = |name: &str, nearest: Option<&str>| Warning::UnknownVariable {
        name: name.to_owned(),
        nearest: nearest.map(str::to_owned),
    };
    assert_eq!(
        config.warnings,
        [
            unknown("TENANTRY_PUBLIC_ULR", Some("TENANTRY_PUBLIC_URL")),
            unknown("TENANTRY_FROBNICATE", None),
            Warning::NoAppRegistration,
        ]
    );
}

#[test]
fn an_unknown_key_of_the_file_refuses_with_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = in_file(folder.path(), "lisen = \"127.0.0.1:1\"\nrate_limit = 5\n");
    let problem = problem(&[("TENANTRY_CONFIG", &path)]);
    assert_eq!(
        problem,
        format!("`lisen` in {path} is no setting; did you mean `listen`?")
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = in_file(
        folder.path(),
        "listen = \"127.0.0.1:1\"\nrate_limit = 5\nreturn_urls = [\"https://a.example/x\", \"https://b.example\"]\n",
    );
    let config = read(&[
        ("TENANTRY_CONFIG", &path),
        ("TENANTRY_LISTEN", "127.0.0.1:2"),
    ])
    .unwrap();
    assert_eq!(config.http.listen.unwrap().port(), 2);
    assert_eq!(config.http.rate_limit, 5);
    assert_eq!(config.http.return_urls.len(), 2);
}

#[test]
fn a_file_that_cannot_be_read_names_the_line_and_not_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = in_file(
        folder.path(),
        "listen = \"127.0.0.1:1\"\nmaster_key = \"canary\n",
    );
    let problem = problem(&[("TENANTRY_CONFIG", &path)]);
    assert!(problem.contains(&format!("{path}, line 2")), "{problem}");
    assert!(!problem.contains("canary"), "{problem}");
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    assert!(self::problem(&[("TENANTRY_CONFIG", missing)]).contains("cannot read"));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let config = read(&[
        ("TENANTRY_RATE_LIMIT", ""),
        ("TENANTRY_DATABASE_ADMIN_URL", ""),
    ])
    .unwrap();
    assert_eq!(config.http.rate_limit, 6_000);
}

#[test]
fn a_secret_comes_from_a_file_without_its_trailing_newline() {
    let folder = tempfile::tempdir().unwrap();
    let path = in_file(folder.path(), "s3cret \r\n");
    let mut reader = Reader::new(
        [(
            "TENANTRY_METRICS_TOKEN_FILE".to_owned(),
            OsString::from(&path),
        )]
        .into_iter(),
    );
    assert_eq!(reader.secret("METRICS_TOKEN").unwrap().expose(), "s3cret ");
    assert_eq!(reader.problems, [""; 0]);
}

#[test]
fn an_empty_missing_or_second_form_of_a_secret_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = in_file(folder.path(), "\n");
    assert!(problem(&[("TENANTRY_MASTER_KEY_FILE", &empty)]).ends_with("is empty"));
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    assert!(problem(&[("TENANTRY_MASTER_KEY_FILE", missing)]).contains("cannot read"));
    let both = problem(&[
        ("TENANTRY_MASTER_KEY_FILE", &empty),
        ("TENANTRY_MASTER_KEY", KEY),
    ]);
    assert_eq!(
        both,
        "TENANTRY_MASTER_KEY: TENANTRY_MASTER_KEY_FILE is set too; set one of them"
    );
}

#[test]
fn either_form_in_the_environment_hides_both_forms_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let toml = in_file(folder.path(), "master_key = \"not a key\"\n");
    let key = folder.path().join("key");
    fs::write(&key, format!("{KEY}\n")).unwrap();
    let config = read(&[
        ("TENANTRY_CONFIG", &toml),
        ("TENANTRY_MASTER_KEY_FILE", key.to_str().unwrap()),
    ])
    .unwrap();
    assert!(matches!(config.master_key, MasterKeySource::Given(_)));
}

#[test]
fn a_public_url_is_an_origin_that_browsers_reach_safely() {
    for refused in [
        "localhost:8080",
        "ftp://localhost",
        "http://tenantry.example",
        "https://tenantry.example/app",
        "https://tenantry.example/?x",
        "https://user@tenantry.example",
    ] {
        let problem = problem(&[("TENANTRY_PUBLIC_URL", refused)]);
        assert!(problem.starts_with("TENANTRY_PUBLIC_URL: "), "{problem}");
    }
    for (given, kept) in [
        ("https://tenantry.example/", "https://tenantry.example"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://[::1]:9", "http://[::1]:9"),
    ] {
        let config = read(&[("TENANTRY_PUBLIC_URL", given)]).unwrap();
        assert_eq!(config.http.public_url.as_str(), kept);
    }
}

#[test]
fn a_database_is_a_file_or_a_safe_postgres() {
    for refused in [
        "tenantry.db",
        "sqlite://",
        "sqlite://:memory:",
        "sqlite://x?mode=ro",
        "mysql://localhost/x",
    ] {
        let problem = problem(&[
            ("TENANTRY_DATABASE_URL", refused),
            ("TENANTRY_MASTER_KEY", KEY),
        ]);
        assert!(
            problem.starts_with("TENANTRY_DATABASE_URL: expected "),
            "{refused}: {problem}"
        );
    }
    let local = read(&[
        ("TENANTRY_DATABASE_URL", "postgres://u:p@localhost/t"),
        ("TENANTRY_MASTER_KEY", KEY),
    ]);
    assert_eq!(local.unwrap().database.shown, "postgres://localhost/t");
}

#[cfg(not(feature = "postgres-tls"))]
#[test]
fn a_build_without_tls_refuses_a_postgres_elsewhere_and_names_the_build_that_has_it() {
    let elsewhere = [
        ("TENANTRY_DATABASE_URL", "postgres://u:canary@db.example/t"),
        ("TENANTRY_MASTER_KEY", KEY),
    ];
    let problem = problem(&elsewhere);
    assert!(
        problem.contains("\"db.example\"") && problem.contains("postgres-tls"),
        "{problem}"
    );
    assert!(!problem.contains("canary"), "{problem}");
    let admin = [
        ("TENANTRY_DATABASE_URL", "postgres://u@localhost/t"),
        ("TENANTRY_DATABASE_ADMIN_URL", "postgres://u@db.example/t"),
        ("TENANTRY_MASTER_KEY", KEY),
    ];
    assert!(self::problem(&admin).starts_with("TENANTRY_DATABASE_ADMIN_URL: "));
}

#[test]
fn postgres_needs_a_master_key_unless_the_command_does_not() {
    let variables = [("TENANTRY_DATABASE_URL", "postgres:///tenantry")];
    assert!(problem(&variables).starts_with("TENANTRY_MASTER_KEY: is required"));
    let variables = variables.map(|(name, value)| (name.to_owned(), OsString::from(value)));
    let config = Config::read(variables.into_iter(), Needs::Database).unwrap();
    assert!(matches!(config.master_key, MasterKeySource::NotNeeded));
}

#[test]
fn g8_a_host_of_another_cloud_is_refused() {
    let problem = problem(&[
        ("TENANTRY_MICROSOFT_CLOUD", "usgov"),
        (
            "TENANTRY_MICROSOFT_GRAPH_URL",
            "https://graph.microsoft.com",
        ),
    ]);
    assert!(
        problem.contains("belongs to Microsoft's cloud global"),
        "{problem}"
    );
}

#[test]
fn an_app_registration_is_whole_or_not_there() {
    let id = ("TENANTRY_MICROSOFT_CLIENT_ID", ID);
    let secret = ("TENANTRY_MICROSOFT_CLIENT_SECRET", "canary");
    let certificate = (
        "TENANTRY_MICROSOFT_CLIENT_CERTIFICATE_FILE",
        "/missing/certificate.pem",
    );
    assert!(problem(&[id]).contains("needs TENANTRY_MICROSOFT_CLIENT_SECRET or"));
    assert!(problem(&[secret]).contains("is missing"));
    assert!(
        problems(&[id, secret, certificate])
            .concat()
            .contains("set one of them")
    );
    assert!(problem(&[id, certificate]).contains("cannot read"));
    let config = read(&[id, secret]).unwrap();
    assert_eq!(
        config.microsoft.credential.as_ref().unwrap().client_id(),
        ID
    );
    assert_eq!(config.warnings, []);
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn registrations_of_later_versions_are_checked_already() {
    assert!(
        problem(&[("TENANTRY_MICROSOFT_PARTNER_CLIENT_ID", ID)])
            .contains("needs TENANTRY_MICROSOFT_PARTNER_CLIENT_SECRET")
    );
    assert!(
        problem(&[("TENANTRY_MICROSOFT_PROVISIONING_CLIENT_SECRET", "x")])
            .contains("needs TENANTRY_MICROSOFT_PROVISIONING_CLIENT_ID")
    );
    assert!(problem(&[("TENANTRY_PARTNER_WRITES", "yes")]).contains("expected true or false"));
    assert!(
        problem(&[(
            "TENANTRY_MICROSOFT_PARTNER_CENTER_URL",
            "https://x.example/y"
        )])
        .contains("only scheme")
    );
}

#[test]
fn lists_name_each_part_that_is_wrong() {
    let problems = problems(&[
        (
            "TENANTRY_TRUSTED_PROXIES",
            "10.0.0.0/8, 192.0.2.1,10.0.0.0/99",
        ),
        (
            "TENANTRY_RETURN_URLS",
            "https://a.example/x,http://b.example,https://c.example/?q",
        ),
    ]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    let config = read(&[("TENANTRY_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1")]).unwrap();
    let proxies: Vec<String> = config
        .http
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.1/32"]);
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    assert!(
        problem(&[("TENANTRY_TLS_CERTIFICATE_FILE", "/x")]).contains("needs TENANTRY_TLS_KEY_FILE")
    );
    assert!(
        problem(&[("TENANTRY_TLS_KEY_FILE", "/x")]).contains("needs TENANTRY_TLS_CERTIFICATE_FILE")
    );
}

#[test]
fn the_end_of_a_secret_is_a_day_or_a_time_and_belongs_to_a_secret() {
    let id = ("TENANTRY_MICROSOFT_CLIENT_ID", ID);
    let secret = ("TENANTRY_MICROSOFT_CLIENT_SECRET", "canary");
    const END: &str = "TENANTRY_MICROSOFT_CLIENT_SECRET_EXPIRES";
    let end = |text| {
        let config = read(&[id, secret, (END, text)]).unwrap();
        config
            .microsoft
            .credential
            .unwrap()
            .expires_at()
            .unwrap()
            .to_rfc3339()
    };
    assert_eq!(end("2027-05-31"), "2027-05-31T00:00:00+00:00");
    assert_eq!(
        end("2027-05-31T14:00:00+02:00"),
        "2027-05-31T12:00:00+00:00"
    );
    for wrong in ["5/31/2027", "2027-02-30", "soon", "2027-05"] {
        assert!(
            problem(&[id, secret, (END, wrong)]).contains("expected a day such as"),
            "{wrong}"
        );
    }
    assert!(problem(&[(END, "2027-05-31")]).contains("needs TENANTRY_MICROSOFT_CLIENT_SECRET;"));
    let without = read(&[id, secret]).unwrap().microsoft.credential.unwrap();
    assert_eq!(without.expires_at(), None);
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (certificates::first(), certificates::second());
    let with = |pem: String| {
        let path = in_file(folder.path(), &pem);
        read(&[
            ("TENANTRY_MICROSOFT_CLIENT_ID", ID),
            ("TENANTRY_MICROSOFT_CLIENT_CERTIFICATE_FILE", &path),
        ])
    };
    let config = with(format!("{}{}", first.pem(), second.pem())).unwrap();
    assert_eq!(
        config
            .microsoft
            .credential
            .unwrap()
            .expires_at()
            .unwrap()
            .to_rfc3339(),
        "2036-02-01T12:30:45+00:00"
    );
    with(certificates::expired().pem()).unwrap();
    for (pem, why) in [
        (
            format!("{}{}", first.certificate, second.key),
            "the private key belongs to another certificate",
        ),
        (first.certificate.clone(), "the PEM text has no private key"),
        (first.key.clone(), "the PEM text has no certificate"),
        (
            certificates::weak().pem(),
            "the RSA key is shorter than 2048 bits",
        ),
        (
            certificates::elliptic().pem(),
            "the certificate or its private key is not RSA",
        ),
        (
            format!("{}{}", first.certificate, certificates::ENCRYPTED_KEYS[0]),
            "the private key is encrypted; write it without a password (`openssl pkey`)",
        ),
    ] {
        assert_eq!(
            with(pem).unwrap_err().problems,
            [format!("TENANTRY_MICROSOFT_CLIENT_CERTIFICATE_FILE: {why}")]
        );
    }
}

#[test]
fn the_file_of_a_secret_is_the_one_its_value_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let toml = in_file(
        folder.path(),
        "microsoft_client_secret_file = \"/of/the/file\"",
    );
    let file_of = |variables: &[(&str, &str)]| {
        let variables = variables.iter();
        let reader =
            Reader::new(variables.map(|(name, value)| ((*name).to_owned(), OsString::from(value))));
        reader.file_of_secret("MICROSOFT_CLIENT_SECRET")
    };
    let config = ("TENANTRY_CONFIG", toml.as_str());
    let value = ("TENANTRY_MICROSOFT_CLIENT_SECRET", "canary");
    let file = (
        "TENANTRY_MICROSOFT_CLIENT_SECRET_FILE",
        "/of/the/environment",
    );
    assert_eq!(file_of(&[]), None);
    assert_eq!(file_of(&[config]), Some("/of/the/file".into()));
    assert_eq!(file_of(&[config, file]), Some("/of/the/environment".into()));
    assert_eq!(file_of(&[config, value]), None);
}

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config.example.toml");
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/settings.md");

/// The keys of the example file, each commented out, with the line that a reader would uncomment.
fn example_lines() -> Vec<(String, String)> {
    let text = fs::read_to_string(EXAMPLE).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("#"));
    lines
        .filter_map(|line| {
            let (key, _) = line.split_once(" = ")?;
            Some((key.to_owned(), line.to_owned()))
        })
        .collect()
}

#[test]
fn the_example_file_loads_as_it_is_and_has_every_key() {
    read(&[("TENANTRY_CONFIG", EXAMPLE)]).unwrap();
    let keys: Vec<String> = example_lines().into_iter().map(|(key, _)| key).collect();
    for setting in SETTINGS {
        assert!(
            keys.contains(&setting.key()),
            "{} is not in config.example.toml",
            setting.key()
        );
    }
    for key in keys {
        assert!(
            names().any(|name| name.to_ascii_lowercase() == key),
            "{key} is no setting"
        );
    }
}

#[test]
fn every_line_of_the_example_file_can_be_uncommented() {
    let folder = tempfile::tempdir().unwrap();
    for (key, line) in example_lines() {
        let path = in_file(folder.path(), &line);
        let mut reader =
            Reader::new([("TENANTRY_CONFIG".to_owned(), OsString::from(&path))].into_iter());
        assert_eq!(reader.problems, [""; 0], "{key}");
        Config::read_all(&mut reader, Needs::MasterKey);
        // What remains may only be what the line alone cannot satisfy: a file that is not there, or
        // the other half of a pair.
        for problem in reader.problems {
            let needs_more = [
                "needs TENANTRY_",
                "cannot read",
                "cannot be read",
                "is missing",
                "is required",
                "is for PostgreSQL",
            ];
            assert!(
                needs_more.iter().any(|more| problem.contains(more)),
                "{key}: {problem}"
            );
        }
    }
}

/// The table of the reference page.
fn table() -> String {
    let mut table = String::from(
        "| variable | default | meaning | secret | since |\n| --- | --- | --- | --- | --- |\n",
    );
    for setting in SETTINGS {
        let variable = match setting.form {
            Form::Secret => format!("`{0}` or `{0}_FILE`", setting.variable()),
            Form::Plain | Form::SecretFile => format!("`{}`", setting.variable()),
            Form::FileOnly => format!("`{}` in the file", setting.key()),
        };
        let default = match setting.default {
            words @ ("none" | "from the cloud" | "cores × 4") => words.to_owned(),
            value => format!("`{value}`"),
        };
        let secret = if setting.is_secret() { "yes" } else { "no" };
        writeln!(
            table,
            "| {variable} | {default} | {} | {secret} | 0.1.0 |",
            setting.meaning
        )
        .unwrap();
    }
    table
}

#[test]
fn the_reference_page_has_the_table_of_all_settings() {
    let page = fs::read_to_string(REFERENCE).unwrap();
    let table = table();
    assert!(
        page.contains(&table),
        "put this table into docs/reference/settings.md:\n{table}"
    );
}

#[test]
fn n5_private_networks_are_allowed_by_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let toml = in_file(
        folder.path(),
        "private_upstreams = [\"psa.example=10.0.0.0/8\", \"192.168.0.0/16\"]\nallow_loopback_upstreams = true",
    );
    let config = read(&[("TENANTRY_CONFIG", toml.as_str())]).unwrap();
    assert!(config.upstreams.base("https://psa.example:8443").is_ok());
    assert!(config.upstreams.base("http://127.0.0.1:1").is_ok());
    let closed = read(&[]).unwrap().upstreams;
    assert!(closed.base("https://psa.example:8443").is_err());
    assert!(closed.base("http://127.0.0.1:1").is_err());
    let variable = read(&[("TENANTRY_PRIVATE_UPSTREAMS", "10.0.0.0/8")]).unwrap_err();
    assert!(
        variable.problems[0].contains("is no variable"),
        "{variable:?}"
    );
    for bad in [
        "0.0.0.0/0",
        "127.0.0.0/8",
        "psa.example=169.254.169.254",
        "nonsense",
    ] {
        let toml = in_file(folder.path(), &format!("private_upstreams = [\"{bad}\"]"));
        let refused = read(&[("TENANTRY_CONFIG", toml.as_str())]).unwrap_err();
        assert!(refused.problems[0].contains(bad), "{refused:?}");
    }
}
