//! What revoking leaves of a connection in the database: nothing that was ever worth something (D2).

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tenantry_core::{consent::Started, ids::TenantId};
use tenantry_tests::{
    database::{Backend, Raw, TestDatabase},
    on_both_databases,
};
use url::Url;

use crate::world::{Tab, World, link_of, microsoft_page, token};

/// How many links are made, so that the rows of one are moved about by those of the others.
const LINKS: usize = 60;
/// How long the pieces of a secret are that are looked for: a piece is a leak, too.
const PIECE: usize = 16;

/// What must be gone in the end.
#[derive(Default)]
struct Secrets {
    /// As they are stored: wrapped and sealed.
    stored: HashSet<Vec<u8>>,
    /// In clear.
    plain: HashSet<Vec<u8>>,
}

impl Secrets {
    /// Takes along what is stored at this moment.
    fn note_stored(&mut self, raw: &Raw) {
        for (table, column) in [
            ("connections", "data_key"),
            ("connections", "sealed_link"),
            ("authorization_requests", "sealed_nonce"),
            ("authorization_requests", "sealed_verifier"),
        ] {
            self.stored.extend(bytes(raw, table, column));
        }
    }

    fn note_plain(&mut self, secret: &str) {
        assert!(secret.len() >= 2 * PIECE, "{secret}");
        self.plain.insert(secret.as_bytes().to_vec());
        if let Ok(bytes) = URL_SAFE_NO_PAD.decode(secret) {
            self.plain.insert(bytes);
        }
    }

    fn note_link(&mut self, started: &Started) {
        self.note_plain(&token(started));
        self.note_page(&link_of(started).microsoft_url);
    }

    fn note_page(&mut self, page: &Url) {
        for (name, value) in page.query_pairs() {
            if ["state", "nonce"].contains(&name.as_ref()) {
                self.note_plain(&value);
            }
        }
    }
}

/// A column of bytes of a table, without the empty ones.
fn bytes(raw: &Raw, table: &str, column: &str) -> Vec<Vec<u8>> {
    let digits = if raw.is_sqlite() {
        format!("hex({column})")
    } else {
        format!("encode({column}, 'hex')")
    };
    let lines = raw.lines(&format!(
        "SELECT {digits} AS line FROM {table} WHERE {column} IS NOT NULL"
    ));
    lines
        .iter()
        .map(|line| hex::decode(line).unwrap())
        .collect()
}

/// The pieces of a secret. Of a sealed one its end, for all of them begin alike.
fn pieces(secret: &[u8]) -> impl Iterator<Item = &[u8]> {
    let begin = secret.len().saturating_sub(3 * PIECE);
    secret[begin..].chunks_exact(PIECE)
}

/// How many of the secrets are there, whole or in pieces.
fn found(database: &TestDatabase, secrets: &HashSet<Vec<u8>>) -> usize {
    let mut owners: HashMap<Vec<u8>, &[u8]> = HashMap::new();
    for secret in secrets {
        for piece in pieces(secret) {
            owners.insert(piece.to_vec(), secret);
            // As digits half a piece is as long as a whole one.
            let digits = hex::encode(&piece[..PIECE / 2]).into_bytes();
            owners.insert(digits, secret);
        }
    }
    let everything = database.dump();
    let there = everything
        .windows(PIECE)
        .filter_map(|window| owners.get(window));
    there.collect::<HashSet<_>>().len()
}

/// Makes a link and opens it twice.
async fn opened(world: &World, number: usize, secrets: &mut Secrets) -> (Started, Tab, Url) {
    let domain = format!("tenant{number}.example");
    world.add_tenant(&domain);
    let started = world.start(&domain).await;
    secrets.note_link(&started);
    let mut tab = Tab::new();
    let first = tab.open(&world.consent, &token(&started)).await.unwrap();
    secrets.note_page(&first);
    let page = tab.open(&world.consent, &token(&started)).await.unwrap();
    secrets.note_page(&page);
    secrets.note_stored(&world.raw);
    (started, tab, page)
}

on_both_databases! {
    async fn d2_after_revoke_nothing_of_a_credential_is_left_in_the_database(backend: Backend) {
        let world = &World::new(backend).await;
        let mut secrets = Secrets::default();
        let mut tenants: Vec<TenantId> = Vec::new();
        for number in 0..LINKS {
            let (started, tab, page) = opened(world, number, &mut secrets).await;
            tenants.push(started.tenant);
            // Every third is connected, and every sixth stops between the legs.
            if number % 3 == 0 {
                let fields = world.at_microsoft(&page).await;
                secrets.note_plain(fields.code.as_ref().unwrap().expose());
                let step = tab.bring(&world.consent, fields).await.unwrap();
                secrets.note_page(&microsoft_page(&step));
                secrets.note_stored(&world.raw);
                if number % 6 == 0 {
                    let fields = world.at_microsoft(&microsoft_page(&step)).await;
                    tab.bring(&world.consent, fields).await.unwrap();
                }
            }
        }
        for access_token in world.fake.cloud().access_tokens.lock().unwrap().keys() {
            secrets.note_plain(access_token);
        }
        assert!(secrets.stored.len() > 6 * LINKS, "{}", secrets.stored.len());
        assert!(found(&world.database, &secrets.stored) >= 2 * LINKS, "what is stored is seen");
        assert_eq!(found(&world.database, &secrets.plain), 0, "nothing is ever stored in clear");

        for tenant in &tenants {
            world.tenants.revoke(&world.a.scope, *tenant, None).await.unwrap();
        }
        let left = found(&world.database, &secrets.stored);
        assert_eq!(left, 0, "of {}", secrets.stored.len());
        assert_eq!(found(&world.database, &secrets.plain), 0);
    }

    async fn d2_one_revoked_tenant_leaves_nothing_while_the_others_keep_their_credentials(backend: Backend) {
        let world = &World::new(backend).await;
        let mut kept = Secrets::default();
        let (other, ..) = opened(world, 0, &mut kept).await;
        let mut secrets = Secrets::default();
        let (started, ..) = opened(world, 1, &mut secrets).await;
        secrets.stored.retain(|secret| !kept.stored.contains(secret));
        assert_eq!(found(&world.database, &secrets.stored), secrets.stored.len());
        world.tenants.revoke(&world.a.scope, started.tenant, None).await.unwrap();
        assert_eq!(found(&world.database, &secrets.stored), 0, "of {}", secrets.stored.len());
        assert_eq!(found(&world.database, &kept.stored), kept.stored.len());
        assert!(Tab::new().open(&world.consent, &token(&other)).await.is_some(), "its link still works");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_a_reader_delays_the_wiping_and_not_the_revoking() {
    let world = World::new(Backend::Sqlite).await;
    let mut secrets = Secrets::default();
    let (started, ..) = opened(&world, 0, &mut secrets).await;
    let reader = world.database.raw();
    reader.execute("BEGIN; SELECT count(*) FROM connections;");
    let revoked = world
        .tenants
        .revoke(&world.a.scope, started.tenant, None)
        .await;
    revoked.unwrap();
    assert!(
        found(&world.database, &secrets.stored) > 0,
        "the reader sees it"
    );
    drop(reader);
    world.store.wipe_erased().await.unwrap();
    assert_eq!(found(&world.database, &secrets.stored), 0);
}
