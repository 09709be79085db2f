//! A connection to Northgate's PSA in the cloud, for tests.

use std::sync::Arc;

use serde_json::json;

use super::{ConnectWise, open};
use crate::{
    credentials::ConnectWiseCredentials,
    scripted::{Expected, Scripted, get},
    secret::Secret,
};

/// Where the API is, once the code base is known.
pub(super) const API: &str = "/v2025_1/apis/3.0";

/// The moment of the tests.
pub(super) const NOW: &str = "2026-06-10T12:00:00Z";

/// What the sign-in host tells about the company.
pub(super) fn company_info(code_base: &str) -> Expected {
    get("/login/companyinfo/northgate")
        .host("eu.myconnectwise.net")
        .answer(200, json!({"CompanyName": "Northgate", "Codebase": code_base, "CompanyID": "northgate", "IsCloud": "True"}))
}

/// Keys of an API member.
pub(super) fn credentials() -> ConnectWiseCredentials {
    ConnectWiseCredentials {
        company_id: "northgate".to_owned(),
        public_key: "PUBLIC".to_owned(),
        private_key: Secret::new("PRIVATE".to_owned()),
        client_id: "0e8a5b0c-0000-4000-8000-000000000001".to_owned(),
    }
}

/// A connection by this address; nothing is expected yet.
pub(super) fn opened_at(base_url: &str) -> (Arc<Scripted>, ConnectWise) {
    let psa = Scripted::at(NOW);
    let adapter = open(base_url, credentials(), psa.clone()).unwrap();
    (psa, adapter)
}

/// A connection whose code base can be looked up.
pub(super) fn opened() -> (Arc<Scripted>, ConnectWise) {
    let (psa, adapter) = opened_at("https://eu.myconnectwise.net");
    psa.expect(company_info("v2025_1/").always());
    (psa, adapter)
}
