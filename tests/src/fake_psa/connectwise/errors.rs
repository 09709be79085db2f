//! Errors as ConnectWise writes them (psa.md §A2, §A7).

use serde_json::{Value, json};

use crate::fake_psa::call::Reply;

/// An error with a code, a sentence and no details.
pub fn plain(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({"code": code, "message": message, "errors": null}),
    )
}

/// An error of this status, for faults and limits.
pub fn of_status(status: u16) -> Reply {
    match status {
        401 => plain(401, "Unauthorized", "Incorrect public/private key"),
        403 => forbidden(),
        404 => Reply::json(404, &json!({"code": "NotFound", "message": "Record not found"})),
        // This one alone says `error` instead of `code`.
        429 => Reply::json(
            429,
            &json!({"error": "ConnectWiseAPI", "message": "Too many requests. Please try again in 30 seconds."}),
        )
        .with("Retry-After", "30"),
        500 => plain(500, "InternalServerError", "The request timeout was reached."),
        502..=504 => Reply::html(status, "Service Unavailable"),
        _ => plain(status, "ConnectWiseApi", "The request failed."),
    }
}

/// A right is missing.
pub fn forbidden() -> Reply {
    plain(
        403,
        "Security",
        "You do not have security permission to perform this action.",
    )
}

/// Such a record does not exist.
pub fn no_record(what: &str, id: &str) -> Reply {
    let message = format!("{what} {id} not found");
    Reply::json(404, &json!({"code": "NotFound", "message": message}))
}

/// Such a route does not exist.
pub fn no_route() -> Reply {
    plain(404, "ConnectWiseApi", "The endpoint does not exist.")
}

/// The route exists, with other methods.
pub fn wrong_method() -> Reply {
    plain(
        405,
        "ConnectWiseApi",
        "The requested resource does not support this http method.",
    )
}

/// A condition that cannot be read.
pub fn condition(message: &str) -> Reply {
    plain(400, "ApiFindCondition", message)
}

/// One thing that is wrong with an object.
pub struct Flaw {
    pub code: &'static str,
    pub message: String,
    pub field: &'static str,
}

impl Flaw {
    /// A member that is missing.
    pub fn required(field: &'static str) -> Self {
        Self {
            code: "MissingRequiredField",
            message: format!("The {field} field is required."),
            field,
        }
    }

    /// A text that is too long.
    pub fn too_long(field: &'static str, most: usize) -> Self {
        Self {
            code: "MaxLengthField",
            message: format!("The field {field} must be a string with a maximum length of {most}."),
            field,
        }
    }

    /// A reference to what is not there.
    pub const fn not_found(field: &'static str, message: String) -> Self {
        Self {
            code: "NotFound",
            message,
            field,
        }
    }

    /// A value that cannot be.
    pub const fn invalid(field: &'static str, message: String) -> Self {
        Self {
            code: "InvalidField",
            message,
            field,
        }
    }
}

/// An object that cannot be taken.
pub fn invalid_object(resource: &str, flaws: &[Flaw]) -> Reply {
    let errors: Vec<Value> = flaws
        .iter()
        .map(|flaw| {
            json!({"code": flaw.code, "message": flaw.message, "resource": resource, "field": flaw.field})
        })
        .collect();
    Reply::json(
        400,
        &json!({
            "code": "InvalidObject", "message": format!("{resource} object is invalid"), "errors": errors,
        }),
    )
}
