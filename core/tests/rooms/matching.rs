//! Matching tenants to customers.

use std::sync::Arc;

use tenantry_core::{
    access::OrgScope,
    audit::{AuditFilter, AuditService},
    customers::{CustomerService, NewCustomer},
    ids::{CustomerId, TenantId},
    matching::{
        Candidate, ConfirmFault, ConnectedTenants, MatchError, MatchFilter, MatchKind,
        MatchingService, OwnDomainsService, TenantFacts, TenantMatches, TenantSource, Wish,
    },
    store::{Scoped, StoreError},
};
use tenantry_tests::{database::Backend, on_both_databases};
use uuid::Uuid;

use crate::store::TestStore;

/// An organisation with a connection to a PSA.
struct Msp<'d> {
    db: &'d TestStore,
    scope: OrgScope,
    connection: Uuid,
    matching: MatchingService,
}

impl<'d> Msp<'d> {
    async fn new(db: &'d TestStore) -> Self {
        let scope = db.organization().await;
        let connection = Uuid::now_v7();
        let raw = db.raw();
        let (org, id, now) = (
            raw.uuid(scope.org().as_uuid()),
            raw.uuid(connection),
            raw.now(),
        );
        let bytes = bytes(db);
        raw.execute(&format!(
            "INSERT INTO psa_connections (org_id, id, kind, name, base_url, system, data_key, sealed_credentials, \
             generation, settings, version, created_at, changed_at) VALUES ({org}, {id}, 'halopsa', 'Halo', \
             'https://halo.example', 'halo.example', {bytes}, {bytes}, 1, '{{}}', 1, {now}, {now})"
        ));
        let matching = MatchingService::new(db.store.clone());
        Self {
            db,
            scope,
            connection,
            matching,
        }
    }

    async fn customer(&self, name: &str, domains: &[&str]) -> CustomerId {
        let new = NewCustomer {
            name: name.to_owned(),
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        };
        let service = CustomerService::new(self.db.store.clone());
        service
            .create(&self.scope, new, |_, _| Ok(()))
            .await
            .unwrap()
            .id
    }

    /// A record of the PSA for a customer, with hints: source, kind, value, contacts.
    fn record(
        &self,
        customer: CustomerId,
        external: &str,
        state: &str,
        hints: &[(&str, &str, &str, i64)],
    ) {
        let raw = self.db.raw();
        let (org, connection) = (
            raw.uuid(self.scope.org().as_uuid()),
            raw.uuid(self.connection),
        );
        let (customer, now, bytes) = (raw.uuid(customer.as_uuid()), raw.now(), bytes(self.db));
        raw.execute(&format!(
            "INSERT INTO psa_records (org_id, connection_id, external_id, customer_id, name, state, document, hash, \
             generation, misses, changed_at) VALUES ({org}, {connection}, '{external}', {customer}, 'N', '{state}', \
             '{{}}', {bytes}, 1, 0, {now})"
        ));
        for (source, kind, value, contacts) in hints {
            raw.execute(&format!(
                "INSERT INTO psa_hints (org_id, connection_id, external_id, source, kind, value, contacts, generation) \
                 VALUES ({org}, {connection}, '{external}', '{source}', '{kind}', '{value}', {contacts}, 1)"
            ));
        }
    }

    /// A tenant of nobody, with what a sync found where domains are given.
    fn tenant(&self, name: &str, status: &str, domains: &[&str]) -> TenantId {
        let raw = self.db.raw();
        let tenant = Uuid::now_v7();
        let (org, id, now) = (
            raw.uuid(self.scope.org().as_uuid()),
            raw.uuid(tenant),
            raw.now(),
        );
        raw.execute(&format!(
            "INSERT INTO tenants (org_id, tenant_id, connection_type, status, display_name, organization_name, \
             default_domain, search_text, granted_permissions, missing_permissions, tags, version, created_at) VALUES \
             ({org}, {id}, 'adminConsent', '{status}', '{name}', '{name}', 'typed.example', 't', '[]', '[]', '[]', 1, {now})"
        ));
        if !domains.is_empty() {
            let verified: Vec<String> = domains
                .iter()
                .map(|domain| format!(r#"{{"name":"{domain}"}}"#))
                .collect();
            let document = format!(
                r#"{{"id":"{tenant}","verifiedDomains":[{}]}}"#,
                verified.join(",")
            );
            raw.execute(&format!(
                "INSERT INTO inventory_objects (org_id, tenant_id, kind, object_key, document, generation) \
                 VALUES ({org}, {id}, 1, {id}, '{document}', 1)"
            ));
        }
        TenantId::from_uuid(tenant)
    }

    async fn all(&self) -> Vec<TenantMatches> {
        let page = self
            .matching
            .list(&self.scope, MatchFilter::default(), None, 100)
            .await
            .unwrap();
        assert_eq!(page.total, i64::try_from(page.items.len()).unwrap());
        page.items
    }

    async fn candidates(&self, tenant: TenantId) -> Vec<Candidate> {
        let filter = MatchFilter {
            tenant: Some(tenant),
            customer: None,
        };
        let page = self
            .matching
            .list(&self.scope, filter, None, 100)
            .await
            .unwrap();
        page.items
            .into_iter()
            .flat_map(|item| item.candidates)
            .collect()
    }

    /// The candidates of a tenant in short.
    async fn short(&self, tenant: TenantId) -> Vec<(CustomerId, u8, bool)> {
        let candidates = self.candidates(tenant).await;
        candidates
            .iter()
            .map(|one| (one.customer, one.score, one.certain))
            .collect()
    }

    async fn confirm(&self, wishes: &[(TenantId, CustomerId)]) -> Result<Vec<bool>, MatchError> {
        let wishes = wishes.iter().map(|(tenant, customer)| Wish {
            tenant: *tenant,
            customer: *customer,
        });
        let confirmed = self.matching.confirm(&self.scope, wishes.collect()).await?;
        Ok(confirmed.iter().map(|one| one.changed).collect())
    }

    async fn audited(&self) -> Vec<String> {
        let page = AuditService::new(self.db.store.clone())
            .list(&self.scope, AuditFilter::default(), None, 1_000)
            .await;
        let actions = page.unwrap().items.into_iter().map(|event| event.action);
        actions
            .filter(|action| action.starts_with("customerMatch") || action.starts_with("tenant."))
            .collect()
    }
}

fn bytes(db: &TestStore) -> &'static str {
    if db.raw().is_sqlite() {
        "x'00'"
    } else {
        "'\\x00'::bytea"
    }
}

on_both_databases! {
    async fn what_a_psa_says_ties_a_tenant_to_its_customer(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let contoso = msp.customer("Contoso Ltd", &[]).await;
        let fabrikam = msp.customer("Fabrikam", &["fabrikam.example"]).await;
        let tenant = msp.tenant("CONTOSO", "connected", &["contoso.example", "contoso.onmicrosoft.com", "gmail.com"]);
        let other = msp.tenant("Somebody", "connected", &["fabrikam.example"]);
        let none = msp.tenant("Nobody", "degraded", &["nobody.example"]);
        msp.record(contoso, "12", "active", &[
            ("record", "website", "contoso.example", 1),
            ("contacts", "mailDomain", "contoso.example", 9),
            ("contacts", "mailDomain", "gmail.com", 4),
            ("record", "initialDomain", "contoso.onmicrosoft.com", 1),
            ("tenantMap", "tenantMap", &tenant.to_string(), 1),
        ]);
        let items = msp.all().await;
        assert_eq!(items.iter().map(|item| item.tenant.tenant).collect::<Vec<_>>(), [tenant, other, none]);
        let [only] = items[0].candidates.as_slice() else { panic!("{items:?}") };
        assert_eq!((only.customer, only.score, only.certain), (contoso, 100, true));
        let kinds: Vec<MatchKind> = only.evidence.iter().map(|evidence| evidence.kind).collect();
        assert_eq!(kinds, [
            MatchKind::TenantMap, MatchKind::InitialDomain, MatchKind::MailDomain, MatchKind::Website, MatchKind::Name,
        ]);
        assert_eq!(only.evidence[2].contacts, Some(9));
        assert!(only.evidence[..4].iter().all(|evidence| evidence.connections[0].as_uuid() == msp.connection));
        assert_eq!(items[0].tenant.domains, ["contoso.example"]);
        assert_eq!(msp.short(other).await, [(fabrikam, 55, false)]);
        assert_eq!(msp.short(none).await, []);
    }

    async fn only_active_records_of_active_customers_say_something(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let tenant = msp.tenant("X", "connected", &["contoso.example"]);
        let website: &[(&str, &str, &str, i64)] = &[("record", "website", "contoso.example", 1)];
        for (external, state) in [("1", "inactive"), ("2", "deleted"), ("3", "gone")] {
            let customer = msp.customer(external, &[]).await;
            msp.record(customer, external, state, website);
        }
        let inactive = msp.customer("Inactive", &["contoso.example"]).await;
        msp.record(inactive, "4", "active", website);
        assert_eq!(msp.short(tenant).await, [(inactive, 57, false)]);
        CustomerService::new(db.store.clone()).deactivate(&msp.scope, inactive, None).await.unwrap();
        assert_eq!(msp.short(tenant).await, []);
        // Nobody who holds it no longer stands in the way of the one who does.
        let holder = msp.customer("Holder", &["contoso.example"]).await;
        assert_eq!(msp.short(tenant).await, [(holder, 55, false)]);
    }

    async fn the_domain_that_was_typed_counts_until_a_sync_knows_better(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let customer = msp.customer("Typed", &["typed.example"]).await;
        let pending = msp.tenant("A", "pendingConsent", &[]);
        let synced = msp.tenant("B", "connected", &["other.example"]);
        let revoked = msp.tenant("C", "revoked", &[]);
        assert_eq!(msp.short(pending).await, [(customer, 55, false)]);
        assert_eq!(msp.short(synced).await, []);
        assert!(msp.all().await.iter().all(|item| item.tenant.tenant != revoked));
    }

    async fn own_domains_tie_nobody(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let customer = msp.customer("Us", &["it.msp.example"]).await;
        let tenant = msp.tenant("A", "connected", &["it.msp.example"]);
        assert_eq!(msp.short(tenant).await, [(customer, 55, false)]);
        let domains = OwnDomainsService::new(db.store.clone());
        domains.replace(&msp.scope, vec!["MSP.example".to_owned()]).await.unwrap();
        assert_eq!(msp.short(tenant).await, []);
        assert_eq!(domains.get(&msp.scope).await.unwrap(), ["msp.example"]);
        let stranger = Msp::new(&db).await;
        assert_eq!(domains.get(&stranger.scope).await.unwrap(), Vec::<String>::new());
    }

    async fn of_two_who_replace_the_own_domains_the_last_one_stands(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let domains = OwnDomainsService::new(db.store.clone());
        let lists = [vec!["a.example".to_owned(), "b.example".to_owned()], vec!["b.example".to_owned(), "c.example".to_owned()]];
        let attempts = lists.iter().cycle().take(8).map(|list| domains.replace(&msp.scope, list.clone()));
        for outcome in futures_util::future::join_all(attempts).await {
            outcome.unwrap();
        }
        let kept = domains.get(&msp.scope).await.unwrap();
        assert!(lists.contains(&kept), "{kept:?}");
    }

    async fn z3_another_organization_neither_adds_nor_takes_evidence(backend: Backend) {
        let db = TestStore::new(backend);
        let (one, other) = (Msp::new(&db).await, Msp::new(&db).await);
        let customer = one.customer("Contoso", &["contoso.example"]).await;
        let tenant = one.tenant("T", "connected", &["contoso.example"]);
        let theirs = other.customer("Contoso", &["contoso.example"]).await;
        other.record(theirs, "1", "active", &[
            ("record", "website", "contoso.example", 1), ("tenantMap", "tenantMap", &tenant.to_string(), 1),
        ]);
        assert_eq!(one.short(tenant).await, [(customer, 55, false)]);
        assert_eq!(other.all().await, []);
        let outcome = other.confirm(&[(tenant, theirs)]).await;
        assert!(matches!(outcome, Err(MatchError::Unknown(_))), "{outcome:?}");
        let outcome = one.confirm(&[(tenant, theirs)]).await;
        assert!(matches!(outcome, Err(MatchError::Unknown(_))), "{outcome:?}");
    }

    async fn pages_lead_through_all_tenants_and_a_customers_best_come_first(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let customer = msp.customer("Contoso", &["best.example"]).await;
        let named = [msp.tenant("Contoso", "connected", &["x.example"]), msp.tenant("Contoso AG", "connected", &["y.example"])];
        let best = msp.tenant("Other", "connected", &["best.example"]);
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = msp.matching.list(&msp.scope, MatchFilter::default(), after, 2).await.unwrap();
            assert_eq!(page.total, 3);
            seen.extend(page.items.iter().map(|item| item.tenant.tenant));
            after = page.next;
            if after.is_none() { break }
        }
        assert_eq!(seen, [named[0], named[1], best]);
        let filter = MatchFilter { tenant: None, customer: Some(customer) };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = msp.matching.list(&msp.scope, filter, after, 1).await.unwrap();
            assert_eq!(page.total, 3);
            seen.extend(page.items.iter().map(|item| item.tenant.tenant));
            after = page.next;
            if after.is_none() { break }
        }
        assert_eq!(seen, [best, named[0], named[1]]);
    }

    async fn orphans_are_those_that_nothing_ties_to_each_other(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let tied = msp.customer("Tied", &["tied.example"]).await;
        let mapped = msp.customer("Mapped", &[]).await;
        let alone = msp.customer("Alone", &[]).await;
        let tenant = msp.tenant("A", "connected", &["tied.example"]);
        let lonely = msp.tenant("B", "connected", &["b.example"]);
        let third = msp.tenant("C", "connected", &["c.example"]);
        msp.confirm(&[(third, mapped)]).await.unwrap();
        let page = msp.matching.orphans(&msp.scope, None, 10).await.unwrap();
        assert_eq!(page.tenants.iter().map(|facts| facts.tenant).collect::<Vec<_>>(), [lonely]);
        assert_eq!(page.customers, [(alone, "Alone".to_owned())]);
        assert!(page.next.is_none());
        msp.confirm(&[(tenant, tied), (lonely, tied)]).await.unwrap();
        let page = msp.matching.orphans(&msp.scope, None, 10).await.unwrap();
        assert_eq!((page.tenants_total, page.customers_total), (0, 1), "one customer may have several tenants");
    }

    async fn confirmed_matches_are_stored_together_and_audited_each(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let (a, b) = (msp.customer("A", &[]).await, msp.customer("B", &[]).await);
        let (one, two, three) =
            (msp.tenant("1", "connected", &[]), msp.tenant("2", "connected", &[]), msp.tenant("3", "connected", &[]));
        assert_eq!(msp.confirm(&[(two, a), (one, a)]).await.unwrap(), [true, true]);
        assert_eq!(msp.audited().await, ["customerMatch.confirmed"; 2]);
        let before = db.raw().dump();
        assert_eq!(msp.confirm(&[(one, a), (two, a)]).await.unwrap(), [false, false]);
        assert_eq!(db.raw().dump(), before, "the same again leaves no trace");
        let outcome = msp.confirm(&[(three, b), (two, b), (one, b)]).await;
        let Err(MatchError::AlreadyMapped(faults)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(faults, [ConfirmFault::Elsewhere(1, a), ConfirmFault::Elsewhere(2, a)]);
        CustomerService::new(db.store.clone()).deactivate(&msp.scope, b, None).await.unwrap();
        let before = db.raw().dump();
        let outcome = msp.confirm(&[(one, a), (three, b)]).await;
        assert!(matches!(&outcome, Err(MatchError::Inactive(faults)) if faults == &[ConfirmFault::Inactive(1)]), "{outcome:?}");
        let nobody = TenantId::from_uuid(Uuid::now_v7());
        let nothing = CustomerId::from_uuid(Uuid::now_v7());
        let outcome = msp.confirm(&[(three, a), (nobody, nothing)]).await;
        let Err(MatchError::Unknown(faults)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(faults, [ConfirmFault::NoTenant(1), ConfirmFault::NoCustomer(1)]);
        assert_eq!(db.raw().dump(), before);
    }

    async fn of_many_who_map_one_tenant_one_wins(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let (a, b) = (msp.customer("A", &[]).await, msp.customer("B", &[]).await);
        let (one, two) = (msp.tenant("1", "connected", &[]), msp.tenant("2", "connected", &[]));
        let lists = [[(one, a), (two, b)], [(two, a), (one, b)]];
        let attempts = lists.iter().cycle().take(8).map(|list| msp.confirm(list));
        let outcomes = futures_util::future::join_all(attempts).await;
        let changed = outcomes.iter().filter(|outcome| matches!(outcome, Ok(changed) if changed == &[true, true])).count();
        assert_eq!(changed, 1);
        let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(MatchError::AlreadyMapped(_)))).count();
        assert_eq!(refused, 4, "{outcomes:?}");
    }

    async fn several_sources_may_know_one_tenant(backend: Backend) {
        let db = TestStore::new(backend);
        let msp = Msp::new(&db).await;
        let customer = msp.customer("Contoso", &["relationship.example"]).await;
        let tenant = msp.tenant("T", "connected", &["contoso.example"]);
        let (mut known, mut foreign) = (
            TenantFacts::new(tenant, "T".to_owned()),
            TenantFacts::new(TenantId::from_uuid(Uuid::now_v7()), "Contoso".to_owned()),
        );
        known.add_domain("relationship.example");
        foreign.add_name("Contoso");
        let sources: Vec<Arc<dyn TenantSource>> = vec![Arc::new(ConnectedTenants), Arc::new(Fixed(vec![known, foreign]))];
        let matching = MatchingService::with_sources(db.store.clone(), sources);
        let page = matching.list(&msp.scope, MatchFilter::default(), None, 10).await.unwrap();
        assert_eq!(page.total, 2);
        let scores: Vec<(CustomerId, u8)> =
            page.items.iter().flat_map(|item| &item.candidates).map(|one| (one.customer, one.score)).collect();
        assert_eq!(scores, [(customer, 55), (customer, 25)]);
    }
}

/// Tenants that are told.
struct Fixed(Vec<TenantFacts>);

impl TenantSource for Fixed {
    fn without_customer(&self, _tx: &mut Scoped<'_>) -> Result<Vec<TenantId>, StoreError> {
        Ok(self.0.iter().map(|facts| facts.tenant).collect())
    }

    fn facts(
        &self,
        _tx: &mut Scoped<'_>,
        tenants: &[TenantId],
    ) -> Result<Vec<TenantFacts>, StoreError> {
        let wanted = self
            .0
            .iter()
            .filter(|facts| tenants.contains(&facts.tenant));
        Ok(wanted.cloned().collect())
    }
}
