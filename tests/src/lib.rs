//! The whole of Tenantry from outside, and the stand-in for Microsoft's cloud.
//!
//! The product binary contains none of it.

pub mod app;
pub mod browser;
pub mod certificates;
pub mod database;
pub mod fake_microsoft;
pub mod fake_psa;
pub mod openapi;
pub mod process;
pub mod proxy;
pub mod psa_client;
pub mod truth;

/// Makes two tests of one: on SQLite and on PostgreSQL. A test that runs on one runs on both.
#[macro_export]
macro_rules! on_both_databases {
    ($(async fn $name:ident($backend:ident: $type:ident) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;
            async fn body($backend: $type) $body
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                Box::pin(body($crate::database::Backend::Sqlite)).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                Box::pin(body($crate::database::Backend::Postgres)).await;
            }
        })+
    };
}
