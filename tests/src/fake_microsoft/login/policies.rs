//! What a tenant wants of those who signed in, and how a test changes that.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::errors::Failure;
use crate::fake_microsoft::{
    directory::ObjectKind,
    state::{AccessToken, Cloud, Person, SignIn, Tenant},
};

/// What tenants want.
#[derive(Default)]
pub(super) struct Policies {
    /// Object ids of people who are switched off.
    disabled: HashSet<Uuid>,
    /// Since when multifactor authentication is wanted, and the OAuth `error` that says so.
    factors: HashMap<Uuid, (u64, String)>,
    /// Tenants that let nobody in.
    blocking: HashSet<Uuid>,
    /// Since when access is evaluated anew.
    challenges: HashMap<Uuid, (u64, Challenge)>,
}

/// Whom Graph challenges while it evaluates access anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Challenge {
    /// Access tokens issued by now. A new one is accepted.
    IssuedTokens,
    /// All delegated access tokens that come from the sign-ins until now, also new ones.
    UntilSignIn,
}

/// Switches somebody off or on again: sign-ins and refresh tokens answer 50057 meanwhile. Access tokens
/// stay good for their time.
pub fn set_user_enabled(cloud: &Cloud, tenant: &Tenant, oid: Uuid, enabled: bool) {
    let mut policies = cloud.login.policies.lock().expect("policies");
    if enabled {
        policies.disabled.remove(&oid);
    } else {
        policies.disabled.insert(oid);
    }
    drop(policies);
    let mut directory = tenant.directory.lock().expect("directory");
    if directory.find(ObjectKind::User, oid).is_some() {
        directory.update_user(oid, json!({"accountEnabled": enabled}));
    }
}

/// From now on the tenant wants multifactor authentication: refresh tokens of earlier sign-ins answer
/// 50076 with a claims challenge. `error` is `invalid_grant` or `interaction_required`: both are seen.
pub fn require_mfa(cloud: &Cloud, tenant: Uuid, error: &str) {
    let since = cloud.next_moment();
    let mut policies = cloud.login.policies.lock().expect("policies");
    policies.factors.insert(tenant, (since, error.to_owned()));
}

/// Whether Conditional Access keeps everybody out of the tenant (53003).
pub fn set_conditional_access_block(cloud: &Cloud, tenant: Uuid, blocking: bool) {
    let mut policies = cloud.login.policies.lock().expect("policies");
    if blocking {
        policies.blocking.insert(tenant);
    } else {
        policies.blocking.remove(&tenant);
    }
}

/// From now on Graph answers 401 with a claims challenge to these tokens of the tenant (continuous
/// access evaluation).
pub fn challenge_access(cloud: &Cloud, tenant: Uuid, challenge: Challenge) {
    let since = cloud.next_moment();
    let mut policies = cloud.login.policies.lock().expect("policies");
    policies.challenges.insert(tenant, (since, challenge));
}

/// Takes back what the tenant granted to an app. The service principal stays: refresh tokens answer
/// 65001, app-only tokens carry no role.
pub fn withdraw_consent(tenant: &Tenant, client_id: &str) {
    let mut grants = tenant.grants.lock().expect("grants");
    if let Some(grant) = grants.get_mut(client_id) {
        grant.scopes.clear();
        grant.app_roles.clear();
    }
}

/// Removes an app from a tenant: token requests answer 700016.
pub fn delete_service_principal(tenant: &Tenant, client_id: &str) {
    tenant.grants.lock().expect("grants").remove(client_id);
}

/// 50057 for somebody who is switched off.
pub(super) fn check_account(cloud: &Cloud, person: &Person) -> Result<(), Failure> {
    let policies = cloud.login.policies.lock().expect("policies");
    if policies.disabled.contains(&person.oid) {
        Err(Failure::new(50_057))
    } else {
        Ok(())
    }
}

/// What keeps somebody from signing in: 50057, 53003.
pub(super) fn check_sign_in(cloud: &Cloud, tenant: Uuid, person: &Person) -> Result<(), Failure> {
    check_account(cloud, person)?;
    let policies = cloud.login.policies.lock().expect("policies");
    if policies.blocking.contains(&tenant) {
        Err(Failure::new(53_003))
    } else {
        Ok(())
    }
}

/// What a refresh token cannot do although it is good: 53003, 50076.
pub(super) fn check_refresh(cloud: &Cloud, sign_in: &SignIn) -> Result<(), Failure> {
    let policies = cloud.login.policies.lock().expect("policies");
    if policies.blocking.contains(&sign_in.tenant) {
        let failure = Failure::new(53_003).as_error("invalid_grant");
        return Err(failure.challenging("message_only", Some(challenge_claims(sign_in.tenant))));
    }
    match policies.factors.get(&sign_in.tenant) {
        Some((since, error)) if sign_in.moment < *since => {
            let failure = Failure::new(50_076).as_error(error);
            Err(failure.challenging("basic_action", Some(challenge_claims(sign_in.tenant))))
        }
        _ => Ok(()),
    }
}

/// The claims that Graph wants first, where it challenges this token.
pub(in crate::fake_microsoft) fn challenged(cloud: &Cloud, token: &AccessToken) -> Option<Value> {
    let policies = cloud.login.policies.lock().expect("policies");
    let (since, challenge) = policies.challenges.get(&token.tenant)?;
    let hit = match challenge {
        Challenge::IssuedTokens => token.issued < *since,
        Challenge::UntilSignIn => token.person.is_some() && token.signed_in < *since,
    };
    let not_before = json!({"essential": true, "value": cloud.now_unix().to_string()});
    hit.then(|| json!({"access_token": {"nbf": not_before}}))
}

/// Names the policy that a new sign-in has to satisfy.
fn challenge_claims(tenant: Uuid) -> Value {
    let policy = Uuid::from_u128(tenant.as_u128() ^ 0x0ca0_01c1);
    json!({"access_token": {"capolids": {"essential": true, "values": [policy]}}})
}
