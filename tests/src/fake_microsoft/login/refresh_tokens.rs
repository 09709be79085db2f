//! The refresh tokens that were issued, and how a test ends them.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{controls, errors::Failure};
use crate::fake_microsoft::state::{App, Cloud, SignIn};

/// How long a token is good without being used, in seconds.
const INACTIVITY: i64 = 90 * 24 * 3_600;
/// How every token begins and ends.
const SHAPE: (&str, &str) = ("1.", ".AgABAwEAAAA");

/// What becomes of a token once it was used.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum RefreshRotation {
    /// It stays good, as Microsoft documents it.
    #[default]
    Lenient,
    /// It is revoked. Its use once more revokes all that came from the same sign-in (70000).
    Strict,
}

/// All refresh tokens.
#[derive(Default)]
pub(super) struct RefreshTokens {
    /// Oldest first.
    issued: Vec<String>,
    by_text: HashMap<String, Stored>,
    rotation: RefreshRotation,
}

struct Stored {
    sign_in: SignIn,
    /// Unix seconds.
    issued_at: i64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    /// Given in for another one, while rotation is strict.
    Used,
    /// The number it is refused with.
    Ended(u32),
}

/// What becomes of used tokens from now on.
pub fn set_refresh_rotation(cloud: &Cloud, rotation: RefreshRotation) {
    let mut tokens = cloud.login.refresh_tokens.lock().expect("refresh tokens");
    tokens.rotation = rotation;
}

/// Revokes what people of a tenant hold by now (50173); tokens of later sign-ins are good.
pub fn revoke_refresh_tokens(cloud: &Cloud, tenant: Uuid) {
    end_refresh_tokens(cloud, tenant, 50_173);
}

/// Ends what people of a tenant hold by now, with the number that says why: 70008 expired, 70043
/// sign-in frequency, and so on.
pub fn end_refresh_tokens(cloud: &Cloud, tenant: Uuid, aadsts: u32) {
    let mut tokens = cloud.login.refresh_tokens.lock().expect("refresh tokens");
    for token in tokens.by_text.values_mut() {
        if token.sign_in.tenant == tenant {
            token.state = State::Ended(aadsts);
        }
    }
}

/// How many refresh tokens of people of a tenant are good.
pub fn live_refresh_tokens(cloud: &Cloud, tenant: Uuid) -> usize {
    let now = cloud.now_unix();
    let tokens = cloud.login.refresh_tokens.lock().expect("refresh tokens");
    let live = tokens.by_text.values().filter(|token| {
        token.sign_in.tenant == tenant
            && token.state == State::Live
            && now <= token.issued_at + INACTIVITY
    });
    live.count()
}

/// Every refresh token that people of a tenant were given, good or not, oldest first: what must be
/// found nowhere in the clear.
pub fn issued_refresh_tokens(cloud: &Cloud, tenant: Uuid) -> Vec<String> {
    let tokens = cloud.login.refresh_tokens.lock().expect("refresh tokens");
    let of_tenant = |text: &&String| {
        let token = tokens.by_text.get(*text);
        token.is_some_and(|token| token.sign_in.tenant == tenant)
    };
    tokens.issued.iter().filter(of_tenant).cloned().collect()
}

/// How many requests with a refresh token came for a tenant, whatever they were answered.
pub fn refresh_requests(cloud: &Cloud, tenant: Uuid) -> usize {
    let log = cloud.log.lock().expect("log");
    let refreshes = log.iter().filter(|request| {
        let form = request.form.as_deref().unwrap_or_default();
        request.tenant == Some(tenant) && form.contains("grant_type=refresh_token")
    });
    refreshes.count()
}

/// A new token for a sign-in.
pub(super) fn issue(cloud: &Cloud, sign_in: SignIn) -> String {
    let random: Vec<u8> = (0..20)
        .flat_map(|_| controls::next_random(cloud).to_be_bytes())
        .collect();
    let (start, end) = SHAPE;
    let text = format!("{start}{}{end}", URL_SAFE_NO_PAD.encode(random));
    let stored = Stored {
        sign_in,
        issued_at: cloud.now_unix(),
        state: State::Live,
    };
    let mut tokens = cloud.login.refresh_tokens.lock().expect("refresh tokens");
    tokens.issued.push(text.clone());
    tokens.by_text.insert(text.clone(), stored);
    text
}

/// The sign-in that a token of this app came from. Errors: 9002313 no token at all, 70000 unknown or
/// another app's or used before, 700082 not used for too long, or what a test ended it with.
pub(super) fn find(cloud: &Cloud, text: &str, app: &App) -> Result<SignIn, Failure> {
    let (start, end) = SHAPE;
    if !text.starts_with(start) || !text.ends_with(end) {
        return Err(Failure::new(9_002_313).as_error("invalid_grant"));
    }
    let mut tokens = cloud.login.refresh_tokens.lock().expect("refresh tokens");
    let token = tokens
        .by_text
        .get(text)
        .filter(|token| token.sign_in.client_id == app.client_id)
        .ok_or_else(|| Failure::new(70_000).saying("Provided grant is invalid or malformed."))?;
    match token.state {
        State::Ended(aadsts) => return Err(ended(aadsts)),
        State::Used => {
            let family = token.sign_in.moment;
            tokens.end_family(family);
            return Err(ended(70_000));
        }
        State::Live => {}
    }
    if cloud.now_unix() > token.issued_at + INACTIVITY {
        return Err(Failure::new(700_082).saying(
            "The refresh token has expired due to inactivity. The token was inactive for 90.00:00:00.",
        ));
    }
    Ok(token.sign_in.clone())
}

/// Gives a new token for a good one.
pub(super) fn rotate(cloud: &Cloud, text: &str) -> Result<String, Failure> {
    let mut tokens = cloud.login.refresh_tokens.lock().expect("refresh tokens");
    let strict = tokens.rotation == RefreshRotation::Strict;
    let token = tokens.by_text.get_mut(text);
    let token = token
        .filter(|token| token.state == State::Live)
        .ok_or_else(|| ended(70_000))?;
    if strict {
        token.state = State::Used;
    }
    let sign_in = token.sign_in.clone();
    drop(tokens);
    Ok(issue(cloud, sign_in))
}

impl RefreshTokens {
    fn end_family(&mut self, moment: u64) {
        let family = self.by_text.values_mut();
        for token in family.filter(|token| token.sign_in.moment == moment) {
            token.state = State::Ended(70_000);
        }
    }
}

fn ended(aadsts: u32) -> Failure {
    let failure = Failure::new(aadsts).as_error("invalid_grant");
    match aadsts {
        50_173 => failure.challenging("bad_token", None),
        70_043 => failure.challenging("token_expired", None),
        _ => failure,
    }
}
