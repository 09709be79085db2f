//! Pages for people without a session: rendered here, without any script.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::header::{self, HeaderValue},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style of all pages. The content security policy lets exactly this text through, by its hash.
const STYLE: &str = "\
:root{color-scheme:light dark;font-family:system-ui,sans-serif;line-height:1.5}\
body{margin:0 auto;max-width:42rem;padding:2rem 1rem}\
h1{line-height:1.2}code{overflow-wrap:anywhere}\
table{border-collapse:collapse;width:100%}\
th,td{border-bottom:1px solid GrayText;padding:.4rem .6rem .4rem 0;text-align:start;vertical-align:top}\
button{font:inherit;min-height:2.75rem;padding:.5rem 1.25rem}\
:focus-visible{outline:3px solid Highlight;outline-offset:2px}";

/// What pages without a form are held to.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-lvxZ1jJPbFK5uqwNnPGNz/HVaJN3sWxagayDP1TjS/w='; \
     img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// A whole page around what it has to say.
pub fn document(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Tenantry" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    }
}

/// A page as an answer with its content security policy.
pub fn answer(response: &mut HttpResponseBuilder, page: Markup) -> HttpResponse {
    response
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_SECURITY_POLICY),
        ))
        .content_type("text/html; charset=utf-8")
        .body(page.into_string())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    fn n15_the_policy_lets_exactly_our_style_through() {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        assert!(
            CONTENT_SECURITY_POLICY.contains(&format!("'sha256-{hash}'")),
            "hash is {hash}"
        );
    }
}
