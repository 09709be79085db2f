//! Microsoft Graph v1.0, as far as the data sets need it.

pub mod throttle;

use actix_web::web;

/// Routes of the Graph server.
pub fn routes(_config: &mut web::ServiceConfig) {}
