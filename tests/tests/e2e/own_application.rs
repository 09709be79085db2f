//! Tenants that are read with an app registration of the customer's own.

use serde_json::{Value, json};
use tenantry_tests::{
    app::{Answer, CLIENT_ID, CLIENT_SECRET, Caller, TestApp},
    database::Backend,
    fake_microsoft::{INITIAL_APP_ROLES, login, state::Tenant},
    on_both_databases, truth,
};

use crate::flow::{events, seed};

const APP: &str = "5c1d3a52-6a0e-4a53-9b21-0f8f9a7c1d10";
const OTHER_APP: &str = "6d2e4b63-7b1f-4b64-8c32-1f9f0b8d2e21";
const SECRET: &str = "v8Q~customers-own-secret-value-0123456789";
const CERTIFICATE: &str = include_str!("../../src/fake_microsoft/login/test_keys/current.crt.pem");
const KEY: &str = include_str!("../../src/fake_microsoft/login/test_keys/current.key.pem");
const EXPIRED: &str = include_str!("../../src/certificates/expired.crt.pem");
const EXPIRED_KEY: &str = include_str!("../../src/certificates/expired.key.pem");
/// Past the life of every access token.
const TOKENS_END: i64 = 2 * 3_600;

async fn connect(caller: &Caller, tenant: &Tenant, credentials: Value) -> Answer {
    let customer = caller.create_customer(&tenant.display_name).await;
    connect_for(caller, &customer, tenant, credentials).await
}

async fn connect_for(
    caller: &Caller,
    customer: &str,
    tenant: &Tenant,
    credentials: Value,
) -> Answer {
    let body = json!({
        "customerId": customer, "tenant": tenant.domains[0],
        "connectionType": "applicationCredentials", "credentials": credentials,
    });
    caller.post("/tenants/connect", &body).await
}

fn by_secret(secret: &str) -> Value {
    json!({"clientId": APP, "clientSecret": secret})
}

async fn show(app: &TestApp, tenant: &Tenant) -> Value {
    app.owner
        .get(&format!("/tenants/{}", tenant.id))
        .await
        .expect(200)
        .json()
}

fn has(bytes: &[u8], needle: &str) -> bool {
    bytes
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

fn assert_nothing_is_stored(app: &TestApp) {
    for table in [
        "tenants",
        "connections",
        "connection_credentials",
        "tenant_claims",
        "work_items",
    ] {
        assert_eq!(app.database.raw().count(table), 0, "{table}");
    }
}

on_both_databases! {
    async fn c20_a_secret_that_only_reads_connects_the_tenant_at_once(backend: Backend) {
        let app = TestApp::start_with(backend, &[("TENANTRY_LOG", "trace")]).await;
        let tenant = app.microsoft.add_tenant(seed("Owning").users(40));
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &INITIAL_APP_ROLES);
        let answer = connect(&app.owner, &tenant, by_secret(SECRET)).await.expect(201).json();
        assert_eq!(answer["status"], "connected");
        for nothing in ["authorizationUrl", "microsoftUrl", "expiresAt"] {
            assert_eq!(answer.get(nothing), Some(&Value::Null), "{answer}");
        }
        assert_eq!(answer["requestedPermissions"][0]["type"], "application");
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!((&status["status"], &status["run"]["kind"], &status["run"]["state"]), (&json!("connected"), &json!("initial"), &json!("completed")), "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        let shown = show(&app, &tenant).await;
        assert_eq!((&shown["connectionType"], &shown["consentedBy"]), (&json!("applicationCredentials"), &Value::Null));
        assert_eq!(shown["grantedPermissions"].as_array().unwrap().len(), INITIAL_APP_ROLES.len());
        for action in ["tenant.connectStarted", "tenant.connected"] {
            let recorded = events(&app.owner, action).await;
            assert_eq!(recorded.len(), 1, "{action}");
            assert_eq!(recorded[0]["details"]["connectionType"], "applicationCredentials");
        }
        // V9, V13: the secret is nowhere but sealed.
        let dump = app.database.dump();
        assert!(!has(&dump, SECRET) && !has(&dump, &SECRET[5..25]), "in clear");
        assert!(!app.log().contains(&SECRET[5..25]), "in the log");
        assert!(!shown.to_string().contains(SECRET) && !answer.to_string().contains(SECRET));
    }

    async fn c20_a_certificate_connects_the_tenant_too(backend: Backend) {
        let app = TestApp::start_with(backend, &[("TENANTRY_LOG", "trace")]).await;
        let tenant = app.microsoft.add_tenant(seed("Certain"));
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &INITIAL_APP_ROLES);
        login::register_certificate(&app.microsoft.cloud(), APP, CERTIFICATE);
        let credentials = json!({"clientId": APP.to_uppercase(), "certificate": CERTIFICATE, "privateKey": KEY});
        connect(&app.owner, &tenant, credentials).await.expect(201);
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        app.advance_seconds(TOKENS_END);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        let line = KEY.lines().nth(3).unwrap();
        assert!(!has(&app.database.dump(), line) && !app.log().contains(line), "the key in clear");
    }

    async fn c20_what_does_not_prove_itself_is_refused_and_nothing_is_stored(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        let tenant = app.microsoft.add_tenant(seed("Guarded"));
        let elsewhere = app.microsoft.add_tenant(seed("Elsewhere"));
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &INITIAL_APP_ROLES);
        app.microsoft.register_tenant_app(&elsewhere, OTHER_APP, SECRET, &INITIAL_APP_ROLES);
        let pair = |certificate: &str, key: &str| json!({"clientId": APP, "certificate": certificate, "privateKey": key});
        let other_key = include_str!("../../src/fake_microsoft/login/test_keys/next.key.pem");
        for (credentials, aadsts) in [
            (by_secret(&login::secret_id(APP).to_string()), Some(7_000_215)),
            (by_secret("v8Q~wrong"), Some(7_000_215)),
            (json!({"clientId": OTHER_APP, "clientSecret": SECRET}), Some(700_016)),
            (json!({"clientId": "00000000-0000-4000-8000-00000000abcd", "clientSecret": SECRET}), Some(700_016)),
            (json!({"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}), None),
            (pair(CERTIFICATE, KEY), Some(700_027)),
            (pair(CERTIFICATE, other_key), None),
            (pair("not a certificate", KEY), None),
            (pair(EXPIRED, EXPIRED_KEY), None),
        ] {
            let answer = connect(&app.owner, &tenant, credentials.clone()).await;
            let problem = answer.expect_problem(422, "credentialsRejected");
            assert_eq!(problem["microsoft"]["aadsts"], json!(aadsts), "{problem}");
            assert!(problem["action"].is_string() && problem["retryable"] == false, "{problem}");
            assert!(!problem.to_string().contains(SECRET), "{problem}");
        }
        login::expire_secret(&cloud, APP);
        let problem = connect(&app.owner, &tenant, by_secret(SECRET)).await.expect_problem(422, "credentialsRejected");
        assert_eq!(problem["microsoft"]["aadsts"], 7_000_222);
        assert!(problem["detail"].as_str().unwrap().contains("expired"), "{problem}");
        assert_nothing_is_stored(&app);
    }

    async fn c20_a_registration_that_can_write_is_refused_with_the_names(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Powerful"));
        let mut roles = INITIAL_APP_ROLES.to_vec();
        roles.extend(["Directory.Read.All", "User.ReadWrite.All", "Mail.Send"]);
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &roles);
        let problem = connect(&app.owner, &tenant, by_secret(SECRET)).await.expect_problem(422, "tooManyPermissions");
        assert_eq!(problem["excessPermissions"], json!(["Mail.Send", "User.ReadWrite.All"]), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("User.ReadWrite.All"), "{problem}");
        assert_nothing_is_stored(&app);

        // Without any permission nothing can be read, and nobody can tell whose it is.
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &[]);
        connect(&app.owner, &tenant, by_secret(SECRET)).await.expect_problem(422, "credentialsRejected");
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &["Reports.Read.All"]);
        connect(&app.owner, &tenant, by_secret(SECRET)).await.expect_problem(422, "credentialsRejected");
        assert_nothing_is_stored(&app);

        // Directory.Read.All stands for three of the manifest; what is missing degrades.
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &["Directory.Read.All"]);
        let answer = connect(&app.owner, &tenant, by_secret(SECRET)).await.expect(201).json();
        assert_eq!(answer["status"], "degraded");
    }

    async fn credentials_are_checked_for_their_form_before_anybody_is_asked(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Formal"));
        let customer = app.owner.create_customer("Formal").await;
        for (credentials, pointer) in [
            (json!(null), "/credentials"),
            (json!({"clientId": "contoso", "clientSecret": SECRET}), "/credentials/clientId"),
            (json!({"clientId": APP}), "/credentials/clientSecret"),
            (json!({"clientId": APP, "clientSecret": ""}), "/credentials/clientSecret"),
            (json!({"clientId": APP, "certificate": CERTIFICATE}), "/credentials/privateKey"),
            (json!({"clientId": APP, "privateKey": KEY}), "/credentials/certificate"),
            (json!({"clientId": APP, "clientSecret": SECRET, "certificate": CERTIFICATE, "privateKey": KEY}), "/credentials"),
            (json!({"clientId": APP, "clientSecret": SECRET, "tenantId": "x"}), "/credentials/tenantId"),
            (json!({"clientId": APP, "clientSecret": "x".repeat(1_001)}), "/credentials/clientSecret"),
        ] {
            let problem = connect_for(&app.owner, &customer, &tenant, credentials.clone()).await.expect_problem(422, "validationFailed");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{credentials} {problem}");
            assert!(!problem.to_string().contains(SECRET), "{problem}");
        }
        for kind in ["adminConsent", "delegated"] {
            let body = json!({"customerId": customer, "tenant": tenant.domains[0], "connectionType": kind, "credentials": by_secret(SECRET)});
            app.owner.post("/tenants/connect", &body).await.expect_problem(422, "validationFailed");
        }
        assert!(app.microsoft.cloud().requests().is_empty());
        assert_nothing_is_stored(&app);
    }

    async fn g5_a_customers_ended_secret_asks_the_customer_and_a_new_one_brings_it_back(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        let tenant = app.microsoft.add_tenant(seed("Renewing"));
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &INITIAL_APP_ROLES);
        let first = connect(&app.owner, &tenant, by_secret(SECRET)).await.expect(201).json();
        app.owner.wait_for_run(tenant.id).await;
        let problem = connect(&app.owner, &tenant, by_secret(SECRET)).await.expect_problem(409, "tenantAlreadyConnected");
        assert!(problem["customerId"].is_string(), "{problem}");

        app.advance_seconds(TOKENS_END);
        login::expire_secret(&cloud, APP);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["status"], "reauthorizationRequired", "{status:#}");
        assert_eq!(status["connectionError"]["code"], "credentialsRejected", "{status:#}");
        assert_eq!(status["connectionError"]["microsoft"]["aadsts"], 7_000_222, "{status:#}");

        connect(&app.owner, &tenant, by_secret(SECRET)).await.expect_problem(422, "credentialsRejected");
        assert_eq!(show(&app, &tenant).await["status"], "reauthorizationRequired");
        app.microsoft.register_tenant_app(&tenant, OTHER_APP, "v8Q~the-next-secret-value", &INITIAL_APP_ROLES);
        let credentials = json!({"clientId": OTHER_APP, "clientSecret": "v8Q~the-next-secret-value"});
        let again = connect(&app.owner, &tenant, credentials).await.expect(201).json();
        assert_eq!(again["tenantId"], first["tenantId"]);
        assert_ne!(again["connectionId"], first["connectionId"]);
        let status = app.owner.wait_for_status(tenant.id, "the run after", |status| status["run"]["state"] == "completed").await;
        assert_eq!(status["status"], "connected", "{status:#}");
        assert_eq!(app.database.raw().count("connection_credentials"), 1);
        assert_eq!(app.owner.list(&format!("/tenants/{}/sync-runs", tenant.id)).await.len(), 3);
    }

    async fn c13_a_tenant_of_another_organization_is_unavailable_once_control_is_proven(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Contended"));
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &INITIAL_APP_ROLES);
        connect(&app.owner, &tenant, by_secret(SECRET)).await.expect(201);
        let other = app.owner_of_new("Southwind MSP");
        // Who cannot prove control learns nothing of it.
        connect(&other, &tenant, by_secret("v8Q~wrong")).await.expect_problem(422, "credentialsRejected");
        let problem = connect(&other, &tenant, by_secret(SECRET)).await.expect_problem(409, "tenantUnavailable");
        assert!(!problem.to_string().to_lowercase().contains("northwind"), "{problem}");
        assert!(other.list("/tenants").await.is_empty());
        assert_eq!(app.database.raw().count("connection_credentials"), 1);
    }

    async fn r29_a_repeated_call_connects_once(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Repeating"));
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &INITIAL_APP_ROLES);
        let customer = app.owner.create_customer("Repeating").await;
        let body = json!({
            "customerId": customer, "tenant": tenant.domains[0],
            "connectionType": "applicationCredentials", "credentials": by_secret(SECRET),
        });
        let send = || {
            let request = app.owner.request("POST", "/tenants/connect").header("idempotency-key", "one-intent");
            app.owner.send(request.json(&body))
        };
        let first = send().await.expect(201);
        let again = send().await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.json(), first.json());
        assert_eq!(events(&app.owner, "tenant.connected").await.len(), 1);
        assert!(!has(&app.database.dump(), SECRET));
    }

    async fn c2_a_tenant_read_by_its_own_registration_is_never_asked_for_with_ours(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Separate"));
        app.microsoft.register_tenant_app(&tenant, APP, SECRET, &INITIAL_APP_ROLES);
        connect(&app.owner, &tenant, by_secret(SECRET)).await.expect(201);
        app.owner.wait_for_run(tenant.id).await;
        app.advance_seconds(TOKENS_END);
        app.owner.sync(tenant.id, "full").await;
        let requests = app.microsoft.cloud().requests();
        let asked: Vec<_> = requests.iter().filter(|request| request.path_and_query.contains("/oauth2/v2.0/token")).collect();
        assert!(asked.len() >= 2, "{}", asked.len());
        assert!(asked.iter().all(|request| request.form.as_deref().is_some_and(|form| form.contains(APP) && !form.contains(CLIENT_ID))), "our registration was used");
    }
}
