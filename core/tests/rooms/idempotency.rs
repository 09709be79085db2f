//! Idempotency keys.

use chrono::TimeDelta;
use tenantry_core::{
    access::OrgScope,
    customers::{CustomerError, CustomerService, NewCustomer},
    idempotency::{
        Idempotency, IdempotencyError, IdempotencyKey, Reservation, StoredAnswer, Ticket,
    },
    ids::CustomerId,
    store::StoreError,
};
use tenantry_tests::{database::Backend, on_both_databases};

use crate::store::TestStore;

const ROUTE: &str = "POST /customers";
const BODY: [u8; 32] = [7; 32];

struct Calls {
    idempotency: Idempotency,
    customers: CustomerService,
    scope: OrgScope,
}

impl Calls {
    async fn new(db: &TestStore) -> Self {
        let scope = db.organization().await;
        Self {
            idempotency: Idempotency::new(db.store.clone(), db.vault().await),
            customers: CustomerService::new(db.store.clone()),
            scope,
        }
    }

    async fn reserve(&self, key: &str, body: [u8; 32]) -> Reservation {
        let key: IdempotencyKey = key.parse().unwrap();
        self.idempotency
            .reserve(&self.scope, "caller", ROUTE, &key, body)
            .await
            .unwrap()
    }

    async fn ticket(&self, key: &str) -> Ticket {
        let reservation = self.reserve(key, BODY).await;
        let Reservation::New(ticket) = reservation else {
            panic!("{reservation:?}")
        };
        ticket
    }

    async fn replay(&self, key: &str) -> StoredAnswer {
        let reservation = self.reserve(key, BODY).await;
        let Reservation::Replay(answer) = reservation else {
            panic!("{reservation:?}")
        };
        answer
    }

    /// Creates a customer and keeps the answer in the same transaction.
    async fn effect(&self, ticket: &Ticket) -> Result<CustomerId, CustomerError> {
        let (idempotency, ticket) = (self.idempotency.clone(), ticket.clone());
        let new = NewCustomer {
            name: "Contoso".to_owned(),
            domains: Vec::new(),
        };
        let created = self
            .customers
            .create(&self.scope, new, move |tx, customer| {
                let body = format!("{{\"id\":\"{}\",\"link\":\"canary-link\"}}", customer.id);
                idempotency.complete(tx, &ticket, 201, Some("/customers/1"), &body)
            });
        Ok(created.await?.id)
    }
}

on_both_databases! {
    async fn r29_a_repeated_call_gets_the_first_answer(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = Calls::new(&db).await;
        let ticket = calls.ticket("key-1").await;
        assert!(matches!(calls.reserve("key-1", BODY).await, Reservation::InFlight));
        let id = calls.effect(&ticket).await.unwrap();
        for _ in 0..2 {
            let answer = calls.replay("key-1").await;
            assert_eq!((answer.status, answer.location.as_deref()), (201, Some("/customers/1")));
            assert!(answer.body.expose().contains(&id.to_string()));
        }
        assert_eq!(db.raw().count("customers"), 1);
    }

    async fn r29_twenty_parallel_calls_have_one_effect(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = std::sync::Arc::new(Calls::new(&db).await);
        let attempts = (0..20).map(|_| {
            let calls = std::sync::Arc::clone(&calls);
            tokio::spawn(async move {
                match calls.reserve("key-1", BODY).await {
                    Reservation::New(ticket) => {
                        calls.effect(&ticket).await.unwrap();
                        "new"
                    }
                    Reservation::Replay(_) => "replay",
                    Reservation::InFlight => "in flight",
                    Reservation::BodyDiffers => "body differs",
                }
            })
        });
        let outcomes: Vec<&str> = futures_util::future::join_all(attempts)
            .await
            .into_iter()
            .map(|outcome| outcome.unwrap())
            .collect();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == "new").count(), 1);
        assert!(!outcomes.contains(&"body differs"));
        assert_eq!(db.raw().count("customers"), 1);
        calls.replay("key-1").await;
    }

    async fn r29_another_body_under_the_same_key_is_told_so(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = Calls::new(&db).await;
        let ticket = calls.ticket("key-1").await;
        assert!(matches!(calls.reserve("key-1", [8; 32]).await, Reservation::BodyDiffers));
        calls.effect(&ticket).await.unwrap();
        assert!(matches!(calls.reserve("key-1", [8; 32]).await, Reservation::BodyDiffers));
    }

    async fn r29_keys_belong_to_organization_caller_and_route(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = Calls::new(&db).await;
        let other_org = db.organization().await;
        let ticket = calls.ticket("key-1").await;
        calls.effect(&ticket).await.unwrap();
        let key: IdempotencyKey = "key-1".parse().unwrap();
        for (scope, principal, route) in [
            (&other_org, "caller", ROUTE),
            (&calls.scope, "another caller", ROUTE),
            (&calls.scope, "caller", "POST /tenants/connect"),
        ] {
            let outcome = calls.idempotency.reserve(scope, principal, route, &key, BODY).await.unwrap();
            assert!(matches!(outcome, Reservation::New(_)), "{outcome:?}");
        }
        assert!(matches!(calls.reserve("key-2", BODY).await, Reservation::New(_)));
    }

    async fn r29_an_answer_never_stands_in_the_database_in_clear(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = Calls::new(&db).await;
        let ticket = calls.ticket("canary-key").await;
        calls.effect(&ticket).await.unwrap();
        assert!(calls.replay("canary-key").await.body.expose().contains("canary-link"));
        let dump = db.raw().dump().to_lowercase();
        for trace in ["canary-link".to_owned(), hex::encode("canary-link"), "canary-key".to_owned(), hex::encode("canary-key")] {
            assert!(!dump.contains(&trace), "{trace}");
        }
    }

    async fn v3_an_answer_moved_to_another_row_does_not_open(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = Calls::new(&db).await;
        for key in ["key-1", "key-2"] {
            let ticket = calls.ticket(key).await;
            calls.effect(&ticket).await.unwrap();
        }
        db.raw().execute(
            "UPDATE idempotency_keys SET \
             data_key = (SELECT o.data_key FROM idempotency_keys o WHERE o.row_id <> idempotency_keys.row_id), \
             sealed_answer = (SELECT o.sealed_answer FROM idempotency_keys o WHERE o.row_id <> idempotency_keys.row_id)",
        );
        let key: IdempotencyKey = "key-1".parse().unwrap();
        let outcome = calls.idempotency.reserve(&calls.scope, "caller", ROUTE, &key, BODY).await;
        assert!(matches!(outcome, Err(IdempotencyError::Decrypt(_))));
    }

    async fn r29_a_released_key_is_free_at_once(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = Calls::new(&db).await;
        let ticket = calls.ticket("key-1").await;
        calls.idempotency.release(&calls.scope, &ticket).await.unwrap();
        let ticket = calls.ticket("key-1").await;
        calls.effect(&ticket).await.unwrap();
        // Too late: the answer stays.
        calls.idempotency.release(&calls.scope, &ticket).await.unwrap();
        calls.replay("key-1").await;
    }

    async fn r29_a_call_that_died_is_taken_over_and_cannot_finish(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = Calls::new(&db).await;
        let dead = calls.ticket("key-1").await;
        db.advance(TimeDelta::seconds(60));
        assert!(matches!(calls.reserve("key-1", BODY).await, Reservation::InFlight));
        db.advance(TimeDelta::microseconds(1));
        let ticket = calls.ticket("key-1").await;
        let outcome = calls.effect(&dead).await;
        assert!(matches!(outcome, Err(CustomerError::Store(StoreError::Busy(_)))));
        assert_eq!(db.raw().count("customers"), 0);
        calls.idempotency.release(&calls.scope, &dead).await.unwrap();
        calls.effect(&ticket).await.unwrap();
        calls.replay("key-1").await;
    }

    async fn r29_keys_are_kept_for_a_day(backend: Backend) {
        let db = TestStore::new(backend);
        let calls = Calls::new(&db).await;
        for key in ["key-1", "key-2"] {
            let ticket = calls.ticket(key).await;
            calls.effect(&ticket).await.unwrap();
        }
        db.advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
        assert_eq!(calls.idempotency.purge(&calls.scope).await.unwrap(), 0);
        calls.replay("key-1").await;
        db.advance(TimeDelta::microseconds(1));
        let ticket = calls.ticket("key-1").await;
        calls.effect(&ticket).await.unwrap();
        assert_eq!(calls.idempotency.purge(&calls.scope).await.unwrap(), 1);
        assert_eq!(db.raw().count("idempotency_keys"), 1);
        assert_eq!(db.raw().count("customers"), 3);
        calls.replay("key-1").await;
    }
}
