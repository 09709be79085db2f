//! `tenantry admin`: organisations and API keys, for whoever runs the installation. Being able to run
//! it, with the database and its master key, is the permission.

use std::time::Duration;

use serde_json::json;
use tenantry_core::{
    access::{
        Role,
        keys::{KeyError, KeyService, NewKey},
    },
    ids::{ApiKeyId, OrgId},
    organizations::{OrganizationError, OrganizationService},
};
use uuid::Uuid;

use crate::{
    cli::AdminCommand,
    config::Needs,
    failure::Failure,
    output,
    wiring::{self, Migrate, Unlocked},
};

/// How long a process may go on believing a key that was revoked elsewhere: each looks for revoked
/// keys at least this often. The command ends only after that time, so that "revoked" is true for
/// every process when it is printed.
const REVOCATION_SPREADS: Duration = Duration::from_millis(500);

/// Runs one of the commands.
pub fn run(command: AdminCommand) -> Result<(), Failure> {
    // A whole key in place of its id must not travel any further.
    let command = checked(command)?;
    wiring::runtime()?.block_on(async {
        let config = wiring::configure(Needs::MasterKey)?;
        let store = wiring::open_store(&config.database, wiring::clock(), Migrate::Pending)?;
        let unlocked = wiring::unlock(store, config.master_key).await?;
        match command {
            Checked::CreateOrganization { name, json } => {
                create_organization(&unlocked, &name, json).await
            }
            Checked::CreateApiKey {
                organization,
                role,
                json,
            } => create_api_key(&unlocked, organization, role, json).await,
            Checked::RevokeApiKey(id) => revoke_api_key(&unlocked, id).await,
        }
    })
}

enum Checked {
    CreateOrganization {
        name: String,
        json: bool,
    },
    CreateApiKey {
        organization: OrgId,
        role: Role,
        json: bool,
    },
    RevokeApiKey(ApiKeyId),
}

fn checked(command: AdminCommand) -> Result<Checked, Failure> {
    Ok(match command {
        AdminCommand::CreateOrganization { name, json } => {
            Checked::CreateOrganization { name, json }
        }
        AdminCommand::CreateApiKey {
            organization,
            role,
            json,
        } => Checked::CreateApiKey {
            organization,
            role,
            json,
        },
        AdminCommand::RevokeApiKey { id } => Checked::RevokeApiKey(key_id(&id)?),
    })
}

/// The id as the audit shows it, or as it stands in the key.
fn key_id(text: &str) -> Result<ApiKeyId, Failure> {
    match Uuid::try_parse(text) {
        Ok(id) => Ok(ApiKeyId::from_uuid(id)),
        Err(_not_an_id) => Err(Failure::new("that is not the id of an API key")
            .advise(
                "Give the apiKeyId that create-api-key printed, or the part of the key between its second and its third underscore; never the whole key.",
            )
            .exiting(2)),
    }
}

async fn create_organization(
    unlocked: &Unlocked,
    name: &str,
    as_json: bool,
) -> Result<(), Failure> {
    let service = OrganizationService::new(unlocked.store.clone(), unlocked.master.clone());
    let made = service.create(name).await.map_err(|error| {
        let failure = Failure::new("cannot create the organisation");
        match error {
            OrganizationError::InvalidName(why) => failure
                .because(format!("the name {why}"))
                .advise("Give another --name.")
                .exiting(2),
            OrganizationError::Key(_) | OrganizationError::Store(_) => failure.because(error),
        }
    })?;
    let key = made.key.text.expose();
    if as_json {
        return output::json(&json!({"organizationId": made.id, "apiKey": key}));
    }
    output::text(&format!(
        "Organisation {}\nAPI key      {key}\n\nThe key has the role owner and is shown this once: keep it.\n",
        made.id
    ))
}

async fn create_api_key(
    unlocked: &Unlocked,
    organization: OrgId,
    role: Role,
    as_json: bool,
) -> Result<(), Failure> {
    let service = KeyService::new(unlocked.store.clone(), unlocked.master.clone());
    let made = service.create(organization, role).await.map_err(|error| {
        let failure = Failure::new("cannot create the key");
        match error {
            KeyError::OrganizationNotFound => failure
                .because(error)
                .advise("Give the organizationId that create-organization printed."),
            KeyError::NotFound | KeyError::NoRandomness(_) | KeyError::Store(_) => {
                failure.because(error)
            }
        }
    })?;
    let NewKey { id, text } = made;
    let key = text.expose();
    if as_json {
        return output::json(&json!({"apiKeyId": id, "apiKey": key}));
    }
    output::text(&format!(
        "API key id  {id}\nAPI key     {key}\n\nThe key has the role {role} and is shown this once: keep it.\n"
    ))
}

async fn revoke_api_key(unlocked: &Unlocked, id: ApiKeyId) -> Result<(), Failure> {
    let service = KeyService::new(unlocked.store.clone(), unlocked.master.clone());
    service.revoke(id).await.map_err(|error| {
        let failure = Failure::new("cannot revoke the key");
        match error {
            KeyError::NotFound => failure
                .because(error)
                .advise("Check the id, and that TENANTRY_DATABASE_URL names the right database."),
            KeyError::OrganizationNotFound | KeyError::NoRandomness(_) | KeyError::Store(_) => {
                failure.because(error)
            }
        }
    })?;
    tokio::time::sleep(REVOCATION_SPREADS).await;
    output::text(&format!("API key {id} is revoked\n"))
}
