//! A page as the person sees it, and how the browser came there.

use reqwest::header::HeaderMap;
use url::Url;

use super::{
    Initiator,
    html::{self, Form, Link},
};

/// Where a navigation ended.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The address shown, with its fragment.
    pub url: String,
    /// 0 when nobody answered there or the browser did not go: `body` says why.
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    /// Every request of the navigation that was answered, the last one included.
    pub hops: Vec<Hop>,
}

/// One answered request of a navigation.
#[derive(Clone, Debug)]
pub struct Hop {
    pub method: String,
    pub url: String,
    pub status: u16,
    pub headers: HeaderMap,
    /// Names of the cookies that were sent.
    pub cookies: Vec<String>,
}

impl Visit {
    pub(super) fn stopped(url: Url, reason: String, hops: Vec<Hop>) -> Self {
        Self {
            url: url.into(),
            status: 0,
            headers: HeaderMap::new(),
            body: reason,
            hops,
        }
    }

    /// The page's text without tags, blanks collapsed.
    pub fn text(&self) -> String {
        html::text(&self.body)
    }

    /// The links of the page.
    pub fn links(&self) -> Vec<Link> {
        html::links(&self.body)
    }

    /// The forms of the page.
    pub fn forms(&self) -> Vec<Form> {
        html::forms(&self.body)
    }

    /// The texts of all buttons.
    pub fn buttons(&self) -> Vec<String> {
        let forms = self.forms();
        let buttons = forms.into_iter().flat_map(|form| form.buttons);
        buttons.map(|button| button.text).collect()
    }

    /// A query parameter of the address shown.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let address = self.address();
        let mut pairs = address.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// A header of the last answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn address(&self) -> Url {
        Url::parse(&self.url).expect("the address of a page")
    }

    pub(super) fn initiator(&self, form_policy: Option<Option<String>>) -> Initiator {
        let referrer_policy = self.header("referrer-policy").unwrap_or_default();
        let last = referrer_policy.rsplit(',').next().unwrap_or_default();
        Initiator::Page {
            url: self.address(),
            form_policy: form_policy.flatten(),
            no_referrer: last.trim().eq_ignore_ascii_case("no-referrer"),
        }
    }
}

impl std::fmt::Display for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.url, self.status, self.text())
    }
}
