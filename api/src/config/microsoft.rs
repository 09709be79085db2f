//! The app registration that reads, and the cloud it reads from.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use tenantry_core::{
    microsoft::{
        client_credential::ClientCredential,
        cloud::{CloudProfile, MicrosoftCloud, Origin},
    },
    secrets::SecretText,
};
use uuid::Uuid;

use super::reader::{Reader, Warning};

/// What the server needs to speak with Microsoft.
#[derive(Debug)]
pub struct MicrosoftConfig {
    /// Cloud and hosts.
    pub profile: CloudProfile,
    /// The registration that reads. Without it no tenant can be connected.
    pub credential: Option<ClientCredential>,
}

impl MicrosoftConfig {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let credential = credential(reader);
        for (id, secret) in [
            (
                "MICROSOFT_PARTNER_CLIENT_ID",
                "MICROSOFT_PARTNER_CLIENT_SECRET",
            ),
            (
                "MICROSOFT_PROVISIONING_CLIENT_ID",
                "MICROSOFT_PROVISIONING_CLIENT_SECRET",
            ),
        ] {
            check_pair(reader, id, secret);
        }
        reader.parsed("MICROSOFT_PARTNER_CENTER_URL", Origin::parse);
        profile(reader).map(|profile| Self {
            profile,
            credential,
        })
    }
}

fn profile(reader: &mut Reader) -> Option<CloudProfile> {
    let named = reader.text("MICROSOFT_CLOUD").is_some();
    let cloud = match reader.parsed("MICROSOFT_CLOUD", str::parse::<MicrosoftCloud>) {
        Some(cloud) => Some(cloud),
        None if named => None,
        None => Some(MicrosoftCloud::Global),
    };
    // Each override is tried by itself, so that both can be reported.
    let tried = cloud.unwrap_or(MicrosoftCloud::Global);
    let authority = override_url(reader, "MICROSOFT_AUTHORITY_URL", |url| {
        CloudProfile::new(tried, Some(url), None)
    })?;
    let graph = override_url(reader, "MICROSOFT_GRAPH_URL", |url| {
        CloudProfile::new(tried, None, Some(url))
    })?;
    match CloudProfile::new(cloud?, authority.as_deref(), graph.as_deref()) {
        Ok(profile) => Some(profile),
        Err(error) => {
            reader.refuse("MICROSOFT_CLOUD", error);
            None
        }
    }
}

/// An override that its `check` accepts; the outer `None` when it is refused.
#[expect(clippy::option_option, reason = "not set and refused are two things")]
fn override_url<T, E: std::fmt::Display>(
    reader: &mut Reader,
    name: &'static str,
    check: impl FnOnce(&str) -> Result<T, E>,
) -> Option<Option<String>> {
    if reader.text(name).is_none() {
        return Some(None);
    }
    reader.parsed(name, |url| check(url).map(|_| Some(url.to_owned())))
}

/// The registration that reads: an id with a secret or a certificate, or nothing at all.
fn credential(reader: &mut Reader) -> Option<ClientCredential> {
    let named = reader.text("MICROSOFT_CLIENT_ID").is_some();
    let id = reader.parsed("MICROSOFT_CLIENT_ID", client_id);
    let secret = reader.secret("MICROSOFT_CLIENT_SECRET");
    let secret_end = secret_end(reader);
    let pem = reader.secret_file("MICROSOFT_CLIENT_CERTIFICATE_FILE");
    let (has_secret, has_certificate) = (
        secret.is_some(),
        reader.text("MICROSOFT_CLIENT_CERTIFICATE_FILE").is_some(),
    );
    match (named, has_secret, has_certificate) {
        (false, false, false) => {
            reader.warnings.push(Warning::NoAppRegistration);
            return None;
        }
        (_, true, true) => {
            reader.refuse(
                "MICROSOFT_CLIENT_SECRET",
                "TENANTRY_MICROSOFT_CLIENT_CERTIFICATE_FILE is set too; set one of them",
            );
            return None;
        }
        (false, true, false) | (false, false, true) => {
            reader.refuse(
                "MICROSOFT_CLIENT_ID",
                "is missing, but its secret or certificate is set",
            );
            return None;
        }
        (true, false, false) if reader.is_given("MICROSOFT_CLIENT_SECRET") => return None,
        (true, false, false) => {
            reader.refuse(
                "MICROSOFT_CLIENT_ID",
                "needs TENANTRY_MICROSOFT_CLIENT_SECRET or TENANTRY_MICROSOFT_CLIENT_CERTIFICATE_FILE",
            );
            return None;
        }
        (true, true, false) | (true, false, true) => {}
    }
    match (id?, secret, pem) {
        (id, Some(secret), _) => Some(with_secret(reader, id, secret, secret_end)),
        (id, None, Some(pem)) => with_certificate(reader, id, &pem),
        (_, None, None) => None,
    }
}

fn secret_end(reader: &mut Reader) -> Option<DateTime<Utc>> {
    const NAME: &str = "MICROSOFT_CLIENT_SECRET_EXPIRES";
    let end = reader.parsed(NAME, moment)?;
    if !reader.is_given("MICROSOFT_CLIENT_SECRET") {
        reader.refuse(
            NAME,
            "needs TENANTRY_MICROSOFT_CLIENT_SECRET; a certificate tells its end itself",
        );
    }
    Some(end)
}

fn with_secret(
    reader: &Reader,
    id: String,
    secret: SecretText,
    end: Option<DateTime<Utc>>,
) -> ClientCredential {
    let mut credential = ClientCredential::with_secret(id, secret);
    if let Some(end) = end {
        credential = credential.with_secret_end(end);
    }
    match reader.file_of_secret("MICROSOFT_CLIENT_SECRET") {
        Some(path) => credential.follow(path),
        None => credential,
    }
}

fn with_certificate(reader: &mut Reader, id: String, pem: &SecretText) -> Option<ClientCredential> {
    let path = reader.text("MICROSOFT_CLIENT_CERTIFICATE_FILE")?;
    match ClientCredential::with_certificate(id, pem) {
        Ok(credential) => Some(credential.follow(path.into())),
        Err(error) => {
            reader.refuse("MICROSOFT_CLIENT_CERTIFICATE_FILE", format!("the {error}"));
            None
        }
    }
}

/// A day, from its beginning in UTC, or a time.
fn moment(text: &str) -> Result<DateTime<Utc>, &'static str> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.to_utc()),
        Err(_neither) => {
            Err("expected a day such as 2027-05-31, or a time such as 2027-05-31T14:00:00Z")
        }
    }
}

/// An id with its secret: both or none.
fn check_pair(reader: &mut Reader, id: &'static str, secret: &'static str) {
    reader.parsed(id, client_id);
    reader.secret(secret);
    match (reader.is_given(id), reader.is_given(secret)) {
        (true, false) => reader.refuse(id, format!("needs TENANTRY_{secret}")),
        (false, true) => reader.refuse(secret, format!("needs TENANTRY_{id}")),
        (true, true) | (false, false) => {}
    }
}

/// Microsoft writes client ids as GUIDs with hyphens.
fn client_id(text: &str) -> Result<String, &'static str> {
    match Uuid::try_parse(text) {
        Ok(id) => Ok(id.hyphenated().to_string()),
        Err(_not_a_guid) => {
            Err("an application (client) id is a GUID such as 00001111-aaaa-2222-bbbb-3333cccc4444")
        }
    }
}
