//! NUL in whatever is read as a text: SQLite would store it and PostgreSQL refuse it, so the border does.

use reqwest::header::COOKIE;
use serde_json::{Value, json};
use tenantry_tests::{
    app::{Answer, TestApp},
    database::Backend,
    on_both_databases,
    openapi::{Call, calls},
};
use url::Url;

use crate::flow::{fields_of, open_one_hop, relay, seed, start, text};

/// The names of its parameters in this place.
fn names(call: &Call, place: &str) -> Vec<String> {
    let in_place = call.parameters.iter().filter(|one| one["in"] == place);
    in_place.map(|one| text(one, "name").to_owned()).collect()
}

/// The path with an id in every place for one, but NUL where the parameter is `spoiled`.
fn filled(call: &Call, ids: &Value, spoiled: &str) -> String {
    let parts = call.path.split('/').map(|part| {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        match name {
            None => part.to_owned(),
            Some(name) if name == spoiled => "a%00b".to_owned(),
            Some(name) => ids[name].as_str().unwrap_or("nobody").to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A body in which everything is right, for a schema of the document.
fn example(schema: &Value, document: &Value) -> Value {
    if let Some(place) = schema["$ref"].as_str() {
        let schema = document
            .pointer(place.trim_start_matches('#'))
            .expect("a schema");
        return example(schema, document);
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    // Something or null.
    if let Some(ways) = schema["oneOf"].as_array() {
        return example(&ways[0], document);
    }
    if let Some(given) = schema.get("example") {
        return given.clone();
    }
    let kind = schema["type"]
        .as_str()
        .or_else(|| schema["type"][0].as_str());
    match kind {
        // One whose members are whatever a PSA has.
        Some("object") if schema.get("properties").is_none() => json!({"any": "text"}),
        Some("object") => {
            let members = schema["properties"].as_object().expect("properties");
            members
                .iter()
                .map(|(name, schema)| (name.clone(), example(schema, document)))
                .collect()
        }
        Some("array") => json!([example(&schema["items"], document)]),
        Some("boolean") => json!(true),
        Some("integer") => json!(1),
        Some("string") if schema["format"] == "uuid" => {
            json!("01990000-0000-7000-8000-000000000000")
        }
        Some("string") => json!("text"),
        other => panic!("a body with {other:?}: {schema}"),
    }
}

/// All bodies that come of one by putting NUL into one of its texts or names.
fn spoiled(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => vec![json!(format!("{text}\u{0}")), json!("\u{0}")],
        Value::Array(list) => {
            let at = |index: usize| {
                spoiled(&list[index]).into_iter().map(move |bad| {
                    let mut list = list.clone();
                    list[index] = bad;
                    Value::Array(list)
                })
            };
            (0..list.len()).flat_map(at).collect()
        }
        Value::Object(object) => {
            let in_members = object.iter().flat_map(|(name, member)| {
                spoiled(member).into_iter().map(move |bad| {
                    let mut object = object.clone();
                    object.insert(name.clone(), bad);
                    Value::Object(object)
                })
            });
            let mut with_name = object.clone();
            with_name.insert("a\u{0}".to_owned(), json!("b"));
            in_members.chain([Value::Object(with_name)]).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The state in an address of Microsoft's.
fn state_of(microsoft: &str) -> String {
    let url = Url::parse(microsoft).expect("a URL");
    let mut pairs = url.query_pairs();
    let (_, state) = pairs.find(|(name, _)| name == "state").expect("a state");
    state.into_owned()
}

/// The callback with these fields, NUL and all, from the browser that holds the cookie.
async fn bring(app: &TestApp, cookie: &str, state: &str, query: &str) -> Answer {
    let path = format!("/tenants/callback?state={state}&{query}");
    let nobody = app.owner.with_key(None);
    nobody
        .send(nobody.request("GET", &path).header(COOKIE, cookie))
        .await
}

on_both_databases! {
    async fn j3_nul_in_any_query_parameter_is_refused(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Queried"));
        app.onboard_and_sync(&tenant).await;
        let path = format!("/tenants/{}", tenant.id);
        let first = async |list: &str, id: &str| app.owner.list(list).await[0][id].clone();
        let ids = json!({
            "tenantId": tenant.id,
            "psaConnectionId": "01990000-0000-7000-8000-000000000000",
            "customerId": first("/customers", "id").await,
            "groupId": first(&format!("{path}/groups"), "id").await,
            "syncRunId": first(&format!("{path}/sync-runs"), "id").await,
        });
        let mut asked = 0;
        for call in calls(&app.owner).await.0 {
            // These two are pages for browsers, see below and `addresses_that_lead_nowhere_are_problems`.
            if call.path == "/tenants/callback" || call.path == "//connect/{token}" {
                continue;
            }
            let path = filled(&call, &ids, "");
            for name in names(&call, "query") {
                for value in ["%00", "a%00b", "%00%00a"] {
                    let answer = app.owner.send(app.owner.request(&call.method, &format!("{path}?{name}={value}"))).await;
                    let problem = answer.expect_problem(400, "invalidParameter");
                    assert_eq!(problem["errors"][0]["parameter"], name, "{path}: {problem}");
                    asked += 1;
                }
            }
            if call.method == "GET" && !call.path.starts_with("//") && !call.path.ends_with("/events") {
                app.owner.get(&format!("{path}?a%00b=c")).await.expect_problem(400, "unknownParameter");
            }
        }
        assert!(asked > 60, "{asked}");
    }

    async fn j3_nul_in_any_part_of_a_path_leads_nowhere(backend: Backend) {
        let app = TestApp::start(backend).await;
        let ids = json!({"tenantId": "01990000-0000-7000-8000-000000000000", "syncRunId": "01990000-0000-7000-8000-000000000000"});
        let mut asked = 0;
        for call in calls(&app.owner).await.0 {
            for name in names(&call, "path") {
                let path = filled(&call, &ids, &name);
                let mut request = app.owner.request(&call.method, &path);
                if call.body.is_some() {
                    request = request.json(&json!({}));
                }
                let answer = app.owner.send(request).await;
                assert_eq!(answer.status, 404, "{} {path}: {}", call.method, answer.text);
                asked += 1;
            }
        }
        assert!(asked > 20, "{asked}");
    }

    async fn j3_nul_in_any_text_of_a_body_is_refused(backend: Backend) {
        let app = TestApp::start(backend).await;
        let ids = json!({"tenantId": "01990000-0000-7000-8000-000000000000", "customerId": "01990000-0000-7000-8000-000000000000", "psaConnectionId": "01990000-0000-7000-8000-000000000000"});
        let (calls, document) = calls(&app.owner).await;
        let mut asked = 0;
        for call in calls {
            let Some(schema) = &call.body else { continue };
            let path = filled(&call, &ids, "");
            for body in spoiled(&example(schema, &document)) {
                let answer = app.owner.send(app.owner.request(&call.method, &path).json(&body)).await;
                assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
                answer.expect_problem(400, "invalidJson");
                asked += 1;
            }
        }
        assert!(asked > 40, "{asked}");
        assert_eq!(app.owner.list("/customers").await, Vec::<Value>::new());
    }

    async fn j3_nul_in_what_microsoft_sends_back_ends_the_flow_as_any_other_failure(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Returned"));
        let started = start(&app.owner, &tenant).await;
        let link = text(&started, "authorizationUrl");
        let result = format!("{}/result", Url::parse(link).unwrap().path());
        for (query, code) in [
            ("error=access_denied&error_description=AADSTS65004%00%00&error_subcode=%00", "consentDeclined"),
            ("error=%00", "microsoftRefused"),
            ("error=a%00b&error_description=Nobody%00knows", "microsoftRefused"),
            ("code=a%00b", "signInExpired"),
            ("code=1.a&tenant=%00", "wrongTenant"),
            ("code=1.a&iss=%00", "unexpectedIssuer"),
            ("admin_consent=%00", "incompleteCallback"),
        ] {
            let (cookie, microsoft) = open_one_hop(link).await;
            let answer = bring(&app, &cookie, &state_of(&microsoft), query).await;
            assert_eq!(answer.status, 303, "{query}: {}", answer.text);
            let status = app.owner.status(tenant.id).await;
            assert_eq!(status["connectionError"]["code"], code, "{query}: {status:#}");
            assert!(!status.to_string().contains("\\u0000"), "{query}: {status:#}");
            let page = app.owner.with_key(None).get(&format!("/{result}")).await.expect(200);
            assert!(!page.text.contains('\0'), "{query}: {}", page.text);
            let rejected = app.owner.get("/audit-events?action=consent.rejected").await.expect(200);
            assert!(!rejected.text.contains("\\u0000"), "{query}: {}", rejected.text);
        }
        let (cookie, microsoft) = open_one_hop(link).await;
        let spoiled = format!("{}%00", state_of(&microsoft));
        let page = bring(&app, &cookie, &spoiled, "code=1.a").await;
        assert_eq!(page.status, 400, "{}", page.text);

        let mut fields = fields_of(text(&started, "microsoftUrl")).await;
        fields["code"] = json!("a\u{0}b");
        app.owner.post("/tenants/callback", &fields).await.expect_problem(400, "invalidJson");
        // Nothing of that used the state up.
        relay(&app.owner, text(&started, "microsoftUrl")).await.expect(200);
    }

    async fn j7_nul_in_the_names_of_a_directory_costs_no_data(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Named"));
        let (user, group) = {
            let mut directory = tenant.directory.lock().unwrap();
            directory.update_organization(json!({"displayName": "Na\u{0}med"}));
            let user = directory.add_user(json!({"displayName": "Ada\u{0} Lovelace"}));
            let group = directory.add_group(json!({"displayName": "\u{0}Engineers\u{0}"}));
            directory.add_device(json!({"deviceName": "Engine\u{0}"}));
            (user, group)
        };
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!((&status["status"], &status["run"]["state"]), (&json!("connected"), &json!("completed")), "{status:#}");
        let path = format!("/tenants/{}", tenant.id);
        let shown = app.owner.get(&path).await.expect(200).json();
        assert_eq!(shown["displayName"], "Named");
        for (list, search, id) in [("users", "lovelace", user), ("groups", "engineers", group)] {
            let found = app.owner.list(&format!("{path}/{list}?search={search}")).await;
            assert_eq!(found.len(), 1, "{list}: {found:?}");
            assert_eq!(found[0]["id"], json!(id));
        }
        assert_eq!(app.owner.list("/tenants?search=named").await.len(), 1);
    }
}
