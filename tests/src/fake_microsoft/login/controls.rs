//! What the login server keeps for itself, and how a test makes it misbehave.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use uuid::Uuid;

use super::{
    errors::Failure, incoming::Incoming, keys::ForgeKey, policies::Policies,
    refresh_tokens::RefreshTokens,
};
use crate::fake_microsoft::state::Cloud;

/// Changes the next id token before it is signed.
type IdTokenForge = Box<dyn FnOnce(&mut Forgery) + Send>;
/// Changes the next successful answer of the token endpoint.
type TokenAnswerForge = Box<dyn FnOnce(&mut Value) + Send>;

/// What only the login server keeps, and what tests have it do.
#[derive(Default)]
pub struct LoginState {
    serial: AtomicU64,
    keys_rolled: AtomicBool,
    id_token_forge: Mutex<Option<IdTokenForge>>,
    token_answer_forge: Mutex<Option<TokenAnswerForge>>,
    scripted: Mutex<Vec<ScriptedError>>,
    consent_lag: Mutex<HashMap<Uuid, (u32, bool)>>,
    app_token_forms: Mutex<HashMap<Uuid, AppTokenForm>>,
    certificates: Mutex<HashMap<String, Vec<Certificate>>>,
    expired_secrets: Mutex<HashSet<String>>,
    pub(super) refresh_tokens: Mutex<RefreshTokens>,
    pub(super) policies: Mutex<Policies>,
    used_assertions: Mutex<HashSet<String>>,
}

/// An id token about to be signed, for a test to spoil.
pub struct Forgery {
    /// The JOSE header as it will be written (`alg`, `kid`, `typ`).
    pub header: Value,
    /// The claims.
    pub claims: Value,
    /// Written instead of `claims` when set: for claims that JSON libraries cannot express, such as
    /// the same name twice.
    pub claims_text: Option<String>,
    /// What signs. The algorithm follows the header where the key can do it, else RS256.
    pub key: ForgeKey,
}

/// An address of the login server, for scripted errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    Discovery,
    Authorize,
    AdminConsent,
    Token,
}

/// A certificate that an app may prove itself with.
#[derive(Clone)]
pub(super) struct Certificate {
    pub pem: String,
    pub expired: bool,
}

struct ScriptedError {
    endpoint: Endpoint,
    tenant: Option<String>,
    aadsts: u32,
    times: u32,
}

/// Has a test change the next id token. Later ones are genuine again.
pub fn set_id_token_forge(cloud: &Cloud, forge: impl FnOnce(&mut Forgery) + Send + 'static) {
    *cloud.login.id_token_forge.lock().expect("forge") = Some(Box::new(forge));
}

/// Has a test change the next successful answer of the token endpoint.
pub fn set_token_answer_forge(cloud: &Cloud, forge: impl FnOnce(&mut Value) + Send + 'static) {
    *cloud.login.token_answer_forge.lock().expect("forge") = Some(Box::new(forge));
}

/// The next `times` requests to the endpoint fail with this AADSTS number: 7000222 (secret
/// expired) at the token endpoint, 90038 (another national cloud) at discovery, and so on.
/// `tenant` is the path segment (a domain or GUID, known to the cloud or not); none is any.
pub fn script_error(
    cloud: &Cloud,
    endpoint: Endpoint,
    tenant: Option<&str>,
    aadsts: u32,
    times: u32,
) {
    let tenant = tenant.map(str::to_lowercase);
    let error = ScriptedError {
        endpoint,
        tenant,
        aadsts,
        times,
    };
    cloud
        .login
        .scripted
        .lock()
        .expect("scripted errors")
        .push(error);
}

/// After the next consent in this tenant its service principal is "not there yet" for so many token
/// requests: they answer 700016, or with `without_roles` give a token without the `roles` claim.
pub fn set_consent_lag(cloud: &Cloud, tenant: Uuid, requests: u32, without_roles: bool) {
    let mut lag = cloud.login.consent_lag.lock().expect("consent lag");
    lag.insert(tenant, (requests, without_roles));
}

/// How the app-only tokens of a tenant look to whoever reads them. Graph knows them either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppTokenForm {
    /// A token that can be read, without the `roles` claim.
    WithoutRoles,
    /// A text that is no JSON web token: Microsoft may change the form of its own tokens.
    Unreadable,
}

/// From now on the app-only tokens of this tenant look so, whatever was granted.
pub fn set_app_token_form(cloud: &Cloud, tenant: Uuid, form: AppTokenForm) {
    let mut forms = cloud.login.app_token_forms.lock().expect("token forms");
    forms.insert(tenant, form);
}

/// Signing goes over to a new key. The documents list it from now on; clients that cached the old
/// documents meet an unknown `kid`.
pub fn roll_keys(cloud: &Cloud) {
    cloud.login.keys_rolled.store(true, Ordering::Relaxed);
}

/// Registers a certificate (PEM, RSA) as a credential of an app: its client assertions are accepted.
pub fn register_certificate(cloud: &Cloud, client_id: &str, certificate_pem: &str) {
    let mut certificates = cloud.login.certificates.lock().expect("certificates");
    let of_app = certificates.entry(client_id.to_owned()).or_default();
    of_app.push(Certificate {
        pem: certificate_pem.to_owned(),
        expired: false,
    });
}

/// From now on the certificates of an app that are registered by now have expired: 7000222.
pub fn expire_certificate(cloud: &Cloud, client_id: &str) {
    let mut certificates = cloud.login.certificates.lock().expect("certificates");
    for certificate in certificates.get_mut(client_id).into_iter().flatten() {
        certificate.expired = true;
    }
}

/// From now on the secret of an app has expired: 7000222.
pub fn expire_secret(cloud: &Cloud, client_id: &str) {
    let mut expired = cloud.login.expired_secrets.lock().expect("secrets");
    expired.insert(client_id.to_owned());
}

/// The id of an app's secret: what people send in place of its value (7000215).
pub fn secret_id(client_id: &str) -> Uuid {
    let hash = digest(&SHA256, format!("secret of {client_id}").as_bytes());
    let first: [u8; 16] = hash.as_ref()[..16].try_into().expect("16 bytes");
    uuid::Builder::from_random_bytes(first).into_uuid()
}

pub(super) fn secret_is_expired(cloud: &Cloud, client_id: &str) -> bool {
    let expired = cloud.login.expired_secrets.lock().expect("secrets");
    expired.contains(client_id)
}

/// Takes a certificate of an app back: assertions by it are refused from now on.
pub fn remove_certificate(cloud: &Cloud, client_id: &str, certificate_pem: &str) {
    let mut certificates = cloud.login.certificates.lock().expect("certificates");
    if let Some(of_app) = certificates.get_mut(client_id) {
        of_app.retain(|registered| registered.pem != certificate_pem);
    }
}

/// The resource id of Graph in the cloud that is played.
pub fn graph_resource(cloud: &Cloud) -> &'static str {
    cloud.played().graph_resource()
}

pub(super) fn keys_rolled(cloud: &Cloud) -> bool {
    cloud.login.keys_rolled.load(Ordering::Relaxed)
}

pub(super) fn certificates(cloud: &Cloud, client_id: &str) -> Vec<Certificate> {
    let certificates = cloud.login.certificates.lock().expect("certificates");
    certificates.get(client_id).cloned().unwrap_or_default()
}

/// Remembers the id of a client assertion. False: it was used before.
pub(super) fn first_use_of_assertion(cloud: &Cloud, jti: &str) -> bool {
    cloud
        .login
        .used_assertions
        .lock()
        .expect("assertions")
        .insert(jti.to_owned())
}

pub(super) fn take_consent_lag(cloud: &Cloud, tenant: Uuid) -> Option<(u32, bool)> {
    cloud
        .login
        .consent_lag
        .lock()
        .expect("consent lag")
        .remove(&tenant)
}

pub(super) fn app_token_form(cloud: &Cloud, tenant: Uuid) -> Option<AppTokenForm> {
    let forms = cloud.login.app_token_forms.lock().expect("token forms");
    forms.get(&tenant).copied()
}

/// Applies the test's change to an id token, once.
pub(super) fn forge_id_token(cloud: &Cloud, token: &mut Forgery) {
    let forge = cloud.login.id_token_forge.lock().expect("forge").take();
    if let Some(forge) = forge {
        forge(token);
    }
}

/// Applies the test's change to a token answer, once.
pub(super) fn forge_token_answer(cloud: &Cloud, answer: &mut Value) {
    let forge = cloud.login.token_answer_forge.lock().expect("forge").take();
    if let Some(forge) = forge {
        forge(answer);
    }
}

/// The scripted error of this request, counted.
pub(super) fn scripted(incoming: &Incoming<'_>, endpoint: Endpoint) -> Option<Failure> {
    let segment = incoming.tenant_segment().to_lowercase();
    let id = incoming.tenant_id().map(|id| id.to_string());
    let mut scripted = incoming
        .cloud
        .login
        .scripted
        .lock()
        .expect("scripted errors");
    let error = scripted.iter_mut().find(|error| {
        let tenant = error.tenant.as_ref();
        error.endpoint == endpoint
            && error.times > 0
            && tenant.is_none_or(|tenant| *tenant == segment || Some(tenant) == id.as_ref())
    })?;
    error.times -= 1;
    Some(Failure::new(error.aadsts))
}

/// The next number of a fixed sequence that looks random: the same run gives the same numbers.
pub(super) fn next_random(cloud: &Cloud) -> u64 {
    let serial = cloud.login.serial.fetch_add(1, Ordering::Relaxed);
    let mut mixed = serial.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The next id of the same sequence.
pub(super) fn next_id(cloud: &Cloud) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&next_random(cloud).to_be_bytes());
    bytes[8..].copy_from_slice(&next_random(cloud).to_be_bytes());
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
