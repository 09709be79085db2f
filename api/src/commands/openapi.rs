//! `tenantry openapi`: the description of the API.

use crate::{failure::Failure, openapi, output};

/// Prints the document.
pub fn run() -> Result<(), Failure> {
    output::text(&openapi::document_text())
}
