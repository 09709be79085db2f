//! Webhooks that the PSA really calls, and those that somebody else does.

use tenantry_tests::fake_psa::callouts::{Callout, Delivery};

use super::*;

/// An app with the customers of this PSA, which calls it when they change.
async fn listening<P: Psa>(backend: Backend, psa: &Fake<P>) -> (TestApp, String) {
    let app = TestApp::start_with(backend, &[ALLOW_STAND_INS, TRACE]).await;
    let id = app.owner.connect_psa(psa).await;
    let run = app.owner.sync_psa(&id, "full").await;
    assert_eq!(run["state"], "completed", "{run:#}");
    register_callback(&app, &id).await;
    (app, id)
}

/// Calls our receiver as this callout does; the status.
async fn call(app: &TestApp, callout: &Callout) -> u16 {
    let nobody = app.owner.with_key(None);
    let path = callout.url.strip_prefix(&app.url("")).expect("our address");
    let mut request = nobody.request("POST", &format!("/{path}"));
    for (name, value) in &callout.headers {
        request = request.header(*name, value);
    }
    let request = request.body(callout.body.clone());
    nobody.send(request).await.status
}

/// The last webhook that was called to its end.
async fn last_delivery<P: Psa>(psa: &Fake<P>, number: usize) -> Delivery {
    wait_for("a webhook", async || {
        psa.deliveries().get(number - 1).cloned()
    })
    .await
}

/// The last part of the address.
fn path_secret(callout: &Callout) -> String {
    let (_, rest) = callout.url.split_once("/events/").expect("our address");
    let secret = rest.split('?').next().expect("a secret").to_owned();
    assert!(secret.len() >= 32, "{secret}");
    secret
}

/// When the work of reading customers is due and how often it was taken, once nobody is at it.
async fn work_at_rest(app: &TestApp) -> String {
    let raw = app.database.raw();
    let look = || {
        raw.lines(
            "SELECT CAST(due_at AS TEXT) || ' ' || CAST(fence AS TEXT) AS line FROM work_items \
             WHERE kind = 'customerSync' AND lease_owner IS NULL",
        )
    };
    wait_for("rest", async || {
        let before = look();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let quiet = before == look() && raw.count("psa_changes") == 0;
        before.into_iter().next().filter(|_| quiet)
    })
    .await
}

pub async fn a_webhook_renames_and_counts_once<P: Psa>(backend: Backend, psa: Fake<P>) {
    let (mut app, id) = listening(backend, &psa).await;
    register_callback(&app, &id).await;
    let runs = format!("/psa-connections/{id}/sync-runs");
    assert_eq!(app.owner.list(&runs).await.len(), 1);
    let record = psa.active_ids()[3];
    psa.rename(record, "Renamed & Söhne \"by hand\"");
    wait_for_name(&app, &psa, record, "Renamed & Söhne \"by hand\"").await;
    let delivery = last_delivery(&psa, 1).await;
    assert_eq!((delivery.status, delivery.attempts), (Some(204), 1));
    assert_eq!(
        psa.deliveries().len(),
        1,
        "registering twice is one webhook"
    );
    assert_eq!(app.owner.list(&runs).await.len(), 2, "one for the record");

    let before = work_at_rest(&app).await;
    assert_eq!(call(&app, &delivery.callout).await, 204, "taken before");
    assert_eq!(work_at_rest(&app).await, before);
    app.kill();
    app.serve().await;
    let before = work_at_rest(&app).await;
    psa.desk().log.clear();
    assert_eq!(call(&app, &delivery.callout).await, 204, "taken before");
    assert_eq!(work_at_rest(&app).await, before);
    let name = path_and_record(record);
    assert!(
        !psa.requests().iter().any(|one| name(&one.decoded)),
        "{:#?}",
        psa.requests()
    );

    assert_eq!(
        app.owner.list(&runs).await.len(),
        2,
        "none for what was taken before"
    );
    psa.rename(record, "Renamed again");
    wait_for_name(&app, &psa, record, "Renamed again").await;
    assert!(psa.violations().is_empty(), "{:?}", psa.violations());
}

/// Whether a request asks for this record.
fn path_and_record(record: i64) -> impl Fn(&str) -> bool {
    let ending = format!("/{record}");
    move |path| {
        path.split('?')
            .next()
            .is_some_and(|path| path.ends_with(&ending))
    }
}

/// The same bytes with one bit of this one flipped.
fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

/// A webhook by somebody else, each in another way, with the status that it deserves.
fn forgeries<P: Psa>(real: &Callout) -> Vec<(String, Callout, u16)> {
    let mut forged = Vec::new();
    let (content, proof) = (&real.headers[0], &real.headers[1]);
    let mut add = |what: String, headers: Vec<(&'static str, String)>, status: u16| {
        let callout = Callout {
            headers,
            ..real.clone()
        };
        forged.push((what, callout, status));
    };
    add("no proof".to_owned(), vec![content.clone()], 401);
    let twice = vec![content.clone(), proof.clone(), proof.clone()];
    add("two proofs".to_owned(), twice, 401);
    for at in (0..proof.1.len()).filter(|at| !is_scheme(&proof.1, *at)) {
        let value = String::from_utf8(flipped(proof.1.as_bytes(), at)).expect("ASCII");
        add(
            format!("proof, byte {at}"),
            vec![content.clone(), (proof.0, value)],
            401,
        );
    }
    // HaloPSA signs nothing: who has the password is believed.
    let is_signed = P::KIND != "halopsa";
    for at in (0..real.body.len()).step_by(11).filter(|_| is_signed) {
        let callout = Callout {
            body: flipped(&real.body, at).into(),
            ..real.clone()
        };
        forged.push((format!("body, byte {at}"), callout, 401));
    }
    let secret = path_secret(real);
    let last = secret.len() - 1;
    for at in [0, secret.len() / 2, last] {
        let other = String::from_utf8(flipped(secret.as_bytes(), at)).expect("ASCII");
        let callout = Callout {
            url: real.url.replace(&secret, &other),
            ..real.clone()
        };
        forged.push((format!("path, byte {at}"), callout, 404));
    }
    forged
}

/// The name of the scheme may be written in any case.
fn is_scheme(proof: &str, at: usize) -> bool {
    proof.starts_with("Basic ") && at < "Basic".len()
}

pub async fn forged_ones_change_nothing<P: Psa>(backend: Backend, psa: Fake<P>) {
    psa.limit(None);
    let (app, _) = listening(backend, &psa).await;
    let record = psa.active_ids()[0];
    psa.rename(record, "Renamed");
    wait_for_name(&app, &psa, record, "Renamed").await;
    let real = last_delivery(&psa, 1).await.callout;
    let before = work_at_rest(&app).await;
    let taken = app.database.raw().count("psa_events_seen");
    for (what, forged, status) in forgeries::<P>(&real) {
        let answer = call(&app, &forged).await;
        // A body may name an address of ConnectWise's key that is not there; that may pass.
        let is_unsure = P::KIND == "connectwise" && what.starts_with("body") && answer == 503;
        assert!(answer == status || is_unsure, "{what}: {answer}");
    }
    assert_eq!(work_at_rest(&app).await, before);
    assert_eq!(app.database.raw().count("psa_events_seen"), taken);
    let secret = path_secret(&real);
    let log = app.log();
    assert!(
        log.contains("/events/{secret}\" status=404"),
        "requests are logged"
    );
    assert!(!log.contains(&secret[..16]) && !log.contains(&secret[16..]));
}

pub async fn one_that_is_removed_is_gone<P: Psa>(backend: Backend, psa: Fake<P>) {
    let (app, id) = listening(backend, &psa).await;
    let record = psa.active_ids()[0];
    psa.rename(record, "Renamed");
    wait_for_name(&app, &psa, record, "Renamed").await;
    let real = last_delivery(&psa, 1).await.callout;
    let path = format!("/psa-connections/{id}/callback");
    app.owner.delete(&path).await.expect(204);
    let log = &psa.desk().log;
    let removals = || log.count(|one| one.method == "DELETE" && one.status < 300);
    assert_eq!(removals(), 1, "{:#?}", psa.requests());
    assert_eq!(
        app.owner.psa_connection(&id).await["settings"]["callbacks"],
        false
    );
    psa.rename(record, "Renamed in silence");
    assert_eq!(call(&app, &real).await, 404);
    app.owner.delete(&path).await.expect(204);
    assert_eq!(removals(), 1, "it was gone");
    assert_eq!(psa.deliveries().len(), 1, "nobody is called");

    register_callback(&app, &id).await;
    psa.rename(record, "Renamed aloud");
    wait_for_name(&app, &psa, record, "Renamed aloud").await;
    let other = last_delivery(&psa, 2).await.callout;
    assert_ne!(path_secret(&other), path_secret(&real));
    assert!(psa.violations().is_empty(), "{:?}", psa.violations());
}
