//! The grant `refresh_token`
//! (<https://learn.microsoft.com/entra/identity-platform/refresh-tokens>).

use serde_json::{Value, json};

use super::{
    Authority, CONSUMER_TENANT, client, delegated, errors::Failure, incoming::Incoming, people,
    policies, refresh_tokens,
};
use crate::fake_microsoft::state::{Cloud, SignIn};

/// Redeems a refresh token at a tenant, which need not be the one it was issued at.
pub(super) fn redeem(incoming: &Incoming<'_>, authority: &Authority) -> Result<Value, Failure> {
    let cloud = incoming.cloud;
    let app = incoming.app(&incoming.form)?;
    client::authenticate(incoming, &app)?;
    let text = incoming.form.required("refresh_token")?;
    let origin = refresh_tokens::find(cloud, text, &app)?;
    let sign_in = at(cloud, authority, &origin)?;
    policies::check_account(cloud, &sign_in.person)?;

    let named = incoming.form.get("scope");
    let asked = delegated::read(cloud, named.unwrap_or(&origin.scope))?;
    require_service_principal(cloud, &sign_in)?;
    let granted = delegated::granted(cloud, &sign_in, &asked)?;
    // What is named has to be granted; what was asked for at the sign-in may have been withheld.
    if named.is_some() && !asked.permissions().all(|name| granted.contains(name)) {
        return Err(delegated::not_consented());
    }
    policies::check_refresh(cloud, &sign_in)?;
    let mut answer = delegated::answer(cloud, &sign_in, &asked, &granted);
    answer["refresh_token"] = json!(refresh_tokens::rotate(cloud, text)?);
    Ok(answer)
}

/// The same person at the tenant asked. Errors: 50020 and 50034 for people without an account there.
fn at(cloud: &Cloud, authority: &Authority, origin: &SignIn) -> Result<SignIn, Failure> {
    let tenant = match authority {
        Authority::Tenant(tenant) => tenant.id,
        Authority::Consumers => CONSUMER_TENANT,
        Authority::Common | Authority::Organizations => origin.tenant,
    };
    let mut sign_in = SignIn {
        nonce: None,
        ..origin.clone()
    };
    if tenant == CONSUMER_TENANT || origin.tenant == CONSUMER_TENANT {
        let fits = tenant == origin.tenant;
        return fits
            .then_some(sign_in)
            .ok_or_else(|| Failure::new(50_020).as_error("invalid_grant"));
    }
    let found = cloud.tenant(tenant).ok_or_else(|| Failure::new(90_002))?;
    sign_in.person =
        people::same(cloud, &found, origin).map_err(|failure| failure.as_error("invalid_grant"))?;
    sign_in.tenant = tenant;
    Ok(sign_in)
}

/// 700016 when the app was removed from the tenant.
fn require_service_principal(cloud: &Cloud, sign_in: &SignIn) -> Result<(), Failure> {
    let Some(tenant) = cloud.tenant(sign_in.tenant) else {
        return Ok(());
    };
    let grants = tenant.grants.lock().expect("grants");
    if grants.contains_key(&sign_in.client_id) {
        Ok(())
    } else {
        Err(Failure::app_not_found(
            &sign_in.client_id,
            &tenant.display_name,
        ))
    }
}
