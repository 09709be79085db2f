//! Ids in paths, parsed strictly: what is no id gets the same answer as what is not there.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry_core::ids::{
    CustomerId, CustomerSyncRunId, InvalidId, PsaConnectionId, SyncRunId, TenantId,
};
use uuid::Uuid;

use crate::problem::Problem;

/// The id of a thing in the path.
pub struct PathId<T>(pub T);

/// A kind of id that stands in paths.
pub trait PathParameter: FromStr {
    /// The name of its segment.
    const NAME: &'static str;
}

impl PathParameter for TenantId {
    const NAME: &'static str = "tenantId";
}

impl PathParameter for CustomerId {
    const NAME: &'static str = "customerId";
}

impl PathParameter for PsaConnectionId {
    const NAME: &'static str = "psaConnectionId";
}

impl PathParameter for SyncRunId {
    const NAME: &'static str = "syncRunId";
}

impl PathParameter for CustomerSyncRunId {
    const NAME: &'static str = "syncRunId";
}

/// The object id of a group, which is Microsoft's.
#[derive(Debug, Clone, Copy)]
pub struct GroupId(pub Uuid);

impl FromStr for GroupId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // The same strict reading as for ids of ours.
        text.parse::<TenantId>().map(|id| Self(id.as_uuid()))
    }
}

impl PathParameter for GroupId {
    const NAME: &'static str = "groupId";
}

impl<T: PathParameter> FromRequest for PathId<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let id = request
            .match_info()
            .get(T::NAME)
            .and_then(|text| text.parse().ok());
        ready(id.map(Self).ok_or_else(Problem::not_found))
    }
}
