//! The host that hands out report downloads. It must never see an Authorization.

use actix_web::web;
use uuid::Uuid;

/// A download that Graph's redirect points to.
#[derive(Clone, Debug)]
pub struct ReportDownload {
    pub tenant: Uuid,
    /// Unix seconds.
    pub expires_at: i64,
}

/// Routes of the reports server.
pub fn routes(_config: &mut web::ServiceConfig) {}
