//! The one builder of HTTP clients.
