//! Errors as Autotask writes them: 500 is the normal status for validation and rights (psa.md §B2, §B7).

use serde_json::json;

use crate::fake_psa::call::Reply;

/// An error of this status with one sentence.
pub fn told(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"errors": [message]}))
}

/// What was asked is wrong.
pub fn invalid(message: &str) -> Reply {
    told(500, message)
}

/// A field that the entity does not have.
pub fn unknown_field(field: &str, entity: &str) -> Reply {
    invalid(&format!("Unable to find {field} in the {entity} Entity."))
}

/// A right is missing.
pub fn forbidden(doing: &str) -> Reply {
    invalid(&format!(
        "The logged in Resource does not have the adequate permissions to {doing} this entity type."
    ))
}

/// A record that is not there, in a change or a deletion.
pub fn no_record() -> Reply {
    invalid("No matching records found for this API call.")
}

/// Too many at the same time.
pub fn threads(allowed: usize) -> Reply {
    told(
        429,
        &format!(
            "Thread Threshold Exceeded. The thread threshold of {allowed} threads has been exceeded for \
             this tracking identifier and object endpoint. (Itgenatr005)"
        ),
    )
}

/// An error of this status, for faults and limits.
pub fn of_status(status: u16) -> Reply {
    match status {
        401 => Reply::empty(401),
        403 => told(
            403,
            "The logged in Resource does not have the adequate permissions.",
        ),
        429 => told(
            429,
            "You have exceeded the request threshold of 10000 requests per 60 minutes.",
        )
        .with("Retry-After", "60"),
        404 => Reply::html(404, "404 - File or directory not found."),
        502..=504 => Reply::html(status, "Service Unavailable"),
        _ => told(status, "An unexpected error occurred. (6f2c)"),
    }
}
