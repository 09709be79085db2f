//! `tenantry openapi`: the description of the API.

use crate::{failure::Failure, openapi, output};

/// Prints the document.
pub fn run() -> Result<(), Failure> {
    let document = openapi::document_text()
        .map_err(|error| Failure::new("cannot write the OpenAPI document").because(error))?;
    output::text(&document)
}
