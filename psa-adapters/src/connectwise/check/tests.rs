use serde_json::json;

use super::*;
use crate::{
    connectwise::harness::{API, opened, opened_at},
    contract::PsaAdapter,
    scripted::{Expected, Scripted, get},
    transport::TransportError,
};

fn at(path: &str) -> Expected {
    get(&format!("{API}/{path}"))
}

fn denied(path: &str) -> Expected {
    at(path).answer(
        403,
        json!({"code": "Security", "message": "You do not have security permission to perform this action."}),
    )
}

/// Expects the whole look to succeed; what is expected before stands in its place.
fn all_works(psa: &Scripted) {
    psa.expect(
        at("system/info")
            .answer(200, json!({"version": "v2025.1.98231"}))
            .always(),
    );
    psa.expect(
        at("company/companies/count")
            .answer(200, json!({"count": 4}))
            .always(),
    );
    psa.expect(
        at("company/companies/statuses")
            .answer(200, json!([{"id": 1}]))
            .always(),
    );
    for list in ["company/contacts", "system/callbacks", "service/tickets"] {
        psa.expect(
            at(list)
                .query("pageSize", "1")
                .answer(200, json!([]))
                .always(),
        );
    }
    psa.expect(
        at("service/boards/21/statuses")
            .answer(200, json!([{"id": 501}, {"id": 519, "closedStatus": true}]))
            .always(),
    );
    psa.expect(
        at("service/boards/21/types")
            .answer(200, json!([{"id": 31}]))
            .always(),
    );
    psa.expect(
        at("service/priorities")
            .answer(200, json!([{"id": 4}]))
            .always(),
    );
}

async fn look(adapter: &ConnectWise, tickets: Option<Value>) -> Vec<(String, bool, String)> {
    let report = adapter.check(tickets.as_ref()).await.unwrap();
    let lines = report.checks.into_iter().map(|check| {
        assert_eq!(check.ok, check.action.is_none());
        let told = format!("{} {}", check.detail, check.action.unwrap_or_default());
        (check.name.to_owned(), check.ok, told)
    });
    lines.collect()
}

fn names(lines: &[(String, bool, String)]) -> Vec<&str> {
    lines.iter().map(|(name, _, _)| name.as_str()).collect()
}

#[tokio::test]
async fn everything_that_is_used_is_tried() {
    let (psa, adapter) = opened();
    all_works(&psa);
    let settings = json!({"boardId": 21, "statusId": 501, "typeId": 31, "priorityId": 4, "closedStatusId": 519});
    let lines = look(&adapter, Some(settings)).await;
    assert_eq!(
        names(&lines),
        [
            "reachable",
            "credentials",
            "companies",
            "companyStatuses",
            "contacts",
            "callbacks",
            "tickets"
        ]
    );
    assert!(lines.iter().all(|(_, ok, _)| *ok), "{lines:?}");
    assert!(lines[0].2.contains("v2025.1.98231"));
    assert!(lines[2].2.contains("4 companies"));
    for sent in psa.sent() {
        assert_eq!(sent.method, reqwest::Method::GET);
    }
}

#[tokio::test]
async fn each_missing_right_is_named_by_its_row() {
    for (path, name, row) in [
        (
            "company/companies/count",
            "companies",
            "Company → Company Maintenance: Inquire All",
        ),
        (
            "company/companies/statuses",
            "companyStatuses",
            "System → Table Setup: Inquire All",
        ),
        (
            "company/contacts",
            "contacts",
            "Company → Contacts: Inquire All",
        ),
        ("system/callbacks", "callbacks", "API callbacks"),
        (
            "service/tickets",
            "tickets",
            "Service Desk → Service Tickets: Inquire All",
        ),
        (
            "service/boards/21/statuses",
            "tickets",
            "System → Table Setup: Inquire All",
        ),
    ] {
        let (psa, adapter) = opened();
        psa.expect(denied(path));
        all_works(&psa);
        let lines = look(&adapter, Some(json!({"boardId": 21}))).await;
        let failed: Vec<_> = lines.iter().filter(|(_, ok, _)| !ok).collect();
        assert_eq!(failed.len(), 1, "{path}");
        assert_eq!(failed[0].0, name);
        assert!(failed[0].2.contains(row), "{}", failed[0].2);
        assert!(failed[0].2.contains("Security Roles"));
    }
}

#[tokio::test]
async fn refused_keys_end_the_look_with_what_to_do() {
    let (psa, adapter) = opened();
    let refused =
        json!({"code": "Unauthorized", "message": "Incorrect public/private key", "errors": null});
    psa.expect(at("system/info").answer(401, refused.clone()));
    psa.expect(at("company/companies/count").answer(401, refused));
    let lines = look(&adapter, None).await;
    assert_eq!(names(&lines), ["reachable", "credentials"]);
    assert!(lines[0].1 && !lines[1].1);
    assert!(lines[1].2.contains("Incorrect public/private key"));
    psa.finish();
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_and_nothing_more_is_tried() {
    let info = || get("/login/companyinfo/northgate");
    for (answer, words) in [
        (info().answer(200, json!(null)), "company ID"),
        (info().fail(TransportError::NotConnected), "no connection"),
        (
            info().fail(TransportError::AddressRefused),
            "may not be called",
        ),
        (
            info().answer_raw(200, "text/html", "<html>canary</html>"),
            "none of ConnectWise",
        ),
    ] {
        let (psa, adapter) = opened_at("https://eu.myconnectwise.net");
        psa.expect(answer);
        let lines = look(&adapter, None).await;
        assert_eq!(names(&lines), ["reachable"]);
        assert!(!lines[0].1 && lines[0].2.contains(words), "{}", lines[0].2);
        assert!(!lines[0].2.contains("canary"));
    }
    let (psa, adapter) = opened_at("https://eu.myconnectwise.net");
    psa.expect(info().fail(TransportError::NoBudget { seconds: 9 }));
    assert_eq!(
        adapter.check(None).await,
        Err(PsaError::RateLimited {
            retry_after: Some(9)
        })
    );
}

#[tokio::test]
async fn settings_that_do_not_fit_the_board_are_named() {
    for (settings, field) in [
        (json!({}), "boardId"),
        (json!({"boardId": 21, "statusId": 600}), "statusId 600"),
        (
            json!({"boardId": 21, "closedStatusId": 600}),
            "closedStatusId 600",
        ),
        (json!({"boardId": 21, "typeId": 600}), "typeId 600"),
        (json!({"boardId": 21, "priorityId": 600}), "priorityId 600"),
    ] {
        let (psa, adapter) = opened();
        all_works(&psa);
        let lines = look(&adapter, Some(settings)).await;
        let (name, ok, told) = lines.last().unwrap();
        assert!(name == "tickets" && !ok && told.contains(field), "{told}");
    }
    let (psa, adapter) = opened();
    all_works(&psa);
    psa.expect(at("service/boards/99/statuses").answer(
        404,
        json!({"code": "NotFound", "message": "Board 99 not found"}),
    ));
    let lines = look(&adapter, Some(json!({"boardId": 99}))).await;
    assert!(lines.last().unwrap().2.contains("boardId 99"));
}
