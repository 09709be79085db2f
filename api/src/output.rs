//! What commands print on stdout.

use std::io::{self, ErrorKind, Write as _};

use serde_json::Value;

use crate::failure::Failure;

/// Prints one JSON document.
///
/// # Errors
/// When stdout cannot be written.
pub fn json(document: &Value) -> Result<(), Failure> {
    text(&format!("{document}\n"))
}

/// Prints a text as it is. A reader that has gone away, such as `head`, is no failure.
///
/// # Errors
/// When stdout cannot be written.
pub fn text(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new("cannot write the result").because(error)),
    }
}
