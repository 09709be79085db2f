use super::*;
use crate::fake_microsoft::reports::usage_detail;

const REPORT: &str = "/reports/getMailboxUsageDetail(period='D7')";

async fn location(bench: &Bench) -> String {
    let got = bench.get(REPORT).await;
    assert_eq!(got.status, 302);
    got.header("location").to_owned()
}

#[tokio::test]
async fn the_report_is_downloaded_once_without_a_token() {
    let bench = Bench::new(seed(200)).await;
    let link = location(&bench).await;
    assert!(link.starts_with(&bench.fake.reports_url()));
    let got = send(bench.http.get(&link)).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type"), "application/octet-stream");
    // reqwest takes the byte order mark off a text.
    let lines: Vec<&str> = got
        .text
        .trim_start_matches('\u{feff}')
        .split("\r\n")
        .collect();
    assert!(lines[0].starts_with("Report Refresh Date,User Principal Name,Display Name"));
    let rows = bench.tenant.directory.lock().unwrap().mailboxes().len();
    assert_eq!(lines.len(), rows + 2);
    assert!(got.text.contains("\"Weiß, ") || got.text.contains("\"Worker, Former 0\""));
    assert_eq!(send(bench.http.get(&link)).await.status, 403);
    assert!(bench.fake.cloud().violations().is_empty());
}

#[tokio::test]
async fn an_authorization_at_the_report_host_is_refused_and_remembered() {
    let bench = Bench::new(seed(5)).await;
    let link = location(&bench).await;
    let got = send(bench.http.get(&link).bearer_auth(&bench.token)).await;
    assert_eq!(got.status, 400);
    assert_eq!(bench.fake.cloud().violations().len(), 1);
}

#[tokio::test]
async fn the_link_is_good_for_minutes() {
    let bench = Bench::new(seed(5)).await;
    let link = location(&bench).await;
    bench.fake.cloud().advance_seconds(301);
    assert_eq!(send(bench.http.get(&link)).await.status, 403);
}

#[tokio::test]
async fn names_are_concealed_when_the_tenant_says_so() {
    let bench = Bench::new(seed(60).concealed_names(true)).await;
    let settings = bench.get("/admin/reportSettings").await.json();
    assert_eq!(settings["displayConcealedNames"], true);
    let csv = usage_detail(&bench.tenant.directory.lock().unwrap(), "7");
    assert!(csv.starts_with('\u{feff}') && !csv.contains('@'));
    let clear = Bench::new(seed(60)).await;
    let settings = clear.get("/admin/reportSettings").await.json();
    assert_eq!(settings["displayConcealedNames"], false);
    assert!(usage_detail(&clear.tenant.directory.lock().unwrap(), "7").contains('@'));
}

#[tokio::test]
async fn every_mailbox_of_a_live_user_has_the_purpose_the_truth_says() {
    let bench = Bench::new(seed(60)).await;
    let mailboxes = bench.tenant.directory.lock().unwrap().mailboxes();
    for mailbox in mailboxes
        .iter()
        .filter(|mailbox| !mailbox["userId"].is_null())
    {
        let id = mailbox["userId"].as_str().unwrap();
        let got = bench
            .get(&format!("/users/{id}/mailboxSettings/userPurpose"))
            .await;
        assert_eq!(got.json()["value"], mailbox["userPurpose"]);
    }
}
