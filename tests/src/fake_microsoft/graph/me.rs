//! The signed-in user and the directory roles they hold.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{answer::Answer, call::Call, permission::Need};
use crate::fake_microsoft::{
    directory::schemas::{DIRECTORY_ROLE, USER},
    seed::Random,
    state::{GLOBAL_ADMINISTRATOR, Person},
};

/// `GET /me`.
pub fn show(call: &Call<'_>) -> Result<Answer, Answer> {
    let person = signed_in(call)?;
    call.require(Need::Me)?;
    call.allow(&["$select"])?;
    let selected = call.select(&USER, &[])?;
    let directory = call.tenant.directory.lock().expect("directory");
    if let Some(row) = directory.user_by_key(&person.oid.to_string()) {
        return Ok(call.entity("users", &selected, &row.entity));
    }
    drop(directory);
    let context = format!("{}/v1.0/$metadata#users/$entity", call.cloud.graph_origin);
    let body = json!({"@odata.context": context, "id": person.oid, "displayName": person.name,
        "userPrincipalName": person.upn, "mail": null});
    Ok(Answer::json(body.to_string()))
}

/// `GET /me/transitiveMemberOf/microsoft.graph.directoryRole` (or `memberOf`).
pub fn directory_roles(call: &Call<'_>) -> Result<Answer, Answer> {
    let person = signed_in(call)?;
    call.require(Need::Me)?;
    call.allow(&["$select", "$top", "$count"])?;
    call.select(&DIRECTORY_ROLE, &[])?;
    call.page_size(100, 999)?;
    let counted = call.wants_count()?;
    let roles: Vec<Value> = person
        .wids
        .iter()
        .map(|template| role(call, *template))
        .collect();
    let context = format!("{}/v1.0/$metadata#directoryRoles", call.cloud.graph_origin);
    let mut body = json!({"@odata.context": context, "value": roles});
    if counted {
        body["@odata.count"] = json!(person.wids.len());
    }
    Ok(Answer::json(body.to_string()))
}

/// A role's id is the tenant's own; its template id is the same everywhere.
fn role(call: &Call<'_>, template: Uuid) -> Value {
    let (tenant, _) = call.tenant.id.as_u64_pair();
    let (_, low) = template.as_u64_pair();
    let id = Random::new(tenant ^ low).uuid();
    let name = if template == GLOBAL_ADMINISTRATOR {
        "Global Administrator"
    } else {
        "Directory role"
    };
    json!({"id": id, "deletedDateTime": null, "displayName": name, "description": null,
        "roleTemplateId": template})
}

fn signed_in<'a>(call: &'a Call<'_>) -> Result<&'a Person, Answer> {
    call.token.person.as_ref().ok_or_else(|| {
        let message = "/me request is only valid with delegated authentication flow.";
        call.ids.bad_request(message)
    })
}
