//! What mailboxes are for, the usage report's redirect, and whether reports conceal names.

use serde_json::json;
use uuid::Uuid;

use super::{answer::Answer, call::Call, permission::Need};
use crate::fake_microsoft::{faults::percent_decoded, reports};

/// `GET /users/{id or user principal name}/mailboxSettings/userPurpose`.
pub fn user_purpose(call: &Call<'_>, key: &str) -> Result<Answer, Answer> {
    call.require(Need::Mailbox)?;
    call.allow(&[])?;
    let directory = call.tenant.directory.lock().expect("directory");
    let user = directory
        .user_by_key(key)
        .ok_or_else(|| call.ids.not_found(key))?
        .id;
    // A signed-in user reads the own mailbox only.
    if call
        .token
        .person
        .as_ref()
        .is_some_and(|person| person.oid != user)
    {
        let message = "Access is denied. Check credentials and try again.";
        return Err(call.ids.error(403, "ErrorAccessDenied", message));
    }
    let mailbox = directory.mailboxes.of_user(user);
    let mailbox =
        mailbox.filter(|mailbox| directory.features.exchange && mailbox.deleted_date.is_none());
    let Some(mailbox) = mailbox else {
        let message = "The mailbox is either inactive, soft-deleted, or is hosted on-premise.";
        return Err(call.ids.error(404, "MailboxNotEnabledForRESTAPI", message));
    };
    let origin = &call.cloud.graph_origin;
    let key = key.replace('@', "%40").replace('#', "%23");
    let context = format!("{origin}/v1.0/$metadata#users('{key}')/mailboxSettings/userPurpose");
    let body = json!({"@odata.context": context, "value": mailbox.purpose});
    Ok(Answer::json(body.to_string()))
}

/// `GET /reports/getMailboxUsageDetail(period='D7')`: a redirect to a download that needs no token.
pub fn usage_report(call: &Call<'_>, function: &str) -> Result<Answer, Answer> {
    let function = percent_decoded(function);
    let period = function
        .strip_prefix("getMailboxUsageDetail(period='")
        .and_then(|rest| rest.strip_suffix("')"));
    let Some(period) = period else {
        return Err(super::unknown_segment(call.ids, &function));
    };
    if !matches!(period, "D7" | "D30" | "D90" | "D180") {
        let message = format!("Invalid period value '{period}' specified.");
        return Err(call.ids.error(400, "BadRequest", &message));
    }
    call.require(Need::Reports)?;
    if call.query.iter().any(|(name, _)| name.starts_with('$')) {
        let message = "The report is not available in this format in v1.0.";
        return Err(call.ids.bad_request(message));
    }
    let token = Uuid::new_v4().simple().to_string();
    let days = period.trim_start_matches('D').to_owned();
    reports::offer(call.cloud, call.tenant.id, &token, days);
    let location = format!("{}/data/download/{token}", call.cloud.reports_origin);
    Ok(Answer::empty(302).header("Location", location))
}

/// `GET /admin/reportSettings`.
pub fn report_settings(call: &Call<'_>) -> Result<Answer, Answer> {
    call.require(Need::ReportSettings)?;
    call.allow(&["$select"])?;
    let concealed = call
        .tenant
        .directory
        .lock()
        .expect("directory")
        .features
        .concealed_names;
    let origin = &call.cloud.graph_origin;
    let context = format!("{origin}/v1.0/$metadata#admin/reportSettings/$entity");
    let body = json!({"@odata.context": context, "displayConcealedNames": concealed});
    Ok(Answer::json(body.to_string()))
}
