//! Tokens of HaloPSA, and what their scopes allow (psa.md §C2).

use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use uuid::Uuid;

use super::{HaloPsa, errors};
use crate::fake_psa::{
    call::{Call, Reply},
    desk::Psa as _,
};

/// Scopes that exist. `read:actions` does not.
const SCOPES: [&str; 14] = [
    "all",
    "all:standard",
    "all:teams",
    "admin:webhooks",
    "read:customers",
    "edit:customers",
    "read:tickets",
    "edit:tickets",
    "read:items",
    "edit:items",
    "read:contracts",
    "edit:contracts",
    "read:invoices",
    "edit:invoices",
];

/// A token that was issued.
#[derive(Clone, Debug)]
pub struct Token {
    pub scopes: BTreeSet<String>,
    /// Milliseconds since 1970.
    pub expires: i64,
}

impl HaloPsa {
    pub(super) fn issue_token(&self, call: &Call) -> Reply {
        let is_form = call
            .header("content-type")
            .starts_with("application/x-www-form-urlencoded");
        if call.method != "POST" || !is_form {
            return errors::token(400, "invalid_request");
        }
        let form: HashMap<String, String> = url::form_urlencoded::parse(&call.body)
            .into_owned()
            .collect();
        let given = |name: &str| form.get(name).cloned().unwrap_or_default();
        // A hosted instance serves many tenants.
        if call.parameter("tenant") != Some(self.tenant.as_str()) {
            return errors::token(400, "invalid_tenant");
        }
        if given("grant_type") != "client_credentials" {
            return errors::token(400, "unsupported_grant_type");
        }
        let (id, secret) = call
            .basic()
            .unwrap_or_else(|| (given("client_id"), given("client_secret")));
        if (id, secret)
            != (
                self.client_id.clone(),
                self.secret.lock().expect("secret").clone(),
            )
        {
            return errors::token(401, "invalid_client");
        }
        let asked = given("scope");
        let mut scopes = BTreeSet::new();
        for scope in asked.split_whitespace() {
            if !SCOPES.contains(&scope) || !self.grants(scope) {
                return errors::token(400, "invalid_scope");
            }
            scopes.insert(scope.to_owned());
        }
        let token = format!(
            "{}.{}.sig",
            Uuid::new_v4().simple(),
            Uuid::new_v4().simple()
        );
        let lifetime = *self.lifetime.lock().expect("lifetime");
        let expires = self.desk().now() + lifetime * 1000;
        let scope = scopes.iter().cloned().collect::<Vec<_>>().join(" ");
        let mut tokens = self.tokens.lock().expect("tokens");
        let now = self.desk().now();
        tokens.retain(|_, token| token.expires > now);
        tokens.insert(token.clone(), Token { scopes, expires });
        Reply::json(
            200,
            &json!({
                "scope": scope, "token_type": "Bearer", "access_token": token, "expires_in": lifetime,
                "id_token": "eyJhbGciOiJSUzI1NiJ9.example.sig",
            }),
        )
    }

    /// Whether the application has a scope: what it may edit it may read.
    fn grants(&self, scope: &str) -> bool {
        self.may(scope) || covers(&self.rights().lock().expect("rights"), scope)
    }

    /// Lets a call through that has a good token with this scope, for an agent with this right.
    pub(super) fn admit(&self, call: &Call, scope: &str, right: &str) -> Result<(), Reply> {
        let text = call.header("authorization");
        let tokens = self.tokens.lock().expect("tokens");
        let token = text
            .strip_prefix("Bearer ")
            .and_then(|text| tokens.get(text));
        let Some(token) = token.filter(|token| token.expires > self.desk().now()) else {
            return Err(Reply::empty(401));
        };
        // A token without scopes is good for nothing.
        if token.scopes.is_empty() {
            return Err(Reply::empty(401));
        }
        let allowed = covers(&token.scopes, scope) && self.grants(scope) && self.may(right);
        if allowed {
            Ok(())
        } else {
            Err(Reply::empty(403))
        }
    }
}

fn covers(scopes: &BTreeSet<String>, wanted: &str) -> bool {
    let edit = wanted.replace("read:", "edit:");
    scopes.contains("all") || scopes.contains(wanted) || scopes.contains(&edit)
}
