//! Tenants so large that users come in shards and groups with only some of their members: the ways
//! are other ones, the result is the same.

use serde_json::Value;
use tenantry_tests::{
    app::{TestApp, data_set},
    database::Backend,
    fake_microsoft::{
        faults::{Fault, FaultRule},
        seed::TenantSeed,
        state::{Cloud, Decision, LoggedRequest, Tenant},
    },
    on_both_databases, truth,
};

use crate::flow;

/// One more than are read in one chain of pages, and 400 groups: four of them large.
fn seed(name: &str) -> TenantSeed {
    flow::seed(name).users(5_001).groups(400)
}

fn script(cloud: &Cloud, path: &str, times: u32, fault: Fault) {
    cloud.faults.script(FaultRule {
        times,
        ..FaultRule::once("graph", path, fault)
    });
}

fn refusal() -> Fault {
    Fault::Status {
        status: 400,
        retry_after: None,
        body: None,
    }
}

/// Requests whose path and query, percent-decoded, contain all of these.
fn asked(cloud: &Cloud, parts: &[&str]) -> usize {
    let decoded = |text: &str| {
        text.replace("%24", "$")
            .replace("%27", "'")
            .replace("%28", "(")
            .replace("%29", ")")
            .replace("%2C", ",")
            .replace("%3D", "=")
            .replace("%20", " ")
    };
    let requests = cloud.requests();
    let matching = requests.iter().filter(|request| {
        let target = decoded(&request.path_and_query);
        parts.iter().all(|part| target.contains(part))
    });
    matching.count()
}

fn processed(status: &Value, name: &str) -> i64 {
    if status["run"].is_null() {
        return 0;
    }
    data_set(status, name)["processed"].as_i64().unwrap_or(0)
}

fn users_that_begin_with(tenant: &Tenant, letter: char) -> usize {
    let begins = |user: &Value| {
        let name = user["userPrincipalName"].as_str().unwrap_or_default();
        name.to_lowercase().starts_with(letter)
    };
    let directory = tenant.directory.lock().unwrap();
    directory.users().iter().filter(|user| begins(user)).count()
}

on_both_databases! {
    async fn i2_shards_and_large_groups_end_with_the_truth_in_few_requests(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Broad"));
        {
            // More members than two pages hold, and of two kinds.
            let mut directory = tenant.directory.lock().unwrap();
            let id = |value: &Value| value["id"].as_str().unwrap().parse().unwrap();
            let users: Vec<_> = directory.users().iter().take(2_100).map(id).collect();
            let groups: Vec<_> = directory.groups().iter().map(id).collect();
            for user in users {
                directory.add_member(groups[7], user);
            }
            directory.add_member(groups[7], groups[8]);
        }
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        let cloud = app.microsoft.cloud();
        assert_eq!(asked(&cloud, &["/users?", "startsWith(userPrincipalName,'a')", "not "]), 1, "the rest is one shard");
        assert_eq!(asked(&cloud, &["/groups/delta"]), 1, "only the link for later changes");
        assert_eq!(asked(&cloud, &["/groups?"]), 1, "400 groups are one page");
        // Five large groups and those with twenty members are one batch; one of them has two more pages.
        assert!(asked(&cloud, &["$batch"]) >= 1);
        assert_eq!(asked(&cloud, &["/members?", "skiptoken"]), 2);

        tenant.directory.lock().unwrap().churn(200);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        app.owner.sync(tenant.id, "full").await;
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn i2_a_user_who_was_deleted_before_the_first_read_comes_back_with_its_groups(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Restored"));
        let (deleted, kept) = {
            let directory = tenant.directory.lock().unwrap();
            let groups = directory.groups();
            let id = |value: &Value| value["id"].as_str().unwrap().parse().unwrap();
            let members = directory.members(id(&groups[2]));
            (id(&members[0]), id(&members[1]))
        };
        tenant.directory.lock().unwrap().delete_user(deleted);
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        // Deleted only now: a full read forgets its memberships, too.
        tenant.directory.lock().unwrap().delete_user(kept);
        app.owner.sync(tenant.id, "full").await;
        {
            let mut directory = tenant.directory.lock().unwrap();
            directory.restore_user(deleted);
            directory.restore_user(kept);
        }
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r1_a_kill_among_the_shards_goes_on_with_the_open_ones(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Sharded"));
        let cloud = app.microsoft.cloud();
        // Holds the shard of `t`, and the rest, whose filter names `t` too.
        cloud.hold("%27t%27");
        app.onboard(&tenant).await;
        let all = tenant.directory.lock().unwrap().users().len();
        let lettered: usize = ('a'..='z').map(|letter| users_that_begin_with(&tenant, letter)).sum();
        let open = users_that_begin_with(&tenant, 't') + all - lettered;
        assert!(open > 0 && open < all);
        let rest = i64::try_from(all - open).unwrap();
        app.owner.wait_for_status(tenant.id, "all other shards", |status| processed(status, "users") == rest).await;
        app.kill();
        cloud.release();
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        let first = |letter: &str| {
            let named = format!("startsWith(userPrincipalName,'{letter}')");
            let of_it = asked(&cloud, &["/users?", &named]) - asked(&cloud, &["/users?", &named, "skiptoken"]);
            of_it - asked(&cloud, &["/users?", "not "])
        };
        assert_eq!(first("a"), 1, "what was in is not asked for again");
        assert_eq!(first("t"), 2);
    }

    async fn r1_a_kill_among_the_large_groups_goes_on_there(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Grouped"));
        let cloud = app.microsoft.cloud();
        cloud.hold("/members?");
        app.onboard(&tenant).await;
        let all = i64::try_from(tenant.directory.lock().unwrap().groups().len()).unwrap();
        app.owner.wait_for_status(tenant.id, "all groups", |status| processed(status, "groups") == all).await;
        app.kill();
        cloud.release();
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        assert_eq!(asked(&cloud, &["/groups?"]), 1, "the list is not asked for again");
    }

    async fn r1_a_kill_between_parts_of_the_large_groups_goes_on_with_the_next(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Parted"));
        let mut large: Vec<uuid::Uuid> = {
            let mut directory = tenant.directory.lock().unwrap();
            let id = |value: &Value| value["id"].as_str().unwrap().parse().unwrap();
            let users: Vec<_> = directory.users().iter().take(30).map(id).collect();
            let groups: Vec<_> = directory.groups().iter().take(100).map(id).collect();
            for group in &groups {
                for user in &users {
                    directory.add_member(*group, *user);
                }
            }
            groups
        };
        large.sort_unstable();
        let (first, last) = (large[0].to_string(), large[99].to_string());
        let cloud = app.microsoft.cloud();
        cloud.hold(&last);
        app.onboard(&tenant).await;
        let asks = |group: &str| {
            let item = format!("/groups/{group}/members");
            move |request: &LoggedRequest| request.batch.iter().any(|asked| asked.contains(&item))
        };
        cloud.wait_for_request(asks(&last)).await;
        app.kill();
        cloud.release();
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        let times = |group: &str| cloud.requests().iter().filter(|&request| asks(group)(request)).count();
        assert_eq!((times(&first), times(&last)), (1, 2));
    }

    async fn r1_a_kill_among_the_mailbox_settings_goes_on_with_the_next_users(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        let small = TenantSeed::new("Settings", "settings.example").users(700).decision(Decision::Accept);
        let tenant = app.microsoft.add_tenant(small.concealed_names(true));
        let mut users: Vec<String> = {
            let directory = tenant.directory.lock().unwrap();
            directory.users().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
        };
        users.sort_unstable();
        let cloud = app.microsoft.cloud();
        for user in users.iter().rev().take(50) {
            cloud.hold(&format!("{user}/mailboxSettings"));
        }
        app.onboard(&tenant).await;
        let settings_of = |user: &String| format!("{user}/mailboxSettings");
        let asked_for = |request: &LoggedRequest, users: &[String]| {
            let mut items = request.batch.iter();
            items.any(|item| users.iter().any(|user| item.contains(&settings_of(user))))
        };
        let late = users[650..].to_vec();
        cloud.wait_for_request(|request| asked_for(request, &late)).await;
        app.kill();
        cloud.release();
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["state"], "completedWithWarnings", "{status:#}");
        let mailboxes = app.owner.list(&format!("/tenants/{}/mailboxes", tenant.id)).await;
        let known = tenant.directory.lock().unwrap().mailboxes();
        let live = known.iter().filter(|mailbox| mailbox["isDeleted"] == false).count();
        assert_eq!(mailboxes.len(), live);
        assert_eq!(processed(&status, "mailboxes"), i64::try_from(live).unwrap());
        let early = cloud.requests().iter().filter(|request| asked_for(request, &users[..20])).count();
        assert_eq!(early, 1, "what was in is not asked for again");
    }

    async fn r11_a_shard_that_fails_fails_its_data_set_and_nothing_else(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Broken"));
        let cloud = app.microsoft.cloud();
        script(&cloud, "startsWith(userPrincipalName,'m')", u32::MAX, Fault::Garbage("<html>".to_owned()));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completedWithWarnings", "{status:#}");
        let sets = status["run"]["datasets"].as_array().unwrap();
        for set in sets {
            let wanted = if set["name"] == "users" { "failed" } else { "completed" };
            assert_eq!(set["state"], wanted, "{set}");
            assert_eq!(set["processed"], set["expected"], "{set}");
        }
        cloud.faults.clear();
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn i2_a_shard_that_is_refused_when_others_are_in_costs_nothing(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Refused"));
        let cloud = app.microsoft.cloud();
        script(&cloud, "$filter=startsWith(userPrincipalName,'m')", u32::MAX, refusal());
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        assert_eq!(processed(&status, "users"), 5_001);
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn a_microsoft_without_these_ways_is_read_by_the_others(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Plain"));
        let cloud = app.microsoft.cloud();
        script(&cloud, "$filter=", u32::MAX, refusal());
        script(&cloud, "$expand=", u32::MAX, refusal());
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        assert!(asked(&cloud, &["/groups/delta", "skiptoken"]) > 0, "groups were enumerated");
    }

    async fn i3_shards_that_do_not_make_up_the_whole_are_not_believed(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Short"));
        let cloud = app.microsoft.cloud();
        script(&cloud, "startsWith(userPrincipalName,'a')", 1, Fault::ShortList(1));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }
}
