//! What became of a flow, in plain words, and the way to try again.

use maud::{Markup, html};
use serde_json::Value;
use tenantry_core::{
    consent::{LinkState, LinkView, Outcome},
    microsoft::permissions::MANIFEST,
};

use super::tenant_label;
use crate::html_page;

/// The result as far as there is one. `address` is the link's own.
pub fn result_page(view: &LinkView, address: &str) -> Markup {
    match view.state {
        LinkState::Proven => connected(view),
        LinkState::Proving => proving(view, address),
        LinkState::Open => open(view, address),
        LinkState::Expired => ended(view, "This link has expired"),
        LinkState::Void => ended(view, "This link is no longer valid"),
    }
}

fn connected(view: &LinkView) -> Markup {
    let lost: Vec<_> = MANIFEST
        .iter()
        .filter(|permission| {
            view.missing
                .iter()
                .any(|missing| missing == permission.name)
        })
        .collect();
    page(
        "Connected",
        html! {
            h1 { "Connected" }
            p { strong { (tenant_label(view)) } " is connected to " strong { (view.organization) } "." }
            @if lost.is_empty() {
                p {
                    // A token that names no permission tells nothing about what is missing either.
                    @if !view.granted.is_empty() { "Everything that was asked for was granted. " }
                    "You can close this page."
                }
            } @else {
                p { "Some permissions are missing. What that means:" }
                ul {
                    @for permission in lost {
                        li { code { (permission.name) } ": " (permission.without_it) }
                    }
                }
                p { "To add them, ask " (view.organization) " for a new link and accept all permissions." }
            }
        },
    )
}

fn proving(view: &LinkView, address: &str) -> Markup {
    page(
        "Almost done",
        html! {
            h1 { "Almost done" }
            p {
                "You have accepted. Microsoft is still setting the permissions up in "
                strong { (tenant_label(view)) } ", which can take a minute."
            }
            p { "Nothing more is needed from you. You can close this page, or "
                a href={ (address) "/result" } { "look again" } "." }
        },
    )
}

fn open(view: &LinkView, address: &str) -> Markup {
    match &view.last_outcome {
        Some(Outcome::Failed { problem }) => failed(view, problem, address),
        Some(Outcome::Connected { .. }) | None => page(
            "Not connected yet",
            html! {
                h1 { "Not connected yet" }
                p { "Nobody has finished the sign-in for " strong { (tenant_label(view)) } " yet." }
                p { a href=(address) { "Open the link" } }
            },
        ),
    }
}

fn failed(view: &LinkView, problem: &Value, address: &str) -> Markup {
    let text = |name: &str| {
        problem
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    page(
        "Not connected",
        html! {
            h1 { "Not connected" }
            p {
                strong { (tenant_label(view)) } " was not connected to " (view.organization) ". "
                "Nothing was stored."
            }
            h2 { (text("title")) }
            p { (text("detail")) }
            p { strong { "What to do: " } (text("action")) }
            p { a href=(address) { "Try again" } }
            @if let Some(microsoft) = problem.get("microsoft") {
                (microsoft_facts(microsoft))
            }
        },
    )
}

/// What Microsoft's support asks for.
fn microsoft_facts(microsoft: &Value) -> Markup {
    let facts: Vec<(&str, String)> = [
        ("Error", "error"),
        ("Number", "aadsts"),
        ("Trace id", "traceId"),
        ("Correlation id", "correlationId"),
        ("Time", "timestamp"),
    ]
    .into_iter()
    .filter_map(|(label, name)| {
        let text = match microsoft.get(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => format!("AADSTS{number}"),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((label, text))
    })
    .collect();
    html! {
        details {
            summary { "What Microsoft said" }
            dl {
                @for (label, text) in facts {
                    dt { (label) } dd { code { (text) } }
                }
            }
        }
    }
}

fn ended(view: &LinkView, title: &str) -> Markup {
    page(
        title,
        html! {
            h1 { (title) }
            p { "It was made to connect " strong { (tenant_label(view)) } " to " strong { (view.organization) } "." }
            p { "Ask " (view.organization) " for a new link." }
        },
    )
}

fn page(title: &str, content: Markup) -> Markup {
    html_page::document(title, &content)
}
