use super::*;
use crate::fake_microsoft::faults::Fault;

fn responses(got: &Got) -> Vec<Value> {
    got.json()["responses"].as_array().unwrap().clone()
}

fn of<'a>(responses: &'a [Value], id: &str) -> &'a Value {
    responses.iter().find(|one| one["id"] == id).unwrap()
}

#[tokio::test]
async fn twenty_items_are_answered_in_another_order_each_on_its_own() {
    let bench = Bench::new(seed(60)).await;
    let ids: Vec<String> = {
        let directory = bench.tenant.directory.lock().unwrap();
        directory
            .users
            .live()
            .map(|row| row.id.to_string())
            .collect()
    };
    let urls: Vec<String> = ids[..20]
        .iter()
        .map(|id| format!("/users/{id}/mailboxSettings/userPurpose"))
        .collect();
    let got = bench.post("/$batch", &batch_of(&urls)).await;
    assert_eq!(got.status, 200);
    let answers = responses(&got);
    assert_eq!(answers.len(), 20);
    assert!(
        answers
            .iter()
            .enumerate()
            .any(|(place, one)| one["id"] != format!("r{place}"))
    );
    assert_eq!(of(&answers, "r0")["body"]["value"], "user");
    let shared = of(&answers, "r12");
    assert_eq!(shared["body"]["value"], "shared");
    let guest = of(&answers, "r10");
    assert_eq!(guest["status"], 404);
    assert_eq!(
        guest["body"]["error"]["code"],
        "MailboxNotEnabledForRESTAPI"
    );
    let log = bench.fake.cloud().requests();
    assert_eq!((log.len(), log[0].batch.len()), (1, 20));
}

#[tokio::test]
async fn what_is_malformed_refuses_the_whole_batch() {
    let bench = Bench::new(seed(1)).await;
    let url = "/organization".to_owned();
    let refused = |body: Value| async { bench.post("/$batch", &{ body }).await.status == 400 };
    assert!(refused(batch_of(&vec![url.clone(); 21])).await);
    assert!(refused(json!({"requests": []})).await);
    assert!(refused(json!({"request": []})).await);
    let same = json!({"id": "A", "method": "GET", "url": url});
    let other = json!({"id": "a", "method": "GET", "url": url});
    assert!(refused(json!({"requests": [same, other]})).await);
    assert!(
        refused(batch_of(
            &["https://graph.microsoft.com/v1.0/me".to_owned()]
        ))
        .await
    );
}

#[tokio::test]
async fn an_item_is_throttled_alone_with_its_own_wait() {
    let bench = Bench::new(seed(5)).await;
    bench
        .fake
        .cloud()
        .faults
        .script(rule("/subscribedSkus", status_fault(429)));
    let urls = ["/organization".to_owned(), "/subscribedSkus".to_owned()];
    let answers = responses(&bench.post("/$batch", &batch_of(&urls)).await);
    assert_eq!(of(&answers, "r0")["status"], 200);
    let throttled = of(&answers, "r1");
    assert_eq!(
        (&throttled["status"], &throttled["headers"]["retry-after"]),
        (&json!(429), &json!("7"))
    );
}

#[tokio::test]
async fn items_redirect_page_and_count_as_requests_of_their_own_would() {
    let bench = Bench::new(seed(30)).await;
    let urls = [
        "/reports/getMailboxUsageDetail(period='D7')".to_owned(),
        "/users?$select=id&$top=10".to_owned(),
        "users/$count".to_owned(),
        "/$batch".to_owned(),
    ];
    let mut body = batch_of(&urls);
    body["requests"][2]["headers"] = json!({"ConsistencyLevel": "eventual"});
    let answers = responses(&bench.post("/$batch", &body).await);
    let report = of(&answers, "r0");
    assert_eq!(report["status"], 302);
    let location = report["headers"]["Location"].as_str().unwrap();
    assert!(location.starts_with(&bench.fake.reports_url()));
    assert!(report.get("body").is_none());
    let next = of(&answers, "r1")["body"]["@odata.nextLink"]
        .as_str()
        .unwrap();
    assert_eq!(
        bench.get(next).await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
    // Not JSON: base64 of "30".
    assert_eq!(of(&answers, "r2")["body"], "MzA=");
    assert_eq!(of(&answers, "r3")["status"], 400);
}

#[tokio::test]
async fn what_depends_on_a_failed_item_fails_too() {
    let bench = Bench::new(seed(1)).await;
    let body = json!({"requests": [
        {"id": "1", "method": "GET", "url": "/nothing"},
        {"id": "2", "method": "GET", "url": "/organization", "dependsOn": ["1"]},
    ]});
    let answers = responses(&bench.post("/$batch", &body).await);
    assert_eq!(of(&answers, "2")["status"], 424);
}

#[tokio::test]
async fn a_connection_fault_of_an_item_takes_the_batch_along() {
    let bench = Bench::new(seed(1)).await;
    bench
        .fake
        .cloud()
        .faults
        .script(rule("/organization", Fault::Reset));
    let url = format!("{}/v1.0/$batch", bench.fake.graph_url());
    let body = batch_of(&["/organization".to_owned()]);
    let request = bench.http.post(url).bearer_auth(&bench.token).json(&body);
    assert!(request.send().await.is_err());
}
