//! Answers that bind nothing.

use chrono::TimeDelta;
use serde_json::json;
use tenantry_core::{
    consent::{Bearer, CallbackFields, ConsentError, FlowToken, Purpose},
    secrets::SecretText,
    tenants::{AccountType, TenantStatus},
};
use tenantry_tests::{
    database::Backend,
    fake_microsoft::{
        faults::{Fault, FaultRule},
        login::{
            CONSUMER_TENANT, Endpoint, script_error, set_id_token_forge, set_token_answer_forge,
        },
        state::{Decision, GLOBAL_ADMINISTRATOR, Person},
    },
    on_both_databases,
};
use uuid::Uuid;

use crate::world::{CONTOSO, Tab, World, copy_of, link_of, microsoft_page, rejected, token};

/// What must hold after every refusal: no claim, no app-only token, no run, the status as it was.
async fn nothing_is_bound(world: &World, tenant: tenantry_core::ids::TenantId) {
    assert_eq!(world.raw.count("tenant_claims"), 0);
    assert_eq!(world.raw.count("work_items"), 0);
    assert_eq!(world.token_requests("client_credentials").len(), 0);
    let tenant = world.tenant(&world.a, tenant).await;
    assert_eq!(
        (tenant.status, tenant.connection),
        (TenantStatus::PendingConsent, None)
    );
}

/// Signs in by a link and stands before the consent page.
async fn signed_in(world: &World, started: &tenantry_core::consent::Started) -> (Tab, url::Url) {
    let mut tab = Tab::new();
    let page = tab.open(&world.consent, &token(started)).await.unwrap();
    let step = tab
        .bring(&world.consent, world.at_microsoft(&page).await)
        .await
        .unwrap();
    (tab, microsoft_page(&step))
}

fn person(upn: &str, wids: Vec<Uuid>) -> Person {
    Person {
        oid: Uuid::new_v4(),
        upn: upn.to_owned(),
        name: "Somebody".to_owned(),
        wids,
        guest: false,
        personal: false,
        wids_in_token: true,
    }
}

on_both_databases! {
    async fn c1_callback_naming_another_tenant_binds_nothing(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let victim = world.add_tenant("victim.example");
        let started = world.start(CONTOSO).await;
        let (tab, page) = signed_in(world, &started).await;
        let mut answer = world.at_microsoft(&page).await;
        answer.tenant = Some(victim.id.to_string());
        let flow = rejected(tab.bring(&world.consent, answer).await);
        assert_eq!(flow.rejection.code.as_str(), "wrongTenant");
        assert!(flow.rejection.detail.contains(&victim.id.to_string()));
        assert!(flow.rejection.detail.contains(&started.tenant.to_string()));
        nothing_is_bound(world, started.tenant).await;
        assert_eq!(world.details(&world.a, "consent.rejected")[0]["code"], "wrongTenant");
    }

    async fn c1_a_tenant_in_capitals_is_the_same_tenant(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let (tab, page) = signed_in(world, &started).await;
        let mut answer = world.at_microsoft(&page).await;
        answer.tenant = answer.tenant.map(|tenant| tenant.to_uppercase());
        assert_eq!(tab.bring(&world.consent, answer).await.unwrap().status, TenantStatus::Connected);
    }

    async fn c5_a_personal_account_is_refused(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let login = world.fake.login_url();
        set_id_token_forge(&world.fake.cloud(), move |token| {
            token.claims["tid"] = json!(CONSUMER_TENANT);
            token.claims["iss"] = json!(format!("{login}/{CONSUMER_TENANT}/v2.0"));
        });
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "personalAccount");
        nothing_is_bound(world, started.tenant).await;
    }

    async fn c6_a_state_is_used_once(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let answer = world.at_microsoft(&page).await;
        let replay = copy_of(&answer);
        assert!(tab.bring(&world.consent, answer).await.is_ok());
        let outcome = tab.bring(&world.consent, replay).await;
        assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{outcome:?}");
        assert_eq!(world.token_requests("authorization_code").len(), 1);
    }

    async fn c6_of_fifty_parallel_callbacks_exactly_one_wins(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let answer = world.at_microsoft(&page).await;
        let mut callbacks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (consent, bearer, answer) = (world.consent.clone(), tab.bearer(), copy_of(&answer));
            callbacks.spawn(async move { Box::pin(consent.callback(bearer, answer)).await });
        }
        let outcomes = callbacks.join_all().await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let lost =
            outcomes.iter().filter(|outcome| matches!(outcome, Err(ConsentError::InvalidState))).count();
        assert_eq!((won, lost), (1, 49));
        assert_eq!(world.token_requests("authorization_code").len(), 1);
    }

    async fn c6_a_damaged_or_foreign_state_is_refused_like_an_unknown_one(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let answer = world.at_microsoft(&page).await;
        let state = answer.state.clone().unwrap();
        let other_case: String = state
            .chars()
            .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        let wrong = [
            None,
            Some(String::new()),
            Some(state.chars().take(42).collect()),
            Some(format!("{state}A")),
            Some(other_case),
            Some("A".repeat(1 << 20)),
            Some(FlowToken::random().unwrap().expose().to_owned()),
            Some(token(&started)),
        ];
        for state in wrong {
            let outcome = tab.bring(&world.consent, CallbackFields { state, ..copy_of(&answer) }).await;
            assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{outcome:?}");
        }
        assert!(tab.bring(&world.consent, answer).await.is_ok(), "none of them used the state up");
    }

    async fn c7_a_code_of_one_flow_is_worth_nothing_with_the_state_of_another(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let first = tab.open(&world.consent, &token(&started)).await.unwrap();
        let second = tab.open(&world.consent, &token(&started)).await.unwrap();
        let first = world.at_microsoft(&first).await;
        let mut second = world.at_microsoft(&second).await;
        second.code = first.code.as_ref().map(|code| SecretText::new(code.expose().to_owned()));
        let flow = rejected(tab.bring(&world.consent, second).await);
        assert_eq!(flow.rejection.microsoft.unwrap().aadsts, Some(501481));
        nothing_is_bound(world, started.tenant).await;
    }

    async fn c8_an_answer_in_another_browser_is_refused_audited_and_uses_the_state_up(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        for stranger in [
            Bearer::Browser { cookie: None, request: None },
            Tab::new().bearer(),
            Bearer::Caller(world.a.scope.clone()),
            Bearer::Caller(world.b.scope.clone()),
        ] {
            let audited = world.details(&world.a, "consent.rejected").len();
            let mut tab = Tab::new();
            let page = tab.open(&world.consent, &token(&started)).await.unwrap();
            let answer = world.at_microsoft(&page).await;
            let outcome = world.consent.callback(stranger.clone(), copy_of(&answer)).await;
            assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{stranger:?} {outcome:?}");
            assert_eq!(world.details(&world.a, "consent.rejected").len(), audited + 1);
            let outcome = tab.bring(&world.consent, answer).await;
            assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{stranger:?} {outcome:?}");
        }
        assert_eq!(world.token_requests("authorization_code").len(), 0);
        assert_eq!(world.actions(&world.b), Vec::<String>::new());
        nothing_is_bound(world, started.tenant).await;
    }

    async fn c8_a_relayed_answer_belongs_to_the_organisation_that_began(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        for stranger in [Bearer::Caller(world.b.scope.clone()), Tab::new().bearer()] {
            let started = world.start(CONTOSO).await;
            let answer = world.at_microsoft(&link_of(&started).microsoft_url).await;
            let outcome = world.consent.callback(stranger, copy_of(&answer)).await;
            assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{outcome:?}");
            let owner = Bearer::Caller(world.a.scope.clone());
            let outcome = world.consent.callback(owner, answer).await;
            assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{outcome:?}");
        }
        assert_eq!(world.details(&world.a, "consent.rejected").len(), 2);
        assert_eq!(world.token_requests("authorization_code").len(), 0);
    }

    async fn c4_the_cookie_of_one_purpose_is_no_state_or_link(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let link = FlowToken::parse(&token(&started)).unwrap();
        assert_ne!(link.hash(Purpose::Link), link.hash(Purpose::Cookie));
        let state = CallbackFields { state: Some(token(&started)), ..CallbackFields::default() };
        let outcome = world.consent.callback(Tab::new().bearer(), state).await;
        assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{outcome:?}");
    }

    async fn c11_a_sign_in_to_another_tenant_is_refused_and_names_both(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let other = world.add_tenant("other.example");
        let started = world.start(CONTOSO).await;
        let (id, login) = (other.id, world.fake.login_url());
        set_id_token_forge(&world.fake.cloud(), move |token| {
            token.claims["tid"] = json!(id);
            token.claims["iss"] = json!(format!("{login}/{id}/v2.0"));
        });
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "wrongTenant");
        for id in [other.id.to_string(), started.tenant.to_string()] {
            assert!(flow.rejection.detail.contains(&id), "{}", flow.rejection.detail);
        }
        nothing_is_bound(world, started.tenant).await;
    }

    async fn c10_an_id_token_that_does_not_hold_proves_nobody(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        set_id_token_forge(&world.fake.cloud(), |token| token.claims["nonce"] = json!("another"));
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "signInNotVerified");
        nothing_is_bound(world, started.tenant).await;
    }

    async fn c12_a_person_without_a_role_that_can_consent_is_refused(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        // An Application Administrator may not grant Microsoft Graph's application permissions.
        let application_administrator = Uuid::from_u128(0x9b895d92_2cd3_44c7_9d02_a6ac2d5ea5c3);
        for wids in [vec![], vec![application_administrator]] {
            *contoso.people.write().unwrap() = vec![person("plain@contoso.example", wids)];
            let started = world.start(CONTOSO).await;
            let flow = rejected(world.connect_in_browser(&started).await);
            assert_eq!(flow.rejection.code.as_str(), "administratorRequired");
            nothing_is_bound(world, started.tenant).await;
        }
    }

    async fn c12_roles_missing_from_the_token_are_read_from_graph(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let mut admin = person("admin@contoso.example", vec![GLOBAL_ADMINISTRATOR]);
        admin.wids_in_token = false;
        *contoso.people.write().unwrap() = vec![admin];
        assert_eq!(world.connect(&world.a, CONTOSO).await.status, TenantStatus::Connected);
        let reads = world.fake.cloud().requests();
        assert!(reads.iter().any(|read| read.path_and_query.contains("/me/transitiveMemberOf/")));
    }

    async fn c12_a_guest_is_refused_without_a_role_and_recorded_as_such_with_one(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let guest = |wids| Person { guest: true, ..person("msp_partner.example#EXT#@contoso.example", wids) };
        *contoso.people.write().unwrap() = vec![guest(vec![])];
        let started = world.start(CONTOSO).await;
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "administratorRequired");
        nothing_is_bound(world, started.tenant).await;

        *contoso.people.write().unwrap() = vec![guest(vec![GLOBAL_ADMINISTRATOR])];
        world.connect_in_browser(&started).await.unwrap();
        let by = world.tenant(&world.a, started.tenant).await.consented_by.unwrap();
        assert_eq!(by.account_type, AccountType::Guest);
    }

    async fn c12_a_partner_administrator_is_recorded_as_such(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        set_id_token_forge(&world.fake.cloud(), |token| {
            token.claims["idp"] = json!("https://sts.windows.net/a8990e1f-ff32-408a-9f8e-78d3b9139b95/");
        });
        let started = world.start(CONTOSO).await;
        world.connect_in_browser(&started).await.unwrap();
        let by = world.tenant(&world.a, started.tenant).await.consented_by.unwrap();
        assert_eq!(by.account_type, AccountType::Partner);
    }

    async fn c12_a_partner_administrator_without_a_role_is_refused(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        *contoso.people.write().unwrap() = vec![person("partner@contoso.example", vec![])];
        set_id_token_forge(&world.fake.cloud(), |token| {
            token.claims["idp"] = json!("https://sts.windows.net/a8990e1f-ff32-408a-9f8e-78d3b9139b95/");
        });
        let started = world.start(CONTOSO).await;
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "administratorRequired");
        nothing_is_bound(world, started.tenant).await;
    }

    async fn c15_an_unexpected_issuer_is_refused_and_the_expected_one_taken(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let expected = format!("{}/{}/v2.0", world.fake.login_url(), started.tenant);
        for wrong in ["", "https://evil.example", &expected.to_uppercase(), &format!("{expected}/")] {
            let mut tab = Tab::new();
            let page = tab.open(&world.consent, &token(&started)).await.unwrap();
            let mut answer = world.at_microsoft(&page).await;
            answer.iss = Some(wrong.to_owned());
            let flow = rejected(tab.bring(&world.consent, answer).await);
            assert_eq!(flow.rejection.code.as_str(), "unexpectedIssuer", "{wrong}");
        }
        assert_eq!(world.token_requests("authorization_code").len(), 0);
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let mut answer = world.at_microsoft(&page).await;
        answer.iss = Some(expected);
        assert!(tab.bring(&world.consent, answer).await.is_ok());
    }

    async fn c16_an_error_is_a_failure_also_beside_a_consent(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let hostile = format!("AADSTS65004: <b>no</b>\r\nSet-Cookie: x{}", "A".repeat(1 << 20));
        for (error, description, code) in [
            ("consent_required", Some("AADSTS65004: The user declined."), "consentDeclined"),
            ("permission_denied", Some("The admin canceled the request"), "consentDeclined"),
            ("access_denied", None, "consentDeclined"),
            ("access_denied", Some("AADSTS53003: Blocked."), "consentBlockedByPolicy"),
            ("access_denied", Some(hostile.as_str()), "consentDeclined"),
            ("a_new_error", Some("AADSTS999999: What is this?"), "microsoftRefused"),
            ("server_error", None, "microsoftUnavailable"),
        ] {
            let (tab, page) = signed_in(world, &started).await;
            let mut answer = world.at_microsoft(&page).await;
            answer.admin_consent = Some("True".to_owned());
            answer.error = Some(error.to_owned());
            answer.error_description = description.map(str::to_owned);
            let flow = rejected(tab.bring(&world.consent, answer).await);
            assert_eq!(flow.rejection.code.as_str(), code, "{error}");
            assert!(flow.rejection.detail.len() < 600);
            assert!(!flow.rejection.detail.contains(['\r', '\n']));
        }
        nothing_is_bound(world, started.tenant).await;
    }

    async fn c18_more_than_was_asked_for_is_audited_and_only_missing_permissions_degrade(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        {
            let cloud = world.fake.cloud();
            let mut apps = cloud.apps.write().unwrap();
            apps.values_mut().next().unwrap().app_roles.insert("User.ReadWrite.All".to_owned());
        }
        let step = world.connect(&world.a, CONTOSO).await;
        assert_eq!(step.status, TenantStatus::Connected);
        let alerts = world.details(&world.a, "consent.excessPermissions");
        assert_eq!(alerts[0]["permissions"], json!(["User.ReadWrite.All"]));
    }

    async fn c18_a_token_answer_of_another_type_is_refused(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        set_token_answer_forge(&world.fake.cloud(), |answer| answer["token_type"] = json!("pop"));
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "signInNotVerified");
        nothing_is_bound(world, started.tenant).await;
    }

    async fn c19_a_code_whose_answer_was_lost_is_never_sent_again(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let lost = FaultRule::once("login", "/oauth2/v2.0/token", Fault::DropAfterEffect);
        world.fake.cloud().faults.script(lost);
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "microsoftUnavailable");
        assert!(flow.rejection.retryable);
        assert_eq!(world.token_requests("authorization_code").len(), 1);
        nothing_is_bound(world, started.tenant).await;
        let document = world.status_document(&world.a, started.tenant);
        assert_eq!(document["connectionError"]["code"], "microsoftUnavailable");
        assert_eq!(world.connect_in_browser(&started).await.unwrap().status, TenantStatus::Connected);
    }

    async fn g5_our_own_expired_secret_shows_as_such_and_changes_no_status(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        for number in [7_000_215, 7_000_222, 700_027] {
            script_error(&world.fake.cloud(), Endpoint::Token, Some(&contoso.id.to_string()), number, 1);
            let flow = rejected(world.connect_in_browser(&started).await);
            assert_eq!(flow.rejection.code.as_str(), "ownCredentialRejected");
            assert!(!flow.rejection.retryable);
            let document = world.status_document(&world.a, started.tenant);
            assert_eq!(document["status"], "pendingConsent");
            assert_eq!(document["connectionError"]["code"], "ownCredentialRejected");
        }
    }

    async fn a_declined_reconnection_leaves_a_working_tenant_as_it_is(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        *contoso.decision.write().unwrap() =
            Decision::AcceptWithout(["Reports.Read.All".to_owned()].into());
        let before = world.connect(&world.a, CONTOSO).await;
        *contoso.decision.write().unwrap() = Decision::DeclineConsent;
        let started = world.start(CONTOSO).await;
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.status, TenantStatus::Degraded);
        let tenant = world.tenant(&world.a, before.tenant).await;
        assert_eq!((tenant.status, tenant.connection_error), (TenantStatus::Degraded, None));
        assert!(tenant.connection.is_some());
    }

    async fn an_answer_without_code_and_without_error_is_incomplete(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let mut answer = world.at_microsoft(&page).await;
        answer.code = None;
        let flow = rejected(tab.bring(&world.consent, answer).await);
        assert_eq!(flow.rejection.code.as_str(), "incompleteCallback");
        world.advance(TimeDelta::minutes(1));
        assert!(tab.open(&world.consent, &token(&started)).await.is_some());
    }
}
