//! Microsoft's national clouds: one installation in each, from the first link to the end of a run, and
//! tenants that live in another cloud.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_tests::{
    app::{TestApp, data_set},
    database::Backend,
    fake_microsoft::{
        INITIAL_APP_ROLES,
        faults::{Fault, FaultRule},
        login::{self, Endpoint},
        national::NationalCloud,
    },
    on_both_databases,
};

use crate::flow::{events, relay, seed, start, text, walk};

const CLOUDS: [(&str, NationalCloud); 4] = [
    ("global", NationalCloud::Global),
    ("usgov", NationalCloud::UsGov),
    ("usgovdod", NationalCloud::UsGovDod),
    ("china", NationalCloud::China),
];
const REPORTS: [&str; 2] = ["Reports.Read.All", "ReportSettings.Read.All"];
const SCORES: &str = "SecurityEvents.Read.All";

/// An installation in this cloud, which the stand-in plays.
async fn installation(backend: Backend, name: &str, cloud: NationalCloud) -> TestApp {
    let app = TestApp::start_with(backend, &[("TENANTRY_MICROSOFT_CLOUD", name)]).await;
    app.microsoft.cloud().play(cloud);
    app
}

/// What a cloud offers the permissions for.
fn asked_for(cloud: NationalCloud) -> Vec<&'static str> {
    let lacks_reports = cloud != NationalCloud::Global;
    let lacks_scores = cloud == NationalCloud::China;
    let mut names = INITIAL_APP_ROLES.to_vec();
    names.retain(|name| !(lacks_reports && REPORTS.contains(name)));
    names.retain(|name| !(lacks_scores && *name == SCORES));
    names.sort_unstable();
    names
}

/// Names of the permissions in the answer to a connect.
fn requested(started: &Value) -> Vec<&str> {
    let permissions = started["requestedPermissions"].as_array().unwrap();
    let mut names: Vec<&str> = permissions
        .iter()
        .map(|permission| permission["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// State and warning of every data set of the run.
fn states(status: &Value) -> Value {
    let sets = status["run"]["datasets"].as_array().unwrap();
    let states = sets.iter().map(|set| {
        let name = set["name"].as_str().unwrap().to_owned();
        (name, json!([set["state"], set["warning"]["code"]]))
    });
    Value::Object(states.collect())
}

/// The states that Microsoft's table of what is not available implies.
fn expected_states(cloud: NationalCloud) -> Value {
    let mailboxes = match cloud {
        NationalCloud::Global => Value::Null,
        _ => json!("reportsNotOffered"),
    };
    let scores = match cloud {
        NationalCloud::China => json!(["skipped", "notOfferedByCloud"]),
        _ => json!(["completed", null]),
    };
    json!({
        "organization": ["completed", null],
        "users": ["completed", null],
        "groups": ["completed", null],
        "licenses": ["completed", null],
        "secureScores": scores,
        "devices": ["completed", null],
        "mailboxes": ["completed", mailboxes],
    })
}

/// How often Graph was asked for an address with this part.
fn asked(app: &TestApp, part: &str) -> usize {
    let requests = app.microsoft.cloud().requests();
    let asked = requests
        .iter()
        .filter(|request| request.server == "graph" && request.path_and_query.contains(part));
    asked.count()
}

on_both_databases! {
    async fn g8_a_database_with_connected_tenants_stays_in_its_cloud(backend: Backend) {
        let mut app = installation(backend, "usgov", NationalCloud::UsGov).await;
        app.stop().await;
        // Nobody is connected yet: a wrong choice can be mended.
        app.set("TENANTRY_MICROSOFT_CLOUD", "global");
        app.serve().await;
        app.microsoft.cloud().play(NationalCloud::Global);
        let tenant = app.microsoft.add_tenant(seed("Settled"));
        app.onboard_and_sync(&tenant).await;
        app.stop().await;
        app.set("TENANTRY_MICROSOFT_CLOUD", "china");
        let refused = app.run(&["serve"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("live in Microsoft's cloud global, not in china"), "{said}");
        app.set("TENANTRY_MICROSOFT_CLOUD", "global");
        app.serve().await;
        assert_eq!(app.owner.sync(tenant.id, "delta").await["status"], "connected");
    }

    async fn g8_each_cloud_connects_by_its_own_audience_and_ends_as_its_services_allow(backend: Backend) {
        for (name, cloud) in CLOUDS {
            let app = installation(backend, name, cloud).await;
            // A registration of that cloud: what the cloud lacks is not in it.
            let roles = asked_for(cloud);
            for registered in app.microsoft.cloud().apps.write().unwrap().values_mut() {
                registered.app_roles.retain(|role| roles.contains(&role.as_str()));
            }
            let tenant = app.microsoft.add_tenant(seed("Agency").users(40));
            let started = start(&app.owner, &tenant).await;
            assert_eq!(requested(&started), roles, "{name}");
            let page = walk(text(&started, "authorizationUrl")).await;
            assert_eq!(page.status, 200, "{name}: {page}");
            let status = app.owner.wait_for_run(tenant.id).await;
            assert_eq!(status["status"], "connected", "{name}: {status:#}");
            assert_eq!(status["missingPermissions"], json!([]), "{name}");
            assert_eq!(status["run"]["state"], "completed", "{name}: {status:#}");
            assert_eq!(states(&status), expected_states(cloud), "{name}");

            // Tokens were asked for by the cloud's own name, although the hosts are overridden.
            let scope = format!("{}/.default", cloud.graph_resource());
            let requests = app.microsoft.cloud().requests();
            let scopes: Vec<String> = requests
                .iter()
                .filter_map(|request| request.form.as_deref())
                .filter(|form| form.contains("grant_type=client_credentials"))
                .map(|form| {
                    let fields = url::form_urlencoded::parse(form.as_bytes());
                    let scope = fields.into_owned().find(|(name, _)| name == "scope");
                    scope.expect("a scope").1
                })
                .collect();
            assert!(!scopes.is_empty() && scopes.iter().all(|asked| *asked == scope), "{name}: {scopes:?}");

            // What the cloud lacks is not even asked for.
            if cloud != NationalCloud::Global {
                assert_eq!(asked(&app, "getMailboxUsageDetail") + asked(&app, "reportSettings"), 0, "{name}");
                let listed = app.owner.list(&format!("/tenants/{}/mailboxes", tenant.id)).await;
                assert!(!listed.is_empty(), "{name}");
                assert!(listed.iter().all(|mailbox| mailbox["userPurpose"].is_string()), "{name}: {listed:#?}");
            }
            assert_eq!(asked(&app, "secureScores") == 0, cloud == NationalCloud::China, "{name}");
            assert_eq!(app.microsoft.cloud().violations(), Vec::<String>::new());
        }
    }

    async fn g8_an_administrator_consents_to_scopes_by_the_clouds_own_name(backend: Backend) {
        for (name, cloud) in CLOUDS {
            let app = installation(backend, name, cloud).await;
            let tenant = app.microsoft.add_tenant(seed("Delegating").users(40));
            let customer = app.owner.create_customer("Delegating").await;
            let body = json!({"customerId": customer, "tenant": tenant.domains[0], "connectionType": "delegated"});
            let started = app.owner.post("/tenants/connect", &body).await.expect(201).json();
            let url = url::Url::parse(text(&started, "microsoftUrl")).unwrap();
            let (_, scope) = url.query_pairs().into_owned().find(|(name, _)| name == "scope").unwrap();
            // Only in the global cloud does a name without a resource mean Graph.
            let prefix = match cloud {
                NationalCloud::Global => String::new(),
                _ => format!("{}/", cloud.graph_resource()),
            };
            let permissions = asked_for(cloud).into_iter().map(|name| format!("{prefix}{name}"));
            let of_openid = ["openid", "profile", "offline_access"].map(str::to_owned);
            let expected: BTreeSet<String> = permissions.chain(of_openid).collect();
            let asked: BTreeSet<String> = scope.split(' ').map(str::to_owned).collect();
            assert_eq!(asked, expected, "{name}");

            let page = walk(text(&started, "authorizationUrl")).await;
            assert_eq!(page.status, 200, "{name}: {page}");
            let status = app.owner.wait_for_run(tenant.id).await;
            assert_eq!(status["status"], "connected", "{name}: {status:#}");
            let mut expected = expected_states(cloud);
            if cloud != NationalCloud::Global {
                // The second source of mailboxes is closed to an administrator's own sign-in.
                expected["mailboxes"] = json!(["skipped", "mailboxesNotReached"]);
                let action = data_set(&status, "mailboxes")["warning"]["action"].as_str().unwrap();
                assert!(!action.contains("usage report"), "{name}: {action}");
            }
            assert_eq!(states(&status), expected, "{name}");
            assert_eq!(status["run"]["state"], "completed", "{name}: {status:#}");
        }
    }

    async fn g8_a_tenant_of_another_cloud_is_refused_and_nothing_is_stored(backend: Backend) {
        for (name, cloud) in CLOUDS {
            let app = installation(backend, name, cloud).await;
            let customer = app.owner.create_customer("Somebody").await;
            for (number, (_, home)) in CLOUDS.into_iter().enumerate() {
                if home == cloud {
                    continue;
                }
                let tenant = app.microsoft.add_tenant(seed(&format!("Foreign{number}")));
                app.microsoft.cloud().move_tenant(tenant.id, home);
                for named in [tenant.domains[0].clone(), tenant.id.to_string()] {
                    let body = json!({"customerId": customer, "tenant": named});
                    let problem = app.owner.post("/tenants/connect", &body).await;
                    problem.expect_problem(422, "wrongCloud");
                }
            }
            // Microsoft may also say it outright.
            app.microsoft.add_tenant(seed("Faraway"));
            login::script_error(&app.microsoft.cloud(), Endpoint::Discovery, Some("faraway.example"), 90_038, 1);
            let body = json!({"customerId": customer, "tenant": "faraway.example"});
            let problem = app.owner.post("/tenants/connect", &body).await.expect_problem(422, "wrongCloud");
            assert!(problem["action"].is_string(), "{problem}");
            for table in ["tenants", "flow_index", "tenant_claims"] {
                assert_eq!(app.database.raw().count(table), 0, "{name}: {table}");
            }
            assert_eq!(events(&app.owner, "tenant.connectStarted").await, Vec::<Value>::new());
        }
    }

    async fn g8_a_tenant_that_moved_after_its_link_was_made_is_not_connected(backend: Backend) {
        let app = TestApp::start(backend).await;
        for (number, aadsts) in [90_038, 900_382, 900_432, 1_000_104].into_iter().enumerate() {
            let tenant = app.microsoft.add_tenant(seed(&format!("Moved{number}")));
            let started = start(&app.owner, &tenant).await;
            let id = tenant.id.to_string();
            login::script_error(&app.microsoft.cloud(), Endpoint::Authorize, Some(&id), aadsts, 1);
            let answer = relay(&app.owner, text(&started, "microsoftUrl")).await;
            let problem = answer.expect_problem(422, "wrongCloud");
            assert_eq!(problem["microsoft"]["aadsts"], aadsts, "{problem}");
            let status = app.owner.status(tenant.id).await;
            assert_eq!(status["status"], "pendingConsent", "{status:#}");
            assert_eq!(status["run"], Value::Null, "{status:#}");
        }
        assert_eq!(app.database.raw().count("tenant_claims"), 0);
    }

    async fn g8_in_the_wrong_cloud_no_token_is_had_and_graph_hears_nothing(backend: Backend) {
        for (name, cloud) in CLOUDS {
            let app = installation(backend, name, cloud).await;
            let microsoft = app.microsoft.cloud();
            for (number, (other, played)) in CLOUDS.into_iter().enumerate() {
                if played == cloud {
                    continue;
                }
                // The hosts are overridden, so nothing but names can tell that this is another cloud.
                microsoft.play(played);
                let tenant = app.microsoft.add_tenant(seed(&format!("Mixed{number}")));
                let customer = app.owner.create_customer(&tenant.display_name).await;
                let body = json!({"customerId": customer, "tenant": tenant.domains[0]});
                let answer = app.owner.post("/tenants/connect", &body).await;
                if answer.status == 201 {
                    walk(text(&answer.json(), "authorizationUrl")).await;
                    let status = app.owner.status(tenant.id).await;
                    assert_eq!(status["status"], "pendingConsent", "{name} in {other}: {status:#}");
                } else {
                    answer.expect_problem(422, "wrongCloud");
                }
                assert!(microsoft.requests().iter().all(|request| request.server == "login"), "{name} in {other}");
                let app_only = |form: &str| form.contains("grant_type=client_credentials");
                let had = microsoft.requests().into_iter().any(|request| {
                    request.status == 200 && request.form.as_deref().is_some_and(app_only)
                });
                assert!(!had, "{name} in {other}");
            }
            assert_eq!(app.database.raw().count("tenant_claims"), 0, "{name}");
        }
    }

    async fn g8_a_list_that_a_national_cloud_turns_out_to_lack_is_skipped(backend: Backend) {
        for (name, cloud) in [CLOUDS[1], CLOUDS[0]] {
            let app = installation(backend, name, cloud).await;
            for status in [400, 404, 501] {
                let tenant = app.microsoft.add_tenant(seed(&format!("Lacking{status}")).users(20));
                for path in ["security/secureScores", "deviceManagement/managedDevices"] {
                    let body = json!({"error": {"code": "BadRequest", "message": "Resource not found for the segment."}});
                    app.microsoft.cloud().faults.script(FaultRule {
                        tenant: Some(tenant.id),
                        times: u32::MAX,
                        ..FaultRule::once("graph", path, Fault::Status {
                            status,
                            retry_after: None,
                            body: Some(body.to_string()),
                        })
                    });
                }
                let ended = app.onboard_and_sync(&tenant).await;
                // In the cloud that has everything it is a failure.
                let (run, set, code) = match cloud {
                    NationalCloud::Global => ("completedWithWarnings", "failed", "microsoftRefused"),
                    _ => ("completed", "skipped", "notOfferedByCloud"),
                };
                assert_eq!(ended["run"]["state"], run, "{name} {status}: {ended:#}");
                assert_eq!(ended["status"], "connected", "{name} {status}: {ended:#}");
                for list in ["secureScores", "devices"] {
                    let found = data_set(&ended, list);
                    assert_eq!((&found["state"], &found["warning"]["code"]), (&json!(set), &json!(code)), "{name} {status}: {found}");
                    assert!(found["warning"]["detail"].is_string(), "{found}");
                }
            }
        }
    }
}
