//! Recorded and documented answers of HaloPSA are read as what they say: our own fixtures always, the
//! published examples where `TENANTRY_EXAMPLES` says where they are.
//!
//! What an answer must become is taken from its own JSON here, in another way than the adapter takes it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says which example it was at"
)]

use std::path::{Path, PathBuf};

use tenantry_psa::{Limits, Reply, Request, Transport, TransportError};

mod example;
mod records;
mod sign_in;
mod tickets;
mod webhooks;

#[expect(
    dead_code,
    reason = "one file for all tests; this one needs a part of it"
)]
#[path = "../../src/scripted.rs"]
mod scripted;

use example::read_examples;

/// Examples of what is not read: invoices, licences and contracts, and a second way to the tenant map.
const NOT_READ: &[&str] = &[
    "area_azure_tenant.json",
    "client_contracts.json",
    "recurring_invoice_detail.json",
    "recurring_invoice_lines_updated.json",
    "recurring_invoices.json",
    "software_licences.json",
];

async fn read_all(folder: &Path) {
    let examples = read_examples(folder);
    for example in &examples {
        if NOT_READ.contains(&example.file.as_str()) {
            continue;
        }
        println!("{}", example.file);
        let segments: Vec<&str> = example.path.split('/').skip(1).collect();
        match (example.method.as_str(), segments.as_slice(), example.status) {
            ("POST", ["hooks", ..], _) if example.is_event() => webhooks::event(example).await,
            ("GET", ["api", "authinfo"], 200) => sign_in::auth_info(example).await,
            ("POST", ["auth", "token"], 200) => sign_in::token(example).await,
            ("POST", ["auth", "token"], 400 | 401) => sign_in::refused_token(example).await,
            ("GET", ["api", "Client"], 200) => records::clients(&examples, example).await,
            ("GET", ["api", "Client"], 429) => sign_in::rate_limited(example).await,
            ("GET", ["api", "Client", id], 200) => records::client(example, id).await,
            ("GET", ["api", "Site"], 200) => records::sites(example).await,
            ("GET", ["api", "Users"], 200) => records::users(example).await,
            ("GET", ["api", "AzureADConnection", id], 200) => {
                records::connection(example, id).await
            }
            ("POST", ["api", "Webhook"], 201) => webhooks::webhook(example).await,
            ("POST", ["api", "Tickets"], 201) => tickets::changed_ticket(example).await,
            ("GET", ["api", "Tickets"], 200) => tickets::search(example).await,
            ("GET", ["api", "Tickets", id], 200) => tickets::ticket(example, id).await,
            ("POST", ["api", "actions"], 201) => tickets::action(example).await,
            ("POST", ["api", "actions"], 400) => tickets::refused_action(example).await,
            ("GET", ["api", "Status"], 200) => tickets::statuses(example).await,
            _ => panic!("{}: an example that nothing reads", example.file),
        }
    }
}

#[tokio::test]
async fn our_fixtures_are_read_as_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/halopsa");
    read_all(&folder).await;
}

/// `TENANTRY_EXAMPLES` names the folder of Microsoft's examples, beside which those of PSAs are; or that of
/// the PSAs itself; or the folder above both.
#[tokio::test]
async fn published_examples_are_read_as_what_they_say() {
    let Some(named) = std::env::var_os("TENANTRY_EXAMPLES") else {
        println!("TENANTRY_EXAMPLES is not set");
        return;
    };
    let named = PathBuf::from(named);
    let folder = [
        named.join("halopsa"),
        named.join("psa-examples/halopsa"),
        named.join("../psa-examples/halopsa"),
    ]
    .into_iter()
    .find(|folder| folder.join("index.json").is_file())
    .expect("TENANTRY_EXAMPLES leads to psa-examples/halopsa");
    read_all(&folder).await;
}
