//! Organisations and their API keys.

use std::sync::Arc;

use chrono::TimeDelta;
use tenantry_core::{
    access::{
        OrgScope, Role, api_key,
        keys::{AuthenticationError, KeyError, KeyService},
    },
    audit::{AuditFilter, AuditService},
    ids::{ApiKeyId, OrgId},
    installation,
    organizations::{OrganizationError, OrganizationService},
};
use tenantry_tests::{database::Backend, on_both_databases};
use uuid::Uuid;

use crate::store::{TestStore, master_key};

fn keys(db: &TestStore) -> KeyService {
    KeyService::new(db.store.clone(), Arc::new(master_key(1)))
}

async fn organizations(db: &TestStore) -> OrganizationService {
    installation::ensure(&db.store, &master_key(1))
        .await
        .unwrap();
    OrganizationService::new(db.store.clone(), Arc::new(master_key(1)))
}

async fn actions(db: &TestStore, org: OrgId) -> Vec<String> {
    let scope = OrgScope::for_command_line(org);
    let page = AuditService::new(db.store.clone())
        .list(&scope, AuditFilter::default(), None, 100)
        .await;
    page.unwrap()
        .items
        .into_iter()
        .map(|event| event.action)
        .collect()
}

fn is_refused(outcome: Result<tenantry_core::access::keys::ValidKey, AuthenticationError>) -> bool {
    matches!(outcome, Err(AuthenticationError::Refused))
}

/// A well-formed key with the id of another.
fn with_id(id: ApiKeyId) -> String {
    let (own, text) = api_key::generate().unwrap();
    let body = text.expose()[..text.expose().len() - 8].replace(
        &own.as_uuid().simple().to_string(),
        &id.as_uuid().simple().to_string(),
    );
    format!("{body}{:08x}", crc32fast::hash(body.as_bytes()))
}

on_both_databases! {
    async fn an_organization_comes_with_an_owner_key(backend: Backend) {
        let db = TestStore::new(backend);
        let service = organizations(&db).await;
        assert_eq!(service.count().await.unwrap(), 0);
        let new = service.create(" Msp One ").await.unwrap();
        let second = service.create("Msp Two").await.unwrap();
        let names: Vec<(OrgId, String)> =
            service.list().await.unwrap().into_iter().map(|org| (org.id, org.name)).collect();
        assert_eq!(names, [(new.id, "Msp One".to_owned()), (second.id, "Msp Two".to_owned())]);
        assert_eq!(service.count().await.unwrap(), 2);
        assert_eq!(service.name_of(new.id).await.unwrap().as_deref(), Some("Msp One"));
        assert_eq!(service.name_of(OrgId::INSTALLATION).await.unwrap(), None);
        assert_eq!(actions(&db, new.id).await, ["apiKey.created", "organization.created"]);

        let key = keys(&db).authenticate(new.key.text.expose()).await.unwrap();
        assert_eq!((key.id, key.org, key.role, key.expires_at), (new.key.id, new.id, Role::Owner, None));
    }

    async fn an_organization_needs_a_name(backend: Backend) {
        let db = TestStore::new(backend);
        let service = organizations(&db).await;
        assert!(matches!(service.create("\t").await, Err(OrganizationError::InvalidName(_))));
        assert_eq!(service.count().await.unwrap(), 0);
    }

    async fn each_key_has_its_own_role(backend: Backend) {
        let db = TestStore::new(backend);
        let org = db.organization().await.org();
        for role in Role::ALL {
            let new = keys(&db).create(org, role).await.unwrap();
            let key = keys(&db).authenticate(new.text.expose()).await.unwrap();
            assert_eq!((key.id, key.org, key.role), (new.id, org, role));
        }
    }

    async fn a_key_of_no_organization_is_not_made(backend: Backend) {
        let db = TestStore::new(backend);
        db.organization().await;
        for org in [OrgId::from_uuid(Uuid::now_v7()), OrgId::INSTALLATION] {
            let outcome = keys(&db).create(org, Role::Reader).await;
            assert!(matches!(outcome, Err(KeyError::OrganizationNotFound)));
        }
    }

    async fn a9_a_dump_of_the_database_contains_no_usable_key(backend: Backend) {
        let db = TestStore::new(backend);
        let org = db.organization().await.org();
        let new = keys(&db).create(org, Role::Owner).await.unwrap();
        let text = new.text.expose();
        let secret = &text[text.len() - 72..text.len() - 8];
        let dump = db.raw().dump().to_lowercase();
        assert!(dump.contains(&new.id.as_uuid().simple().to_string()) || dump.contains(&new.id.to_string()));
        assert!(!dump.contains(text));
        // The secret in clear, as bytes, and what its plain hash would be.
        let bytes = hex::decode(secret).unwrap();
        let plain_hash = |input: &[u8]| {
            hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input))
        };
        for trace in [secret.to_owned(), hex::encode(secret), plain_hash(&bytes), plain_hash(secret.as_bytes()), plain_hash(text.as_bytes())] {
            assert!(!dump.contains(&trace), "{trace}");
        }
    }

    async fn a9_a_key_hash_is_worth_nothing_under_another_master_key(backend: Backend) {
        let db = TestStore::new(backend);
        let org = db.organization().await.org();
        let new = keys(&db).create(org, Role::Owner).await.unwrap();
        let other = KeyService::new(db.store.clone(), Arc::new(master_key(2)));
        assert!(is_refused(other.authenticate(new.text.expose()).await));
    }

    async fn a12_all_bad_keys_are_refused_alike(backend: Backend) {
        let db = TestStore::new(backend);
        let org = db.organization().await.org();
        let service = keys(&db);
        let (expired, valid) = (
            service.create(org, Role::Owner).await.unwrap(),
            service.create(org, Role::Owner).await.unwrap(),
        );
        let raw = db.raw();
        let id = raw.uuid(expired.id.as_uuid());
        let past = if raw.is_sqlite() { "1" } else { "'2020-01-01T00:00:00Z'" };
        raw.execute(&format!("UPDATE api_keys SET expires_at = {past} WHERE id = {id}"));
        let (_, unknown) = api_key::generate().unwrap();
        let wrong = with_id(valid.id);
        for text in ["", "tnty_api_", unknown.expose(), expired.text.expose(), &wrong, &valid.text.expose()[1..]] {
            assert!(is_refused(service.authenticate(text).await), "{text}");
        }
        assert!(service.authenticate(valid.text.expose()).await.is_ok());
    }

    async fn a_key_ends_at_its_moment(backend: Backend) {
        let db = TestStore::new(backend);
        let org = db.organization().await.org();
        let service = keys(&db);
        let new = service.create(org, Role::Owner).await.unwrap();
        let end = db.store.clock().now() + TimeDelta::hours(1);
        let raw = db.raw();
        let id = raw.uuid(new.id.as_uuid());
        let at = if raw.is_sqlite() { end.timestamp_micros().to_string() } else { format!("'{}'", end.to_rfc3339()) };
        raw.execute(&format!("UPDATE api_keys SET expires_at = {at} WHERE id = {id}"));
        db.advance(TimeDelta::hours(1) - TimeDelta::microseconds(1));
        assert_eq!(service.authenticate(new.text.expose()).await.unwrap().expires_at, Some(end));
        db.advance(TimeDelta::microseconds(1));
        assert!(is_refused(service.authenticate(new.text.expose()).await));
    }

    async fn a_revoked_key_works_nowhere_and_moves_the_epoch(backend: Backend) {
        let db = TestStore::new(backend);
        let org = db.organization().await.org();
        let service = keys(&db);
        let elsewhere = KeyService::new(db.second_store(), Arc::new(master_key(1)));
        let (one, other) = (
            service.create(org, Role::Reader).await.unwrap(),
            service.create(org, Role::Reader).await.unwrap(),
        );
        let epoch = service.key_epoch().await.unwrap();
        service.revoke(one.id).await.unwrap();
        assert!(is_refused(elsewhere.authenticate(one.text.expose()).await));
        assert!(elsewhere.authenticate(other.text.expose()).await.is_ok());
        assert_eq!(elsewhere.key_epoch().await.unwrap(), epoch + 1);

        service.revoke(one.id).await.unwrap();
        assert_eq!(service.key_epoch().await.unwrap(), epoch + 1);
        let actions = actions(&db, org).await;
        assert_eq!(actions.iter().filter(|action| *action == "apiKey.revoked").count(), 1);
        let unknown = service.revoke(ApiKeyId::from_uuid(Uuid::now_v7())).await;
        assert!(matches!(unknown, Err(KeyError::NotFound)));
    }
}
