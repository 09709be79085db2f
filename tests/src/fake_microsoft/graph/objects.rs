//! `POST /directoryObjects/getByIds`.

use serde::Deserialize;
use uuid::Uuid;

use super::{
    answer::Answer,
    call::Call,
    members::{Shown, write_object},
};
use crate::fake_microsoft::directory::{
    ObjectKind,
    entity::{Members, quoted},
};

/// Most ids in one request.
const MAX_IDS: usize = 1000;

#[derive(Deserialize)]
struct Wanted {
    ids: Vec<Uuid>,
    types: Option<Vec<String>>,
}

/// The objects with these ids; missing ones are left out.
pub fn get_by_ids(call: &Call<'_>) -> Result<Answer, Answer> {
    call.allow(&["$select"])?;
    let bad = |_| call.ids.bad_request("Unable to read JSON request payload.");
    let wanted: Wanted = serde_json::from_slice(call.body).map_err(bad)?;
    if wanted.ids.is_empty() || wanted.ids.len() > MAX_IDS {
        let message = "The number of ids must be between 1 and 1000.";
        return Err(call.ids.error(400, "Request_BadRequest", message));
    }
    let kinds = kinds(call, wanted.types.as_deref())?;
    if !kinds.iter().any(|kind| call.reads_kind(*kind)) {
        return Err(call.ids.denied());
    }
    let shown = Shown::new(call, call.option("$select"))?;
    let directory = call.tenant.directory.lock().expect("directory");
    let context = format!(
        "{}/v1.0/$metadata#directoryObjects",
        call.cloud.graph_origin
    );
    let mut body = String::new();
    let mut members = Members::open(&mut body);
    members.named("@odata.context", &quoted(&context));
    let out = members.value_of("value");
    out.push('[');
    let mut first = true;
    for id in &wanted.ids {
        let mut found = kinds
            .iter()
            .filter_map(|kind| Some((*kind, directory.find(*kind, *id)?)));
        let Some((kind, row)) = found.next() else {
            continue;
        };
        if !first {
            out.push(',');
        }
        first = false;
        write_object(out, &shown, kind, &row.entity);
    }
    out.push(']');
    members.close();
    Ok(Answer::json(body))
}

fn kinds(call: &Call<'_>, types: Option<&[String]>) -> Result<Vec<ObjectKind>, Answer> {
    let Some(types) = types else {
        return Ok(ObjectKind::ALL.to_vec());
    };
    let kind = |name: &String| match name.as_str() {
        "directoryObject" => Ok(ObjectKind::ALL.to_vec()),
        "user" => Ok(vec![ObjectKind::User]),
        "group" => Ok(vec![ObjectKind::Group]),
        "device" => Ok(vec![ObjectKind::Device]),
        "servicePrincipal" => Ok(vec![ObjectKind::ServicePrincipal]),
        "orgContact" => Ok(vec![ObjectKind::OrgContact]),
        _ => {
            let message = format!("Invalid type '{name}' specified.");
            Err(call.ids.error(400, "Request_BadRequest", &message))
        }
    };
    let kinds: Result<Vec<_>, _> = types.iter().map(kind).collect();
    Ok(kinds?.concat())
}
