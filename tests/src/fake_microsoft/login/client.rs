//! How an app proves itself at the token endpoint.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{assertion, controls, errors::Failure, incoming::Incoming};
use crate::fake_microsoft::{faults::percent_decoded, state::App};

/// Checks the client's credential: a secret in the form or as HTTP Basic, or an assertion. Errors:
/// 7000218 none, 7000215 wrong, 7000222 expired.
pub(super) fn authenticate(incoming: &Incoming<'_>, app: &App) -> Result<(), Failure> {
    let form = &incoming.form;
    let basic = basic_secret(incoming, app)?;
    let posted = form.get("client_secret").map(str::to_owned);
    if let Some(assertion) = form.get("client_assertion") {
        if basic.is_some() || posted.is_some() {
            incoming.violation("more than one client credential");
        }
        if form.required("client_assertion_type")? != assertion::KIND {
            return Err(Failure::new(50_012).saying("Unsupported client assertion type."));
        }
        return assertion::check(incoming, app, assertion);
    }
    if basic.is_some() && posted.is_some() {
        incoming.violation("more than one client credential");
    }
    match posted.or(basic) {
        None => Err(Failure::new(7_000_218)),
        Some(secret) if secret == app.client_secret => {
            if controls::secret_is_expired(incoming.cloud, &app.client_id) {
                return Err(Failure::new(7_000_222).saying(format!(
                    "The provided client secret keys for app '{}' are expired.",
                    app.client_id
                )));
            }
            Ok(())
        }
        Some(_) => Err(Failure::new(7_000_215).saying(format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the \
             client secret value, not the client secret ID, for a secret added to app '{}'.",
            app.client_id
        ))),
    }
}

/// The secret of an `Authorization: Basic`, whose parts are form-encoded before they are joined.
fn basic_secret(incoming: &Incoming<'_>, app: &App) -> Result<Option<String>, Failure> {
    let header = incoming.authorization.as_deref();
    let Some(encoded) = header.and_then(|header| header.strip_prefix("Basic ")) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(encoded.trim()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match text.split_once(':') {
        Some((id, secret)) if percent_decoded(id) == app.client_id => {
            Ok(Some(percent_decoded(&secret.replace('+', " "))))
        }
        _ => Err(Failure::new(7_000_215)),
    }
}
