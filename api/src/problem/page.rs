//! Problems for people: the page of each type, and a problem as a page for a browser.

use actix_web::{HttpResponse, HttpResponseBuilder};
use maud::{Markup, html};

use super::{ProblemBody, ProblemType};
use crate::html_page;

/// First line of each generated file.
#[cfg(test)]
const HEAD: &str = "<!-- Generated from the catalogue of problems: UPDATE_PROBLEMS=1 cargo test -p tenantry-api. -->";

const fn retry_advice(kind: &ProblemType) -> &'static str {
    if kind.retryable {
        "Yes: trying again can succeed with nothing changed. That is the same call later or, after a sign-in, the same link opened again."
    } else {
        "No: something has to change first."
    }
}

/// The page of a type as it stands in the documentation.
#[cfg(test)]
fn markdown(kind: &ProblemType) -> String {
    format!(
        "{HEAD}\n# {title}\n\n- Code: `{code}`\n- HTTP status: {status}\n\n## What happened\n\n{what}\n\n\
         ## What to do\n\n{action}\n\n## Does a retry help?\n\n{retry}\n",
        title = kind.title,
        code = kind.code,
        status = kind.status,
        what = kind.what,
        action = kind.action,
        retry = retry_advice(kind),
    )
}

/// The page of a type as the server shows it.
pub fn page(kind: &ProblemType) -> Markup {
    html_page::document(
        kind.title,
        &html! {
            h1 { (kind.title) }
            p { "Code " code { (kind.code) } ", HTTP status " (kind.status) "." }
            h2 { "What happened" }
            p { (kind.what) }
            h2 { "What to do" }
            p { (kind.action) }
            h2 { "Does a retry help?" }
            p { (retry_advice(kind)) }
        },
    )
}

/// A problem as a page: the same words and the same request id.
pub(super) fn answer(response: &mut HttpResponseBuilder, body: &ProblemBody) -> HttpResponse {
    let markup = html_page::document(
        &body.title,
        &html! {
            h1 { (body.title) }
            p { (body.detail) }
            @if let Some(action) = &body.action { p { strong { (action) } } }
            p { small { "Request " code { (body.request_id) } ". " a href=(body.r#type) { "About this problem" } } }
        },
    );
    html_page::answer(response, markup)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::problem::catalogue::ALL;

    #[test]
    fn the_pages_in_the_documentation_are_those_of_the_catalogue() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/problems");
        let expected: BTreeSet<String> =
            ALL.iter().map(|kind| format!("{}.md", kind.code)).collect();
        if std::env::var_os("UPDATE_PROBLEMS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            for kind in ALL {
                fs::write(folder.join(format!("{}.md", kind.code)), markdown(kind)).unwrap();
            }
        }
        let present: BTreeSet<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(present, expected, "run with UPDATE_PROBLEMS=1");
        for kind in ALL {
            let text = fs::read_to_string(folder.join(format!("{}.md", kind.code))).unwrap();
            assert_eq!(text, markdown(kind), "run with UPDATE_PROBLEMS=1");
        }
    }
}
