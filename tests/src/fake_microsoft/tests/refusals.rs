use super::*;
use crate::fake_microsoft::national::NationalCloud;

#[tokio::test]
async fn tokens_are_checked_for_being_there_known_in_time_and_meant_for_graph() {
    let bench = Bench::new(seed(1)).await;
    let url = format!("{}/v1.0/organization", bench.fake.graph_url());
    let none = send(bench.http.get(&url)).await;
    assert_eq!(
        (none.status.as_u16(), none.code().as_str()),
        (401, "InvalidAuthenticationToken")
    );
    assert!(none.header("www-authenticate").starts_with("Bearer"));
    let unknown = send(bench.http.get(&url).bearer_auth("x")).await;
    assert_eq!(unknown.status, 401);
    let cloud = bench.fake.cloud();
    let change = |change: &dyn Fn(&mut AccessToken)| {
        change(
            cloud
                .access_tokens
                .lock()
                .unwrap()
                .get_mut(&bench.token)
                .unwrap(),
        );
    };
    change(&|token| token.audience = "https://graph.microsoft.com/".to_owned());
    assert_eq!(bench.get("/organization").await.status, 401);
    change(&|token| token.audience = login::graph_resource(&cloud).to_owned());
    assert_eq!(bench.get("/organization").await.status, 200);
    cloud.advance_seconds(3601);
    let expired = bench.get("/organization").await;
    assert!(
        expired
            .text
            .contains("Access token has expired or is not yet valid.")
    );
}

#[tokio::test]
async fn each_service_refuses_a_missing_permission_in_its_own_way() {
    let bench = Bench::with_roles(seed(5), &["Mail.Read"]).await;
    for (target, code) in [
        ("/organization", "Authorization_RequestDenied"),
        ("/users", "Authorization_RequestDenied"),
        ("/users/delta", "Authorization_RequestDenied"),
        ("/groups", "Authorization_RequestDenied"),
        ("/subscribedSkus", "Authorization_RequestDenied"),
        ("/directory/subscriptions", "Authorization_RequestDenied"),
        ("/security/secureScores", ""),
        ("/deviceManagement/managedDevices", "UnknownError"),
        (
            "/reports/getMailboxUsageDetail(period='D7')",
            "S2SUnauthorized",
        ),
        ("/admin/reportSettings", "S2SUnauthorized"),
        (
            "/users/admin@contoso.com/mailboxSettings/userPurpose",
            "ErrorAccessDenied",
        ),
    ] {
        let got = bench.get(target).await;
        assert_eq!(
            (got.status.as_u16(), got.code().as_str()),
            (403, code),
            "{target}"
        );
    }
    let device = bench.get("/deviceManagement/managedDevices").await.json();
    let inner: Value = serde_json::from_str(device["error"]["message"].as_str().unwrap()).unwrap();
    assert_eq!(inner["ErrorCode"], "Forbidden");
}

#[tokio::test]
async fn directory_read_all_stands_for_the_three_directory_permissions_only() {
    let bench = Bench::with_roles(seed(5), &["Directory.Read.All"]).await;
    for target in ["/organization", "/users", "/groups", "/subscribedSkus"] {
        assert_eq!(bench.get(target).await.status, 200, "{target}");
    }
    for target in ["/security/secureScores", "/deviceManagement/managedDevices"] {
        assert_eq!(bench.get(target).await.status, 403, "{target}");
    }
}

#[tokio::test]
async fn a_person_needs_a_role_besides_the_scope_and_me_needs_a_person() {
    let bench = Bench::new(seed(5)).await;
    let scopes = [
        "User.Read",
        "SecurityEvents.Read.All",
        "MailboxSettings.Read",
    ];
    let people = bench.tenant.people.read().unwrap().clone();
    assert_eq!(bench.get("/me").await.status, 400);
    for (person, status) in [(&people[0], 200), (&people[1], 403)] {
        let token = bench.issue(&scopes, Some(person.clone()));
        let get = async |path: &str| {
            let url = format!("{}/v1.0{path}", bench.fake.graph_url());
            send(bench.http.get(url).bearer_auth(&token)).await
        };
        assert_eq!(get("/security/secureScores?$top=1").await.status, status);
        assert_eq!(get("/me?$select=id").await.json()["id"], json!(person.oid));
        let roles = get("/me/transitiveMemberOf/microsoft.graph.directoryRole")
            .await
            .json();
        let templates: Vec<String> = roles["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|role| role["roleTemplateId"].as_str().unwrap().to_owned())
            .collect();
        let wids: Vec<String> = person.wids.iter().map(Uuid::to_string).collect();
        assert_eq!(templates, wids);
        assert_eq!(get("/users").await.status, 403);
    }
}

#[tokio::test]
async fn a_missing_licence_shows_as_each_service_shows_it() {
    let tenant = seed(60)
        .intune(false)
        .exchange(false)
        .p1(false)
        .secure_score(false);
    let roles = [&INITIAL_APP_ROLES[..], &["AuditLog.Read.All"]].concat();
    let bench = Bench::with_roles(tenant, &roles).await;
    let intune = bench.get("/deviceManagement/managedDevices").await;
    assert_eq!(
        (intune.status.as_u16(), intune.code().as_str()),
        (400, "BadRequest")
    );
    assert!(
        intune
            .text
            .contains("Request not applicable to target tenant.")
    );
    let purpose = bench
        .get("/users/admin@contoso.com/mailboxSettings/userPurpose")
        .await;
    assert_eq!(
        (purpose.status.as_u16(), purpose.code().as_str()),
        (404, "MailboxNotEnabledForRESTAPI")
    );
    let activity = bench.get("/users?$select=id,signInActivity").await;
    assert_eq!(
        activity.code(),
        "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
    );
    assert_eq!(bench.all("/security/secureScores").await.0.len(), 0);
    let skus = bench.get("/subscribedSkus").await.text;
    assert!(!skus.contains("INTUNE_A") && !skus.contains("EXCHANGE_S_STANDARD"));
    assert!(skus.contains("EXCHANGE_S_FOUNDATION") && !skus.contains("AAD_PREMIUM"));
}

#[tokio::test]
async fn sign_in_activity_needs_its_permission_and_smaller_pages() {
    let bench = Bench::new(seed(60)).await;
    let got = bench.get("/users?$select=id,signInActivity").await;
    assert_eq!(got.code(), "Authentication_MSGraphPermissionMissing");
    let roles = [&INITIAL_APP_ROLES[..], &["AuditLog.Read.All"]].concat();
    let bench = Bench::with_roles(seed(60), &roles).await;
    assert_eq!(
        bench
            .get("/users?$select=id,signInActivity&$top=501")
            .await
            .status,
        400
    );
    let (users, _) = bench.all("/users?$select=id,signInActivity&$top=500").await;
    assert!(
        users
            .iter()
            .any(|user| user.get("signInActivity").is_none())
    );
    assert!(
        users
            .iter()
            .any(|user| user["signInActivity"]["lastSignInDateTime"].is_string())
    );
}

#[tokio::test]
async fn select_knows_exactly_the_properties_of_the_type() {
    let bench = Bench::new(seed(5)).await;
    let status = async |target: &str| bench.get(target).await.status.as_u16();
    assert_eq!(status("/users?$select=id,nickname").await, 400);
    assert_eq!(status("/users?$select=id,displayname").await, 400);
    assert_eq!(status("/users?$select=").await, 400);
    assert_eq!(status("/users?$select=id,mailboxSettings").await, 501);
    assert_eq!(status("/groups?$select=id,members").await, 400);
    assert_eq!(
        status("/deviceManagement/managedDevices?$select=id,accountEnabled").await,
        400
    );
    assert_eq!(status("/users?$select=id,employeeId").await, 200);
    let users = bench.get("/users?$select=employeeId").await.json();
    assert!(users["value"][0].get("id").is_none());
}

#[tokio::test]
async fn page_sizes_and_options_have_limits() {
    let bench = Bench::new(seed(5)).await;
    for target in [
        "/users?$top=1000",
        "/users?$top=0",
        "/users?$skip=5",
        "/users?$top=5&$top=6",
        "/users?$orderby=displayName",
        "/groups?$top=1000",
        "/groups?$expand=owners",
        "/subscribedSkus?$top=5",
        "/deviceManagement/managedDevices?$top=1001",
        "/users?$filter=startsWith(id,%27a%27)",
        "/users?$filter=userType%20ne%20%27Guest%27",
        "/reports/getMailboxUsageDetail(period='D8')",
    ] {
        assert_eq!(bench.get(target).await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn writes_are_refused_and_unknown_paths_are_not_found() {
    let bench = Bench::new(seed(5)).await;
    assert_eq!(
        bench
            .post("/users", &json!({"displayName": "x"}))
            .await
            .status,
        403
    );
    assert_eq!(bench.get("/planets").await.status, 404);
    assert_eq!(bench.get("/$batch").await.status, 405);
    let beta = format!("{}/beta/users", bench.fake.graph_url());
    assert_eq!(bench.get(&beta).await.status, 404);
    let xml = bench.request("/users").header("Accept", "application/xml");
    assert_eq!(send(xml).await.status, 406);
}

#[tokio::test]
async fn ids_are_echoed_and_units_told() {
    let bench = Bench::new(seed(30)).await;
    let cost = async |target: &str| {
        bench
            .get(target)
            .await
            .header("x-ms-resource-unit")
            .to_owned()
    };
    assert_eq!(cost("/users").await, "2");
    assert_eq!(cost("/users?$select=id").await, "1");
    assert_eq!(cost("/subscribedSkus").await, "3");
    assert_eq!(cost("/groups?$expand=members").await, "2");
    assert_eq!(cost("/groups/delta?$select=id").await, "1");
    let got = bench.get("/security/secureScores").await;
    assert!(!got.headers.contains_key("x-ms-resource-unit"));
    let request = bench
        .request("/organization")
        .header("client-request-id", "my-own");
    let got = send(request).await;
    assert_eq!(got.header("client-request-id"), "my-own");
    assert!(got.headers.contains_key("request-id") && got.headers.contains_key("date"));
}

#[tokio::test]
async fn objects_are_got_by_their_ids() {
    let bench = Bench::new(seed(30)).await;
    let (user, group) = {
        let directory = bench.tenant.directory.lock().unwrap();
        (directory.users.rows[0].id, directory.groups.rows[0].id)
    };
    let body = json!({"ids": [user, Uuid::new_v4(), group], "types": ["user", "group"]});
    let got = bench
        .post("/directoryObjects/getByIds?$select=id,displayName", &body)
        .await;
    let objects = got.json()["value"].as_array().unwrap().clone();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["@odata.type"], "#microsoft.graph.user");
    assert_eq!(objects[1]["id"], json!(group));
}

#[tokio::test]
async fn g8_a_cloud_refuses_what_its_graph_lacks_and_tokens_of_another() {
    let bench = Bench::new(seed(5)).await;
    let cloud = bench.fake.cloud();
    let report = "/reports/getMailboxUsageDetail(period='D7')";
    for (played, scores, reports) in [
        (NationalCloud::Global, 200, 302),
        (NationalCloud::UsGov, 200, 404),
        (NationalCloud::UsGovDod, 200, 404),
        (NationalCloud::China, 404, 404),
    ] {
        cloud.play(played);
        let resource = played.graph_resource().to_owned();
        {
            let mut tokens = cloud.access_tokens.lock().unwrap();
            tokens.get_mut(&bench.token).unwrap().audience = resource;
        }
        assert_eq!(bench.get("/security/secureScores").await.status, scores);
        assert_eq!(bench.get(report).await.status, reports);
        assert_eq!(bench.get("/users?$select=id").await.status, 200);
        assert_eq!(
            bench.get("/deviceManagement/managedDevices").await.status,
            200
        );
    }
    cloud.play(NationalCloud::UsGov);
    assert_eq!(bench.get("/users?$select=id").await.status, 401);
}
