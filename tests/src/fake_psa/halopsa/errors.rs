//! Errors as HaloPSA writes them: in many shapes, and often with no body at all (psa.md §C2, §C7).

use serde_json::json;

use crate::fake_psa::call::Reply;

/// An exception of the server's framework.
pub fn exception(message: &str) -> Reply {
    Reply::json(
        400,
        &json!({"ClassName": "System.Exception", "Message": message, "Data": null, "InnerException": null}),
    )
}

/// A body that is not what the route takes.
pub fn body(message: &str) -> Reply {
    Reply::json(400, &json!({ "Message": message }))
}

/// A refusal of the token route.
pub fn token(status: u16, error: &str) -> Reply {
    Reply::json(status, &json!({ "error": error }))
}

/// An error of this status, for faults and limits.
pub fn of_status(status: u16) -> Reply {
    match status {
        401 | 403 | 404 => Reply::empty(status),
        429 => Reply::text(
            429,
            "Rate Limit Reached - 300 Requests per rolling 5 minute window.",
        ),
        502..=504 => Reply::html(status, "Service Unavailable"),
        _ => Reply::json(
            status,
            &json!({"resultCode": 1, "errorMessage": "An error has occurred."}),
        ),
    }
}
