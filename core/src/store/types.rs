//! The SQL types that both databases keep natively: one type each, so that `schema.rs` is one list.
//!
//! [`DbUuid`] is `uuid` on PostgreSQL and a 16-byte blob on SQLite (ADR 0002); [`DbTs`] is
//! `timestamptz` and microseconds since 1970. JSON is kept as text on both: its bytes are compared
//! or hashed, and passed on as they are.

use chrono::{DateTime, Utc};
use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    query_builder::QueryId,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, Binary, SqlType, Timestamptz, Uuid as PgUuid},
    sqlite::Sqlite,
};
use uuid::Uuid;

use crate::ids::{
    ApiKeyId, AuditEventId, AuthorizationRequestId, ConnectionId, CustomerId, CustomerSyncRunId,
    EventId, OrgId, PsaConnectionId, RequestId, SyncRunId, TenantId, WorkItemId,
};

/// A UUID column.
#[derive(Debug, Clone, Copy, Default, SqlType, QueryId)]
#[diesel(
    postgres_type(oid = 2950, array_oid = 2951),
    sqlite_type(name = "Binary")
)]
pub struct DbUuid;

/// A moment in UTC, to the microsecond.
#[derive(Debug, Clone, Copy, Default, SqlType, QueryId)]
#[diesel(
    postgres_type(oid = 1184, array_oid = 1185),
    sqlite_type(name = "Long")
)]
pub struct DbTs;

/// Lets a typed id stand in queries and rows directly. A macro because the conversions are the same
/// for each id; the proxy only tells diesel's derives which type they are for.
macro_rules! stored_ids {
    ($($name:ident),+ $(,)?) => {$(
        const _: () = {
            #[derive(AsExpression, FromSqlRow)]
            #[diesel(foreign_derive)]
            #[diesel(sql_type = DbUuid)]
            #[expect(dead_code, reason = "only its derives are wanted")]
            struct Proxy($name);
        };
        impl ToSql<DbUuid, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <Uuid as ToSql<PgUuid, Pg>>::to_sql(&self.as_uuid(), &mut out.reborrow())
            }
        }
        impl ToSql<DbUuid, Sqlite> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                out.set_value(self.as_uuid().as_bytes().to_vec());
                Ok(IsNull::No)
            }
        }
        impl FromSql<DbUuid, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <Uuid as FromSql<PgUuid, Pg>>::from_sql(value).map(Self::from_uuid)
            }
        }
        impl FromSql<DbUuid, Sqlite> for $name {
            fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
                Ok(Self::from_uuid(Uuid::from_slice(&bytes)?))
            }
        }
    )+};
}

stored_ids! {
    OrgId, ApiKeyId, CustomerId, TenantId, ConnectionId, AuthorizationRequestId, SyncRunId,
    WorkItemId, AuditEventId, RequestId, PsaConnectionId, CustomerSyncRunId, EventId,
}

/// A UUID that is no id of ours: a key of Microsoft's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = DbUuid)]
pub struct StoredUuid(pub Uuid);

impl ToSql<DbUuid, Pg> for StoredUuid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <Uuid as ToSql<PgUuid, Pg>>::to_sql(&self.0, out)
    }
}

impl ToSql<DbUuid, Sqlite> for StoredUuid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}

impl FromSql<DbUuid, Pg> for StoredUuid {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <Uuid as FromSql<PgUuid, Pg>>::from_sql(value).map(Self)
    }
}

impl FromSql<DbUuid, Sqlite> for StoredUuid {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
        Ok(Self(Uuid::from_slice(&bytes)?))
    }
}

/// A moment as rows carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = DbTs)]
pub struct StoredTime(pub DateTime<Utc>);

impl ToSql<DbTs, Pg> for StoredTime {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <DateTime<Utc> as ToSql<Timestamptz, Pg>>::to_sql(&self.0, out)
    }
}

impl ToSql<DbTs, Sqlite> for StoredTime {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.timestamp_micros());
        Ok(IsNull::No)
    }
}

impl FromSql<DbTs, Pg> for StoredTime {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <DateTime<Utc> as FromSql<Timestamptz, Pg>>::from_sql(value).map(Self)
    }
}

impl FromSql<DbTs, Sqlite> for StoredTime {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<BigInt, Sqlite>>::from_sql(value)?;
        DateTime::from_timestamp_micros(micros)
            .map(Self)
            .ok_or_else(|| "time out of range".into())
    }
}
