//! Token answers: the success of the token endpoint, read tolerantly.
//!
//! `expires_in` comes as a number, or as a text from older endpoints; fields we do not know are
//! ignored. The type fits the `openidconnect` crate, whose own would parse the id token too strictly
//! and without looking at what we must look at; [`id_token`](super::id_token) does that.

use std::time::Duration;

use openidconnect::{
    AccessToken, EmptyAdditionalClaims, IdToken, OAuth2TokenResponse, RefreshToken, Scope,
    TokenResponse,
    core::{
        CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm, CoreTokenType,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::secrets::SecretText;

/// A success of the token endpoint.
#[derive(Debug)]
pub(crate) struct TokenAnswer {
    pub access_token: AccessToken,
    pub token_type: CoreTokenType,
    pub expires_in: Option<Duration>,
    pub refresh_token: Option<RefreshToken>,
    pub scopes: Option<Vec<Scope>>,
    pub id_token: Option<SecretText>,
}

#[derive(Deserialize)]
struct Wire {
    access_token: AccessToken,
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Value,
    refresh_token: Option<RefreshToken>,
    scope: Option<String>,
    id_token: Option<String>,
}

impl<'de> Deserialize<'de> for TokenAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        // A missing type is Bearer: nothing else was ever issued to us.
        let token_type = match wire.token_type {
            None => CoreTokenType::Bearer,
            Some(name) if name.eq_ignore_ascii_case("bearer") => CoreTokenType::Bearer,
            Some(_) => return Err(serde::de::Error::custom("token type is not Bearer")),
        };
        let seconds = match &wire.expires_in {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let scopes = wire.scope.map(|scopes| {
            scopes
                .split_whitespace()
                .map(|scope| Scope::new(scope.to_owned()))
                .collect()
        });
        Ok(Self {
            access_token: wire.access_token,
            token_type,
            expires_in: seconds.map(Duration::from_secs),
            refresh_token: wire.refresh_token,
            scopes,
            id_token: wire.id_token.map(SecretText::new),
        })
    }
}

impl Serialize for TokenAnswer {
    /// The crate asks for it and never uses it: tokens are not written out.
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(
            "token answers are not serialized",
        ))
    }
}

impl OAuth2TokenResponse for TokenAnswer {
    type TokenType = CoreTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &CoreTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scopes.as_ref()
    }
}

type CrateIdToken = IdToken<
    EmptyAdditionalClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

impl
    TokenResponse<
        EmptyAdditionalClaims,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    > for TokenAnswer
{
    /// Always `None`: the raw text is in [`TokenAnswer::id_token`] for our own reader.
    fn id_token(&self) -> Option<&CrateIdToken> {
        None
    }
}

/// The crate's client with our token answer.
pub(crate) type ProtocolClient<HasAuthUrl, HasTokenUrl> = openidconnect::Client<
    EmptyAdditionalClaims,
    openidconnect::core::CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    openidconnect::core::CoreAuthPrompt,
    openidconnect::StandardErrorResponse<openidconnect::core::CoreErrorResponseType>,
    TokenAnswer,
    openidconnect::core::CoreTokenIntrospectionResponse,
    openidconnect::core::CoreRevocableToken,
    openidconnect::core::CoreRevocationErrorResponse,
    HasAuthUrl,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    HasTokenUrl,
    openidconnect::EndpointNotSet,
>;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<TokenAnswer, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn lifetimes_are_read_as_numbers_and_as_texts() {
        for (field, seconds) in [
            (r#","expires_in":3599"#, Some(3599)),
            (r#","expires_in":"4217""#, Some(4217)),
            (r#","expires_in":"soon""#, None),
            (r#","expires_in":null"#, None),
            ("", None),
        ] {
            let answer = read(&format!(
                r#"{{"token_type":"Bearer","access_token":"t","new":{{}}{field}}}"#
            ))
            .unwrap();
            assert_eq!(
                answer.expires_in,
                seconds.map(Duration::from_secs),
                "{field}"
            );
        }
    }

    #[test]
    fn c18_only_bearer_tokens_are_taken() {
        assert!(read(r#"{"token_type":"bearer","access_token":"t"}"#).is_ok());
        assert!(read(r#"{"token_type":"pop","access_token":"t"}"#).is_err());
        assert!(read(r#"{"token_type":"Bearer"}"#).is_err());
    }

    #[test]
    fn v9_a_token_answer_shows_no_token() {
        let answer = read(
            r#"{"token_type":"Bearer","access_token":"aaa.bbb","refresh_token":"ccc","id_token":"ddd","scope":" a  b "}"#,
        )
        .unwrap();
        let shown = format!("{answer:?}");
        for secret in ["aaa", "ccc", "ddd"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(answer.scopes.as_ref().map(Vec::len), Some(2));
        assert!(serde_json::to_string(&answer).is_err());
    }
}
