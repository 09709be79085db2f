//! Setting up the webhook by which HaloPSA calls us (psa.md §C4).
//!
//! The numbers of events differ from instance to instance, so a new webhook has none: a person chooses them
//! at HaloPSA, and a webhook that is there keeps those that were chosen.

use serde_json::{Value, json};

use crate::{
    contract::ExternalId,
    error::PsaError,
    event::{Callback, CallbackTarget},
    secret::Secret,
    wire,
};

use super::{
    errors::Right,
    event::USER,
    http::{Http, entries, record, unexpected},
};

/// Has HaloPSA call us; a webhook of ours that is there already is brought up to date.
pub(super) async fn register(http: &Http, target: &CallbackTarget) -> Result<Callback, PsaError> {
    let token = token(http).await?;
    let mut ours = named(http, &token, &target.name).await?.into_iter();
    let first = ours.next();
    let mut webhook = json!({
        "name": target.name,
        "type": 0,
        "url": target.url.as_str(),
        "method": 0,
        "content_type": "application/json",
        "authentication_type": 1,
        "basic_username": USER,
        "basic_password": target.secret.expose(),
        "active": true,
        "auto_disable_attempts": 0,
    });
    if let Some(webhook) = webhook.as_object_mut() {
        match &first {
            // What is not named stays as it is: the events that a person chose.
            Some(id) => webhook.insert("id".to_owned(), json!(id.0)),
            None => webhook.insert("events".to_owned(), json!([])),
        };
    }
    let answer = http
        .post_as(&token, Right::Webhooks, "Webhook", webhook)
        .await
        .map_err(|error| without(error, target))?;
    for more in ours {
        delete(http, &token, &more).await?;
    }
    let id = match record(answer).get("id").and_then(wire::id_of).or(first) {
        Some(id) => id,
        // An empty answer: it is there under its name.
        None => named(http, &token, &target.name)
            .await?
            .into_iter()
            .next()
            .ok_or_else(|| unexpected("no webhook after one was made"))?,
    };
    Ok(Callback { id })
}

/// Takes it away; one that is gone is no error.
pub(super) async fn remove(http: &Http, id: &ExternalId) -> Result<(), PsaError> {
    let token = token(http).await?;
    delete(http, &token, id).await
}

async fn token(http: &Http) -> Result<Secret, PsaError> {
    http.tokens
        .for_webhooks()
        .await?
        .ok_or_else(|| PsaError::Permission {
            what: Right::Webhooks.missing().to_owned(),
        })
}

/// The ids of the webhooks with our name.
async fn named(http: &Http, token: &Secret, name: &str) -> Result<Vec<ExternalId>, PsaError> {
    let answer = http.get_as(token, Right::Webhooks, "Webhook").await?;
    let webhooks = entries(answer, "webhooks").ok_or_else(|| unexpected("no list of webhooks"))?;
    Ok(webhooks
        .iter()
        .filter(|webhook| webhook.get("name").and_then(Value::as_str) == Some(name))
        .filter_map(|webhook| wire::id_of(webhook.get("id")?))
        .collect())
}

async fn delete(http: &Http, token: &Secret, id: &ExternalId) -> Result<(), PsaError> {
    let is_id = !id.0.is_empty() && id.0.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if !is_id {
        return Ok(());
    }
    match http
        .delete_as(token, Right::Webhooks, "Webhook", &id.0)
        .await
    {
        Ok(()) | Err(PsaError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The error without what we sent: a refusal may repeat it.
fn without(error: PsaError, target: &CallbackTarget) -> PsaError {
    match error {
        PsaError::Validation { fields, text }
            if text.contains(target.secret.expose()) || text.contains(target.url.path()) =>
        {
            PsaError::Validation {
                fields,
                text: "HaloPSA refused the webhook".to_owned(),
            }
        }
        error @ (PsaError::Config { .. }
        | PsaError::Auth { .. }
        | PsaError::Permission { .. }
        | PsaError::NotFound
        | PsaError::Validation { .. }
        | PsaError::RateLimited { .. }
        | PsaError::Transient { .. }
        | PsaError::Ambiguous
        | PsaError::Conflict
        | PsaError::Protocol { .. }
        | PsaError::AddressRefused) => error,
    }
}
