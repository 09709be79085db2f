use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::*;
use crate::fake_microsoft::faults::{Fault, FaultRule};

#[tokio::test]
async fn a_status_fault_replaces_one_answer() {
    let bench = Bench::new(seed(5)).await;
    bench
        .fake
        .cloud()
        .faults
        .script(rule("/users", status_fault(429)));
    let got = bench.get("/users").await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (429, "7"));
    assert_eq!(bench.get("/users").await.status, 200);
    assert!(bench.fake.cloud().faults.unread().is_empty());
}

#[tokio::test]
async fn a_fault_of_one_tenant_spares_the_others() {
    let bench = Bench::new(seed(5)).await;
    let other = bench
        .fake
        .add_tenant(TenantSeed::new("Other", "other.example"));
    let fault = FaultRule {
        tenant: Some(other.id),
        ..rule("/users", Fault::Reset)
    };
    bench.fake.cloud().faults.script(fault);
    assert_eq!(bench.get("/users").await.status, 200);
    assert_eq!(bench.fake.cloud().faults.unread().len(), 1);
}

#[tokio::test]
async fn connections_end_before_within_and_after_the_answer() {
    let bench = Bench::new(seed(50)).await;
    let faults = &bench.fake.cloud().faults;
    for fault in [Fault::Reset, Fault::DropAfterEffect] {
        faults.script(rule("/users", fault));
        assert!(bench.request("/users").send().await.is_err());
    }
    faults.script(rule("/users", Fault::Truncate(700)));
    let mut response = bench.request("/users").send().await.unwrap();
    assert!(response.content_length().unwrap() > 700);
    let mut read = 0;
    let error = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => read += bytes.len(),
            Ok(None) => panic!("the body looks complete"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, 700, "{error}");
}

#[tokio::test]
async fn a_hanging_request_is_in_the_log_and_never_answered() {
    let bench = Bench::new(seed(5)).await;
    bench
        .fake
        .cloud()
        .faults
        .script(rule("/users", Fault::Hang));
    let cloud = bench.fake.cloud();
    let seen = cloud.wait_for_request(|request| request.path_and_query.contains("/users"));
    tokio::select! {
        _ = bench.get("/users") => panic!("it was answered"),
        request = seen => assert_eq!(request.status, 0),
    }
}

#[tokio::test]
async fn garbage_slow_and_raw_bodies_arrive_as_scripted() {
    let bench = Bench::new(seed(5)).await;
    let faults = &bench.fake.cloud().faults;
    faults.script(rule("/users", Fault::Garbage("<html>".to_owned())));
    let got = bench.get("/users").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (200, "<html>"));
    faults.script(rule("/users", Fault::Json(json!({"value": 7}))));
    assert_eq!(bench.get("/users").await.json()["value"], 7);
    faults.script(rule("/users", Fault::Slow { millis_per_kb: 1 }));
    assert_eq!(
        bench.get("/users").await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    let headers = vec![("X-Odd".to_owned(), "1".to_owned())];
    faults.script(rule(
        "/users",
        Fault::Raw {
            status: 502,
            headers,
            body: vec![0xff],
        },
    ));
    let got = bench.get("/users").await;
    assert_eq!((got.status.as_u16(), got.header("x-odd")), (502, "1"));
}

#[tokio::test]
async fn links_lists_and_pages_lie_as_scripted() {
    let bench = Bench::new(seed(50)).await;
    let faults = &bench.fake.cloud().faults;
    let elsewhere = "https://evil.example/v1.0/users".to_owned();
    for target in ["/users", "/groups/delta?$select=id"] {
        faults.script(rule(target, Fault::NextLink(elsewhere.clone())));
        let page = bench.get(target).await.json();
        assert_eq!(page["@odata.nextLink"], elsewhere);
        faults.script(rule(target, Fault::ShortList(3)));
        let page = bench.get(target).await.json();
        assert_eq!(page["value"].as_array().unwrap().len(), 3);
        assert!(page.get("@odata.nextLink").is_none());
        faults.script(rule(target, Fault::EmptyPages));
        let page = bench.get(target).await.json();
        assert!(page["value"].as_array().unwrap().is_empty());
        let next = bench
            .get(page["@odata.nextLink"].as_str().unwrap())
            .await
            .json();
        assert!(!next["value"].as_array().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_held_request_waits_until_the_test_has_changed_what_it_reads() {
    let bench = Bench::new(seed(5)).await;
    let cloud = bench.fake.cloud();
    cloud.hold("/users");
    let change = async {
        cloud
            .wait_for_request(|request| request.path_and_query.contains("/users"))
            .await;
        bench.tenant.directory.lock().unwrap().add_user(json!({}));
        cloud.release();
    };
    let (got, ()) = tokio::join!(bench.get("/users"), change);
    assert_eq!(got.json()["value"].as_array().unwrap().len(), 6);
    assert_eq!(cloud.requests()[0].status, 200);
}

#[test]
fn it_also_runs_for_a_plain_test_and_stops_when_dropped() {
    let fake = FakeMicrosoft::start_blocking();
    let address = fake.graph_url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
        .write_all(b"GET /v1.0/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"));
    drop(fake);
    let stopped = (0..1_000_000).any(|_| TcpStream::connect(&address).is_err());
    assert!(stopped);
}
