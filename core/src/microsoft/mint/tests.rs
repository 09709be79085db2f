//! Minting against a scripted token endpoint and a source of credentials in memory.

use std::sync::{Mutex, atomic::AtomicBool};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::{
    clock::Clock,
    ids::OrgId,
    microsoft::{
        backoff::Backoff,
        cloud::{CloudProfile, MicrosoftCloud},
        identity::CredentialSource,
    },
    outbound::{Limits, Outbound},
    scripted_server::{Answer, ScriptedServer, Seen},
};

const TENANT: &str = "3d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a";
const CLIENT: &str = "7b1f6f4e-0d5c-4f0c-9a55-2d9d2f1c7e10";
const CUSTOMERS: &str = "11111111-2222-4333-8444-555555555555";

/// One connection's refresh token as several processes share it.
struct Shared {
    token: Mutex<(String, i64)>,
    is_held: AtomicBool,
    /// Fails so many times to store.
    broken: Mutex<u32>,
    /// What another process stores while this one's token is out for exchange.
    stored_elsewhere: Mutex<Option<String>>,
}

impl Shared {
    fn new(token: &str) -> Arc<Self> {
        Arc::new(Self {
            token: Mutex::new((token.to_owned(), 1)),
            is_held: AtomicBool::new(false),
            broken: Mutex::new(0),
            stored_elsewhere: Mutex::new(None),
        })
    }

    fn stored(&self) -> (String, i64) {
        self.token.lock().unwrap().clone()
    }
}

impl CredentialSource for Shared {
    fn registration<'a>(
        &'a self,
        _connection: &'a ConnectionHandle,
    ) -> BoxFuture<'a, Result<ClientCredential, SourceError>> {
        let secret = SecretText::new("customers-secret".to_owned());
        let registration = ClientCredential::with_secret(CUSTOMERS.to_owned(), secret);
        Box::pin(async { Ok(registration) })
    }

    fn hold<'a>(
        &'a self,
        _connection: &'a ConnectionHandle,
    ) -> BoxFuture<'a, Result<Option<HeldRefreshToken>, SourceError>> {
        Box::pin(async {
            if self.is_held.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return Ok(None);
            }
            let (token, generation) = self.stored();
            Ok(Some(HeldRefreshToken {
                token: SecretText::new(token),
                generation,
                hold: uuid::Uuid::new_v4(),
            }))
        })
    }

    fn keep<'a>(
        &'a self,
        _connection: &'a ConnectionHandle,
        held: &'a HeldRefreshToken,
        rotated: Option<&'a SecretText>,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let generation = held.generation;
            let mut stored = self.token.lock().unwrap();
            if let Some(rotated) = rotated {
                let mut broken = self.broken.lock().unwrap();
                if *broken > 0 {
                    *broken -= 1;
                    return Err(SourceError::Unavailable(Arc::new(std::fmt::Error)));
                }
                if stored.1 == generation {
                    *stored = (rotated.expose().to_owned(), generation + 1);
                }
            } else if let Some(newer) = self.stored_elsewhere.lock().unwrap().take() {
                *stored = (newer, generation + 1);
            }
            self.is_held
                .store(false, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        })
    }
}

fn handle(grant: Grant) -> ConnectionHandle {
    let id = uuid::Uuid::new_v4();
    let (org, connection) = (OrgId::from_uuid(id), ConnectionId::from_uuid(id));
    ConnectionHandle::loaded(org, connection, TENANT.parse().unwrap(), grant)
}

/// A process of its own: nothing but the source is shared.
fn process(origin: &str, source: &Arc<Shared>) -> IdentityClient {
    let profile = CloudProfile::new(MicrosoftCloud::Global, Some(origin), Some(origin)).unwrap();
    let secret = SecretText::new("the-secret".to_owned());
    let source: Arc<Shared> = Arc::clone(source);
    IdentityClient::new(
        profile,
        ClientCredential::with_secret(CLIENT.to_owned(), secret),
        "http://localhost:8080/api/msp-portal/tenants/callback".to_owned(),
        Outbound::new(Limits::default()).unwrap(),
        Clock::system(),
    )
    .unwrap()
    .with_backoff(Backoff {
        base: Duration::from_millis(1),
        attempts: 2,
    })
    .with_source(source)
}

/// Microsoft at its strictest: each refresh token works once, and a second use ends them all.
async fn strict_microsoft() -> (ScriptedServer, Arc<Mutex<Vec<String>>>) {
    let used = Arc::new(Mutex::new(Vec::new()));
    let seen_tokens = Arc::clone(&used);
    let server = ScriptedServer::start(move |seen: &Seen, _before| {
        let presented = seen.field("refresh_token").unwrap_or_default();
        let mut used = seen_tokens.lock().unwrap();
        let expected = format!("refresh-{}", used.len() + 1);
        used.push(presented.clone());
        if presented != expected {
            return refusal(70_000);
        }
        refreshed(&format!("refresh-{}", used.len() + 1))
    })
    .await;
    (server, used)
}

fn refreshed(refresh_token: &str) -> Answer {
    Answer::json(
        200,
        json!({
            "token_type": "Bearer", "expires_in": 3600, "access_token": format!("access-by-{refresh_token}"),
            "refresh_token": refresh_token, "scope": "https://graph.microsoft.com/User.Read.All openid",
        }),
    )
}

fn refusal(aadsts: u32) -> Answer {
    let description = format!("AADSTS{aadsts}: no. Trace ID: x");
    Answer::json(
        400,
        json!({"error": "invalid_grant", "error_description": description, "error_codes": [aadsts]}),
    )
}

#[tokio::test]
async fn v14_fifty_callers_in_two_processes_never_use_a_refresh_token_twice() {
    let (server, used) = strict_microsoft().await;
    let shared = Shared::new("refresh-1");
    let processes = [
        process(&server.origin, &shared),
        process(&server.origin, &shared),
    ];
    let handle = handle(Grant::Delegated);
    let asked = (0..50).map(|caller| processes[caller % 2].access_token(&handle));
    let tokens = futures_util::future::join_all(asked).await;
    assert!(tokens.iter().all(Result::is_ok), "{tokens:?}");
    // Access tokens never leave the memory of a process, so each needs one of its own.
    assert_eq!(*used.lock().unwrap(), ["refresh-1", "refresh-2"]);
    assert_eq!(shared.stored(), ("refresh-3".to_owned(), 3));
    let scopes = tokens[0].as_ref().unwrap().permissions().unwrap().to_vec();
    assert_eq!(
        scopes,
        ["https://graph.microsoft.com/User.Read.All", "openid"]
    );
    let seen = &server.seen()[0];
    assert_eq!(seen.target, format!("/{TENANT}/oauth2/v2.0/token"));
    assert_eq!(seen.field("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(seen.field("client_id").as_deref(), Some(CLIENT));
    assert_eq!(seen.field("client_secret").as_deref(), Some("the-secret"));
}

#[tokio::test]
async fn v14_a_caller_who_leaves_does_not_take_the_new_token_along() {
    let (server, _used) = strict_microsoft().await;
    let shared = Shared::new("refresh-1");
    *shared.broken.lock().unwrap() = 1;
    let process = process(&server.origin, &shared);
    let handle = handle(Grant::Delegated);
    {
        // The first attempt to store fails, so the caller is gone before the second.
        let impatient = process.access_token(&handle);
        let left = tokio::time::timeout(Duration::from_millis(300), impatient).await;
        assert!(left.is_err(), "the token was stored too soon for this test");
    }
    // What a process waits for before it ends.
    process.finish_exchanges().await;
    assert_eq!(shared.stored(), ("refresh-2".to_owned(), 2));
    process.access_token(&handle).await.unwrap();
}

#[tokio::test]
async fn v14_a_refused_token_is_looked_up_once_more() {
    let server = ScriptedServer::start(|seen: &Seen, _before| {
        match seen.field("refresh_token").as_deref() {
            Some("newer") => refreshed("newest"),
            _ => refusal(70_000),
        }
    })
    .await;
    let shared = Shared::new("older");
    *shared.stored_elsewhere.lock().unwrap() = Some("newer".to_owned());
    let process = process(&server.origin, &shared);
    process
        .access_token(&handle(Grant::Delegated))
        .await
        .unwrap();
    assert_eq!(shared.stored().0, "newest");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn g5_a_refused_token_that_is_still_the_newest_is_sent_once() {
    let server = ScriptedServer::start(|_seen: &Seen, _before| refusal(50_173)).await;
    let shared = Shared::new("revoked");
    let process = process(&server.origin, &shared);
    let refused = process.access_token(&handle(Grant::Delegated)).await;
    let Err(TokenError::Refused(error)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(error.aadsts, Some(50_173));
    assert_eq!(server.seen().len(), 1);
    assert_eq!(shared.stored(), ("revoked".to_owned(), 1));
    assert!(!shared.is_held.load(std::sync::atomic::Ordering::SeqCst));
}

#[tokio::test]
async fn a_passing_failure_is_met_again_with_the_same_token() {
    let server = ScriptedServer::start(|_seen: &Seen, before| match before {
        0 => Answer::json(503, json!({"error": "temporarily_unavailable"})),
        _ => refreshed("next"),
    })
    .await;
    let shared = Shared::new("first");
    let process = process(&server.origin, &shared);
    process
        .access_token(&handle(Grant::Delegated))
        .await
        .unwrap();
    assert_eq!(shared.stored(), ("next".to_owned(), 2));
}

#[tokio::test]
async fn c18_a_refresh_that_answers_for_another_tenant_gives_no_token() {
    let other = URL_SAFE_NO_PAD.encode(json!({"tid": CUSTOMERS}).to_string());
    let server = ScriptedServer::start(move |_seen: &Seen, _before| {
        Answer::json(
            200,
            json!({"token_type": "Bearer", "access_token": "a", "refresh_token": "next", "id_token": format!("h.{other}.s")}),
        )
    })
    .await;
    let shared = Shared::new("first");
    let process = process(&server.origin, &shared);
    let outcome = process.access_token(&handle(Grant::Delegated)).await;
    assert!(
        matches!(outcome, Err(TokenError::UnexpectedAnswer)),
        "{outcome:?}"
    );
    assert_eq!(
        shared.stored(),
        ("first".to_owned(), 1),
        "nor is its refresh token kept"
    );
}

#[tokio::test]
async fn c2_a_customers_own_registration_gets_tokens_by_its_own_secret() {
    let server = ScriptedServer::start(|_seen: &Seen, _before| refreshed("unused")).await;
    let process = process(&server.origin, &Shared::new("unused"));
    process
        .access_token(&handle(Grant::OwnApplication))
        .await
        .unwrap();
    let seen = &server.seen()[0];
    assert_eq!(
        seen.field("grant_type").as_deref(),
        Some("client_credentials")
    );
    assert_eq!(seen.field("client_id").as_deref(), Some(CUSTOMERS));
    assert_eq!(
        seen.field("client_secret").as_deref(),
        Some("customers-secret")
    );
}

#[tokio::test]
async fn a_connection_without_a_stored_credential_is_told_so() {
    let nothing = IdentityClient::new(
        CloudProfile::new(MicrosoftCloud::Global, None, None).unwrap(),
        ClientCredential::with_secret(CLIENT.to_owned(), SecretText::new("s".to_owned())),
        "http://localhost:8080/".to_owned(),
        Outbound::new(Limits::default()).unwrap(),
        Clock::system(),
    )
    .unwrap();
    for grant in [Grant::Delegated, Grant::OwnApplication] {
        let outcome = nothing.access_token(&handle(grant)).await;
        assert!(
            matches!(outcome, Err(TokenError::Source(SourceError::Gone))),
            "{outcome:?}"
        );
    }
}
