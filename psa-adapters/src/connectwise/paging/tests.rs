use serde_json::{Value, json};

use super::*;
use crate::{
    connectwise::harness::{API, opened, opened_at},
    contract::{CustomerQuery, PsaAdapter},
    scripted::{Expected, Scripted, get, post},
};

fn company(id: i64) -> Value {
    json!({"id": id, "name": format!("Company {id}")})
}

fn companies(ids: impl IntoIterator<Item = i64>) -> Value {
    ids.into_iter().map(company).collect()
}

fn list() -> Expected {
    get(&format!("{API}/company/companies"))
}

fn forward(after: Option<i64>) -> Expected {
    let call = list()
        .header("pagination-type", "forward-only")
        .query("pageSize", "1000")
        .no_query("orderBy")
        .no_query("page");
    match after {
        Some(after) => call.query("pageId", &after.to_string()),
        None => call.no_query("pageId"),
    }
}

fn numbered(page: u32) -> Expected {
    list()
        .query("page", &page.to_string())
        .query("orderBy", "id")
        .no_query("pageId")
        .when("not forward only", |sent| {
            sent.header("pagination-type").is_none()
        })
}

fn link(rel: &str, page: u32) -> String {
    format!(
        "<https://api-eu.myconnectwise.net/v2025_1//apis/3.0/company/companies/?pageSize=1000&orderBy=id&page={page}>; rel=\"{rel}\""
    )
}

fn statuses(psa: &Scripted) {
    let table = get(&format!("{API}/company/companies/statuses"));
    psa.expect(table.answer(200, json!([])).always());
}

/// Reads a list to its end; the ids of each page.
async fn read(adapter: &dyn PsaAdapter) -> Result<Vec<Vec<String>>, PsaError> {
    let mut pages = Vec::new();
    let mut cursor = None;
    for _ in 0..20 {
        let page = adapter
            .list_customers(&CustomerQuery::default(), cursor.as_ref())
            .await?;
        pages.push(page.items.into_iter().map(|item| item.id.0).collect());
        cursor = page.next;
        if cursor.is_none() {
            return Ok(pages);
        }
    }
    panic!("the list does not end");
}

#[tokio::test]
async fn a_list_is_read_forward_until_a_page_is_empty() {
    let (psa, adapter) = opened();
    statuses(&psa);
    let next = "<https://api-eu.myconnectwise.net/v2025_1//apis/3.0/company/companies?pageSize=1000&pageId=271>; rel=\"next\"";
    psa.expect(
        forward(None)
            .answer(200, json!([{"id": 250.0}, company(271)]))
            .with("link", next),
    );
    psa.expect(
        forward(Some(271))
            .answer(200, companies([302]))
            .with("link", ""),
    );
    psa.expect(forward(Some(302)).answer(200, json!([])));
    assert_eq!(
        read(&adapter).await.unwrap(),
        vec![vec!["250", "271"], vec!["302"], vec![]]
    );
    psa.finish();
}

#[tokio::test]
async fn a_server_whose_link_numbers_pages_is_read_by_numbers() {
    let (psa, adapter) = opened();
    statuses(&psa);
    psa.expect(
        forward(None)
            .answer(200, companies([7, 3]))
            .with("link", &link("next", 2)),
    );
    psa.expect(
        numbered(1)
            .answer(200, companies([3, 7]))
            .with("link", &format!("{}, {}", link("next", 2), link("last", 2))),
    );
    // A row that moved on meanwhile comes again and is left out.
    psa.expect(numbered(2).answer(200, companies([7, 9])).with(
        "link",
        &format!("{}, {}", link("prev", 1), link("first", 1)),
    ));
    assert_eq!(
        read(&adapter).await.unwrap(),
        vec![vec!["3", "7"], vec!["9"]]
    );
    psa.finish();
}

#[tokio::test]
async fn a_server_that_ignores_the_last_id_hands_out_nothing_twice() {
    let (psa, adapter) = opened();
    statuses(&psa);
    psa.expect(forward(None).answer(200, companies([3, 7])));
    psa.expect(forward(Some(7)).answer(200, companies([3, 7])));
    psa.expect(numbered(1).answer(200, companies([3, 7])));
    psa.expect(numbered(2).answer(200, companies([8])));
    psa.expect(numbered(3).answer(200, json!([])));
    assert_eq!(
        read(&adapter).await.unwrap(),
        vec![vec!["3", "7"], vec![], vec!["8"], vec![]]
    );
    psa.finish();
}

#[tokio::test]
async fn a_list_that_gives_the_same_page_for_ever_ends() {
    // All of it fits a page: the same again is the end.
    let (psa, adapter) = opened();
    statuses(&psa);
    psa.expect(list().answer(200, companies([3, 7])).always());
    assert_eq!(
        read(&adapter).await.unwrap(),
        vec![vec!["3", "7"], vec![], vec![]]
    );
    // It says that there is more, or may have more: then nothing may be concluded from it.
    for answer in [
        list()
            .answer(200, companies([3, 7]))
            .with("link", &link("next", 2)),
        list().answer(200, companies(1..=1000)),
    ] {
        let (psa, adapter) = opened();
        statuses(&psa);
        psa.expect(answer.always());
        assert!(matches!(
            read(&adapter).await,
            Err(PsaError::Protocol { what, .. }) if what.contains("same page")
        ));
    }
}

#[tokio::test]
async fn a_next_page_on_a_foreign_host_gets_no_request() {
    for foreign in [
        "https://evil.example/v2025_1/apis/3.0/company/companies?page=2",
        "http://api-eu.myconnectwise.net/v2025_1/apis/3.0/company/companies?page=2",
        "https://api-eu.myconnectwise.net@evil.example/?page=2",
    ] {
        let (psa, adapter) = opened();
        statuses(&psa);
        psa.expect(
            list()
                .answer(200, companies([3]))
                .with("link", &format!("<{foreign}>; rel=\"next\""))
                .always(),
        );
        assert!(matches!(
            read(&adapter).await,
            Err(PsaError::Protocol { what, .. }) if what.contains("another host")
        ));
        for sent in psa.sent() {
            let host = sent.url.host_str().unwrap();
            assert!(host.ends_with("eu.myconnectwise.net"), "{host}");
            assert_eq!(sent.url.scheme(), "https");
        }
    }
}

#[tokio::test]
async fn a_numbered_list_out_of_order_is_refused_rather_than_cut() {
    let (psa, adapter) = opened();
    statuses(&psa);
    psa.expect(list().answer(200, companies([7, 3])).always());
    assert!(matches!(
        read(&adapter).await,
        Err(PsaError::Protocol { .. })
    ));
}

#[tokio::test]
async fn what_is_no_list_of_records_ends_nothing() {
    for body in [
        json!(null),
        json!({}),
        json!([{"name": "no id"}]),
        json!([null]),
    ] {
        let (psa, adapter) = opened();
        psa.expect(forward(None).answer(200, body));
        assert!(matches!(
            read(&adapter).await,
            Err(PsaError::Protocol { .. })
        ));
    }
}

#[tokio::test]
async fn a_cursor_serves_its_own_list_of_its_own_system() {
    let (psa, adapter) = opened();
    statuses(&psa);
    psa.expect(forward(None).answer(200, companies([3])));
    let query = CustomerQuery::default();
    let page = adapter.list_customers(&query, None).await.unwrap();
    let cursor = page.next.unwrap();
    assert!(!cursor.0.contains("PRIVATE") && !cursor.0.contains("PUBLIC"));

    let refused =
        |result: Result<(), PsaError>| assert!(matches!(result, Err(PsaError::Config { .. })));
    let other = CustomerQuery {
        types: vec!["1".to_owned()],
        ..CustomerQuery::default()
    };
    refused(
        adapter
            .list_customers(&other, Some(&cursor))
            .await
            .map(drop),
    );
    refused(adapter.list_hints(Some(&cursor)).await.map(drop));
    let (_, elsewhere) = opened_at("https://na.myconnectwise.net");
    refused(
        elsewhere
            .list_customers(&query, Some(&cursor))
            .await
            .map(drop),
    );
    for written in [
        cursor.0.replace("\"version\":1", "\"version\":2"),
        "https://evil.example/".to_owned(),
        String::new(),
    ] {
        let cursor = Cursor(written);
        refused(
            adapter
                .list_customers(&query, Some(&cursor))
                .await
                .map(drop),
        );
    }

    // It is good after a restart.
    let (psa, later) = opened();
    psa.expect(forward(Some(3)).answer(200, json!([])));
    let page = later.list_customers(&query, Some(&cursor)).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
}

#[tokio::test]
async fn conditions_too_long_for_an_address_go_into_a_body() {
    let (psa, adapter) = opened();
    let types: Vec<String> = (1000..1200).map(|id: u32| id.to_string()).collect();
    let conditions = format!("types/id in ({})", types.join(","));
    psa.expect(
        post(&format!("{API}/company/companies/search"))
            .query("pageSize", "1000")
            .header("pagination-type", "forward-only")
            .body(json!({"childConditions": conditions}))
            .answer_raw(500, "text/html", ""),
    );
    let query = CustomerQuery {
        types,
        ..CustomerQuery::default()
    };
    // It reads, so a failure passes.
    assert!(matches!(
        adapter.list_customers(&query, None).await,
        Err(PsaError::Transient { .. })
    ));
    let sent = psa.sent();
    assert!(sent.last().unwrap().url.as_str().len() < 2000);
}

#[tokio::test]
async fn a_table_of_more_than_one_page_is_read_whole() {
    let (psa, adapter) = opened();
    let table = || get(&format!("{API}/company/companies/types"));
    let next = "<https://api-eu.myconnectwise.net/v2025_1//apis/3.0/company/companies/types?page=2>; rel=\"next\"";
    psa.expect(
        table()
            .query("page", "1")
            .answer(200, companies([1]))
            .with("link", next),
    );
    psa.expect(table().query("page", "2").answer(200, companies([2])));
    assert_eq!(adapter.customer_types().await.unwrap().len(), 2);
    psa.finish();

    psa.expect(
        table()
            .answer(200, companies([1]))
            .with("link", next)
            .always(),
    );
    assert!(matches!(
        adapter.customer_types().await,
        Err(PsaError::Protocol { .. })
    ));
}

#[test]
fn the_link_header_is_read_whatever_stands_in_its_addresses() {
    let read = |value: Option<&str>| {
        let mut headers = reqwest::header::HeaderMap::new();
        if let Some(value) = value {
            headers.insert(LINK, value.parse().unwrap());
        }
        next_of(&Reply {
            status: 200,
            headers,
            body: Vec::new(),
        })
    };
    assert_eq!(read(None), Next::Unsaid);
    assert_eq!(read(Some("")), Next::Unsaid);
    assert_eq!(
        read(Some("<https://a.example/?page=1>; rel=\"prev\"")),
        Next::None
    );
    for value in [
        "<https://a.example/?c=types/id in (1,2);x&page=2>; rel=\"next\", <https://a.example/?page=9>; rel=\"last\"",
        "<https://a.example/?page=9>; rel=last, <https://a.example/?c=types/id in (1,2);x&page=2>;rel=next",
        "<https://a.example/?page=1>; title=\"a, b\"; rel=prev, <https://a.example/?c=types/id in (1,2);x&page=2>; x=1; rel=\"Next\"",
    ] {
        let Next::There(url) = read(Some(value)) else {
            panic!("{value}");
        };
        assert!(url.as_str().ends_with("page=2"), "{url}");
    }
}
