//! The link through its life.

use chrono::TimeDelta;
use tenantry_core::consent::{ConsentError, LinkState, Outcome};
use tenantry_tests::{database::Backend, fake_microsoft::state::Decision, on_both_databases};

use crate::world::{CONTOSO, Tab, World, rejected, token};

on_both_databases! {
    async fn c6_a_state_lives_ten_minutes_and_the_link_makes_new_ones(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        world.advance(TimeDelta::minutes(9));
        let late = tab.open(&world.consent, &token(&started)).await.unwrap();
        assert_ne!(page, late, "each opening has a state of its own");
        let answer = world.at_microsoft(&page).await;
        world.advance(TimeDelta::seconds(61));
        let outcome = tab.bring(&world.consent, answer).await;
        assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{outcome:?}");
        assert_eq!(world.details(&world.a, "consent.rejected")[0]["reason"], "expired");
        assert!(tab.bring(&world.consent, world.at_microsoft(&late).await).await.is_ok());
    }

    async fn a_link_ends_after_72_hours(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let token = token(&started);
        world.advance(TimeDelta::hours(72) - TimeDelta::seconds(30));
        assert!(Tab::new().open(&world.consent, &token).await.is_some());
        world.advance(TimeDelta::seconds(31));
        assert_eq!(world.consent.link(&token).await.unwrap().state, LinkState::Expired);
        assert!(Tab::new().open(&world.consent, &token).await.is_none());
    }

    async fn c6_a_link_of_a_proven_tenant_begins_nothing(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        world.connect_in_browser(&started).await.unwrap();
        let requests = world.fake.cloud().requests().len();
        assert!(Tab::new().open(&world.consent, &token(&started)).await.is_none());
        world.advance(TimeDelta::hours(100));
        let view = world.consent.link(&token(&started)).await.unwrap();
        assert_eq!(view.state, LinkState::Proven, "it shows the result for good");
        assert_eq!(world.fake.cloud().requests().len(), requests);
    }

    async fn a_link_names_the_msp_the_tenant_and_the_last_outcome(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        *contoso.decision.write().unwrap() = Decision::CancelSignIn;
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let flow = rejected(tab.bring(&world.consent, world.at_microsoft(&page).await).await);
        assert_eq!(flow.rejection.code.as_str(), "consentDeclined");
        let view = world.consent.link(&token(&started)).await.unwrap();
        assert_eq!(view.state, LinkState::Open);
        assert_eq!((view.organization.as_str(), view.is_shared), ("Aardvark IT", true));
        assert_eq!(view.entered_tenant, CONTOSO);
        assert!(view.permissions.iter().all(|permission| !permission.reason.is_empty()));
        let Some(Outcome::Failed { problem }) = view.last_outcome else { panic!("no outcome") };
        assert_eq!(problem["code"], "consentDeclined");
    }

    async fn an_unknown_link_is_unknown(backend: Backend) {
        let world = &World::new(backend).await;
        for token in ["", "x", &"A".repeat(43), &"A".repeat(100_000)] {
            let outcome = world.consent.link(token).await;
            assert!(matches!(outcome, Err(ConsentError::LinkUnknown)), "{outcome:?}");
        }
    }

    async fn a_link_in_another_case_is_unknown(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let token = token(&world.start(CONTOSO).await);
        let other: String = token
            .chars()
            .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        assert!(world.consent.link(&token).await.is_ok());
        assert!(matches!(world.consent.link(&other).await, Err(ConsentError::LinkUnknown)));
    }
}
