//! The grant `authorization_code`.

use serde_json::{Value, json};

use super::{
    Authority, CONSUMER_TENANT, authorization::challenge_of, client, delegated, errors::Failure,
    incoming::Incoming, policies, refresh_tokens,
};
use crate::fake_microsoft::state::IssuedCode;

/// How long a code is good, in seconds.
const CODE_LIFE: i64 = 600;

/// Redeems an authorization code.
pub(super) fn redeem(incoming: &Incoming<'_>, authority: &Authority) -> Result<Value, Failure> {
    let cloud = incoming.cloud;
    let app = incoming.app(&incoming.form)?;
    client::authenticate(incoming, &app)?;
    let text = incoming.form.required("code")?;
    let redirect_uri = incoming.form.required("redirect_uri")?;

    let mut codes = cloud.codes.lock().expect("codes");
    let code = codes
        .get_mut(text)
        .ok_or_else(|| Failure::new(70_000).saying("Provided grant is invalid or malformed."))?;
    if code.redeemed {
        return Err(Failure::new(54_005));
    }
    if cloud.now_unix() > code.issued_at + CODE_LIFE {
        return Err(Failure::new(70_008));
    }
    if code.sign_in.client_id != app.client_id {
        return Err(Failure::new(70_000).saying("The code was not issued to this client."));
    }
    check_tenant(authority, code)?;
    if code.redirect_uri != redirect_uri {
        return Err(Failure::new(500_112).saying(format!(
            "The reply address '{redirect_uri}' does not match the reply address '{}' provided \
             when requesting Authorization code.",
            code.redirect_uri
        )));
    }
    check_verifier(incoming, code)?;
    let scope = incoming.form.get("scope").unwrap_or(&code.sign_in.scope);
    let asked = delegated::read(cloud, scope)?;
    code.redeemed = true;
    let sign_in = code.sign_in.clone();
    drop(codes);

    policies::check_account(cloud, &sign_in.person)?;
    let granted = delegated::granted(cloud, &sign_in, &asked)?;
    let mut answer = delegated::answer(cloud, &sign_in, &asked, &granted);
    let held = delegated::read(cloud, &sign_in.scope)?;
    if held.has("offline_access") && granted.contains("offline_access") {
        answer["refresh_token"] = json!(refresh_tokens::issue(cloud, sign_in));
    }
    Ok(answer)
}

/// A code is redeemed at the tenant it was issued for (700005).
fn check_tenant(authority: &Authority, code: &IssuedCode) -> Result<(), Failure> {
    let fits = match authority {
        Authority::Tenant(tenant) => tenant.id == code.sign_in.tenant,
        Authority::Common => true,
        Authority::Organizations => code.sign_in.tenant != CONSUMER_TENANT,
        Authority::Consumers => code.sign_in.tenant == CONSUMER_TENANT,
    };
    if fits {
        Ok(())
    } else {
        Err(Failure::new(700_005))
    }
}

fn check_verifier(incoming: &Incoming<'_>, code: &IssuedCode) -> Result<(), Failure> {
    let verifier = incoming.form.get("code_verifier");
    match (&code.code_challenge, verifier) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Failure::new(501_481).as_error("invalid_request")),
        (Some(_), None) => Err(Failure::missing("code_verifier").as_error("invalid_grant")),
        (Some(challenge), Some(verifier)) => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            if !(43..=128).contains(&verifier.len()) || !verifier.chars().all(allowed) {
                return Err(
                    Failure::new(501_491).saying("Invalid size of Code_Verifier parameter.")
                );
            }
            if challenge_of(verifier) != *challenge {
                return Err(Failure::new(501_481));
            }
            Ok(())
        }
    }
}
