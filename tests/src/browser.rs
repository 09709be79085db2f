//! A person's browser without a script engine: cookies, redirects across servers, links and forms.
//!
//! It keeps the rules that break consent flows when servers forget them: `SameSite` and `__Host-`
//! cookies, `form-action` of a content security policy (which also binds the redirects that follow),
//! the `Origin` that `Referrer-Policy: no-referrer` makes `null`. It talks to loopback only; anything
//! else is a place where it stops and shows the address.

mod cookies;
mod html;
mod markup;
mod policy;
#[cfg(test)]
mod tests;
mod visit;

use std::time::Duration;

use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE},
    redirect::Policy,
};
use url::Url;

pub use cookies::Jar;
pub use html::{Button, Form, Link};
pub use visit::{Hop, Visit};

use cookies::Request as CookieRequest;

/// Redirects that a browser follows before it gives up.
const MOST_HOPS: usize = 20;
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A browser with one window.
pub struct Browser {
    client: reqwest::Client,
    jar: Jar,
    page: Option<Visit>,
}

/// What starts a navigation.
struct Start {
    method: Method,
    url: Url,
    /// A form body.
    body: Option<String>,
    from: Initiator,
}

/// Who asked for the navigation.
enum Initiator {
    /// The person, by typing the address.
    Person,
    /// A page.
    Page {
        url: Url,
        /// Its content security policy, where a form was submitted.
        form_policy: Option<String>,
        /// `Referrer-Policy: no-referrer` makes a posted `Origin` `null`.
        no_referrer: bool,
    },
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// A fresh browser without cookies.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is a person's browser, not a client of the product"
    )]
    pub fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client without special settings");
        Self {
            client,
            jar: Jar::default(),
            page: None,
        }
    }

    /// Opens an address as if it were typed. Panics if it is not a URL.
    pub async fn open(&mut self, url: &str) -> Visit {
        let url = Url::parse(url).expect("an absolute URL");
        let from = Initiator::Person;
        self.navigate(Start {
            method: Method::GET,
            url,
            body: None,
            from,
        })
        .await
    }

    /// Follows a link to this address on a page of some other site, as an attacker would have it.
    pub async fn open_from_other_site(&mut self, url: &str) -> Visit {
        let url = Url::parse(url).expect("an absolute URL");
        let elsewhere = Url::parse("https://elsewhere.example/").expect("a constant URL");
        let from = Initiator::Page {
            url: elsewhere,
            form_policy: None,
            no_referrer: false,
        };
        self.navigate(Start {
            method: Method::GET,
            url,
            body: None,
            from,
        })
        .await
    }

    /// Follows the link on the current page whose text contains this. Panics if there is none.
    pub async fn follow(&mut self, text: &str) -> Visit {
        let page = self.page();
        let links = page.links();
        let link = links.iter().find(|link| link.text.contains(text));
        let link = link.unwrap_or_else(|| panic!("no link '{text}' on {page}"));
        let base = page.address();
        let url = base.join(&link.href).expect("a link to a URL");
        let from = page.initiator(None);
        self.navigate(Start {
            method: Method::GET,
            url,
            body: None,
            from,
        })
        .await
    }

    /// Presses the button on the current page whose text contains this. Panics if there is none.
    pub async fn submit(&mut self, button: &str) -> Visit {
        self.submit_with(button, &[]).await
    }

    /// The same after filling in fields by their names.
    pub async fn submit_with(&mut self, button: &str, filled: &[(&str, &str)]) -> Visit {
        let page = self.page();
        let forms = page.forms();
        let found = forms.iter().find_map(|form| {
            let pressed = form
                .buttons
                .iter()
                .find(|pressed| pressed.text.contains(button));
            pressed.map(|pressed| (form, pressed))
        });
        let (form, pressed) = found.unwrap_or_else(|| panic!("no button '{button}' on {page}"));
        let submission = form.submission(pressed, filled);
        let mut url = page
            .address()
            .join(&submission.action)
            .expect("a form's address");
        let from = page.initiator(Some(policy::of(&page.headers)));
        let (method, body) = if submission.post {
            (Method::POST, Some(submission.encoded))
        } else {
            url.set_query(Some(&submission.encoded));
            (Method::GET, None)
        };
        self.navigate(Start {
            method,
            url,
            body,
            from,
        })
        .await
    }

    /// The page shown now. Panics before the first navigation.
    pub fn page(&self) -> &Visit {
        self.page.as_ref().expect("a page that was opened")
    }

    /// The cookies, to look at them or to lose them.
    pub fn cookies(&mut self) -> &mut Jar {
        &mut self.jar
    }

    async fn navigate(&mut self, start: Start) -> Visit {
        let visit = self.walk(start).await;
        self.page = Some(visit.clone());
        visit
    }

    async fn walk(&mut self, start: Start) -> Visit {
        let Start {
            mut method,
            mut url,
            mut body,
            from,
        } = start;
        let mut hops: Vec<Hop> = Vec::new();
        let mut passed: Vec<Url> = Vec::new();
        loop {
            passed.push(url.clone());
            if let Some(reason) = from.forbids(&url, hops.len()) {
                return Visit::stopped(url, reason, hops);
            }
            let request = CookieRequest {
                url: &url,
                same_site: from.is_same_site(&passed),
                safe_method: method == Method::GET,
            };
            let cookies = self.jar.for_request(&request);
            let headers = from.headers(&method, &passed, &cookies);
            let mut sending = self
                .client
                .request(method.clone(), url.clone())
                .headers(headers);
            if let Some(body) = &body {
                sending = sending
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(body.clone());
            }
            let response = match sending.send().await {
                Ok(response) => response,
                Err(error) => {
                    return Visit::stopped(url, format!("nobody answered: {error}"), hops);
                }
            };
            let status = response.status();
            let headers = response.headers().clone();
            for cookie in headers.get_all(SET_COOKIE) {
                self.jar
                    .store(&url, &String::from_utf8_lossy(cookie.as_bytes()));
            }
            hops.push(Hop {
                method: method.to_string(),
                url: url.to_string(),
                status: status.as_u16(),
                headers: headers.clone(),
                cookies: cookies.into_iter().map(|(name, _)| name).collect(),
            });
            let Some(next) = redirect_target(&url, status, &headers) else {
                let text = response.text().await;
                let body = text.unwrap_or_else(|error| format!("the answer broke off: {error}"));
                return Visit {
                    url: url.into(),
                    status: status.as_u16(),
                    headers,
                    body,
                    hops,
                };
            };
            if !matches!(status.as_u16(), 307 | 308) {
                method = Method::GET;
                body = None;
            }
            url = next;
        }
    }
}

impl Initiator {
    /// Why the browser does not go there, if it does not.
    fn forbids(&self, url: &Url, hops: usize) -> Option<String> {
        if hops >= MOST_HOPS {
            return Some("too many redirects".to_owned());
        }
        if let Self::Page {
            url: page,
            form_policy: Some(form_policy),
            ..
        } = self
            && !policy::allows(form_policy, page, url)
        {
            return Some(format!("blocked by the page's form-action: {form_policy}"));
        }
        (!cookies::is_loopback(url)).then(|| "this browser stays on loopback".to_owned())
    }

    fn is_same_site(&self, passed: &[Url]) -> bool {
        match self {
            Self::Person => true,
            Self::Page { url, .. } => passed.iter().all(|hop| cookies::same_site(url, hop)),
        }
    }

    fn headers(&self, method: &Method, passed: &[Url], cookies: &[(String, String)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: String| {
            headers.insert(name, value.parse().expect("a header value"));
        };
        set(
            "accept",
            "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8".to_owned(),
        );
        set("accept-language", "en".to_owned());
        set("sec-fetch-dest", "document".to_owned());
        set("sec-fetch-mode", "navigate".to_owned());
        set("sec-fetch-site", self.fetch_site(passed).to_owned());
        if let Self::Page {
            url, no_referrer, ..
        } = self
            && method == Method::POST
        {
            // A redirect to another origin taints the origin of a repeated POST.
            let tainted = passed.iter().any(|hop| hop.origin() != passed[0].origin());
            let origin = url.origin().ascii_serialization();
            let hidden = *no_referrer || tainted;
            set("origin", if hidden { "null".to_owned() } else { origin });
        }
        if !cookies.is_empty() {
            let pairs: Vec<String> = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            headers.insert(COOKIE, pairs.join("; ").parse().expect("cookies"));
        }
        headers
    }

    fn fetch_site(&self, passed: &[Url]) -> &'static str {
        match self {
            Self::Person => "none",
            Self::Page { url, .. } => {
                if passed.iter().all(|hop| hop.origin() == url.origin()) {
                    "same-origin"
                } else if self.is_same_site(passed) {
                    "same-site"
                } else {
                    "cross-site"
                }
            }
        }
    }
}

/// Where an answer redirects to. A fragment goes along when the new address has none.
fn redirect_target(url: &Url, status: StatusCode, headers: &HeaderMap) -> Option<Url> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get(LOCATION)?;
    let mut target = url
        .join(&String::from_utf8_lossy(location.as_bytes()))
        .ok()?;
    if target.fragment().is_none() {
        target.set_fragment(url.fragment());
    }
    Some(target)
}
