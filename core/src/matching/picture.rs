//! What customers say, turned around: from a value to the customers that have it.
//!
//! Built once for a set of tenants, from the values that these tenants have and nothing else. Looking a
//! tenant up then costs as much as it finds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tenantry_psa::{EvidenceKind, domain};

use super::{
    domains::OwnDomains,
    names::folded,
    score::{Candidate, MatchEvidence, MatchKind, ranked},
    source::TenantFacts,
};
use crate::{
    customers::{Hint, HintOrigin, KnownCustomer},
    ids::{CustomerId, PsaConnectionId},
};

/// Customers that may have one name; a name of more says nothing.
const MOST_NAMESAKES: usize = 10;

/// What the customers of an organisation say about a set of tenants.
pub(super) struct Picture {
    names: HashMap<CustomerId, String>,
    by_value: HashMap<String, Vec<Holding>>,
    by_name: HashMap<String, Vec<CustomerId>>,
    own: OwnDomains,
}

/// Something that one customer has.
struct Holding {
    customer: CustomerId,
    kind: MatchKind,
    connection: Option<PsaConnectionId>,
    /// From contacts; elsewhere none.
    contacts: Option<i64>,
}

/// What one customer has of one value and kind.
#[derive(Default)]
struct Sum {
    connections: BTreeMap<PsaConnectionId, i64>,
    from_contacts: bool,
}

impl Picture {
    /// The picture for these tenants. `customers` are all active ones; `hints` those whose value one of the
    /// tenants has. What a customer that is not active says is left out.
    pub(super) fn new(
        tenants: &[TenantFacts],
        customers: Vec<KnownCustomer>,
        hints: Vec<Hint>,
        own: OwnDomains,
    ) -> Self {
        let values: HashSet<String> = tenants.iter().flat_map(TenantFacts::values).collect();
        let names: HashSet<String> = tenants.iter().flat_map(folded_names).collect();
        let mut picture = Self {
            names: HashMap::with_capacity(customers.len()),
            by_value: HashMap::new(),
            by_name: HashMap::new(),
            own,
        };
        for customer in customers {
            picture.add_customer(customer, &values, &names);
        }
        for hint in hints {
            if picture.names.contains_key(&hint.customer) {
                let holding = Holding {
                    customer: hint.customer,
                    kind: kind_of(hint.kind),
                    connection: Some(hint.connection),
                    contacts: (hint.origin == HintOrigin::Contacts).then_some(hint.contacts),
                };
                picture
                    .by_value
                    .entry(hint.value)
                    .or_default()
                    .push(holding);
            }
        }
        picture
    }

    fn add_customer(
        &mut self,
        customer: KnownCustomer,
        values: &HashSet<String>,
        names: &HashSet<String>,
    ) {
        for written in &customer.domains {
            let evidence = domain::evidence(EvidenceKind::Website, written);
            if let Some(evidence) = evidence.filter(|evidence| values.contains(&evidence.value)) {
                let holding = Holding {
                    customer: customer.id,
                    kind: MatchKind::CustomerDomain,
                    connection: None,
                    contacts: None,
                };
                self.by_value
                    .entry(evidence.value)
                    .or_default()
                    .push(holding);
            }
        }
        if let Some(name) = folded(&customer.name).filter(|name| names.contains(name)) {
            self.by_name.entry(name).or_default().push(customer.id);
        }
        self.names.insert(customer.id, customer.name);
    }

    /// The customers that a tenant of this picture may belong to, the strongest first.
    pub(super) fn candidates(&self, tenant: &TenantFacts) -> Vec<Candidate> {
        let mut found = BTreeMap::new();
        let id = tenant.id();
        for holding in self.holdings(&id) {
            if matches!(holding.kind, MatchKind::TenantMap | MatchKind::TenantId) {
                add(&mut found, holding, holding.kind, &id);
            }
        }
        for domain in &tenant.initial_domains {
            for holding in self.only_holder(domain) {
                // Microsoft's name of the tenant is one wherever it stands.
                add(&mut found, holding, MatchKind::InitialDomain, domain);
            }
        }
        for domain in &tenant.domains {
            for holding in self.only_holder(domain) {
                add(&mut found, holding, holding.kind, domain);
            }
        }
        let mut evidence: BTreeMap<CustomerId, Vec<MatchEvidence>> = BTreeMap::new();
        for ((customer, kind, value), sum) in found {
            evidence
                .entry(customer)
                .or_default()
                .push(sum.into_evidence(kind, value));
        }
        for name in folded_names(tenant) {
            let namesakes = self.by_name.get(&name).map_or(&[][..], Vec::as_slice);
            if namesakes.len() <= MOST_NAMESAKES {
                for customer in namesakes {
                    let same = self.name_of(*customer);
                    evidence.entry(*customer).or_default().push(same);
                }
            }
        }
        let candidates = evidence.into_iter().map(|(customer, evidence)| {
            let name = self.names.get(&customer).cloned().unwrap_or_default();
            Candidate::new(customer, name, evidence)
        });
        ranked(candidates.collect())
    }

    fn name_of(&self, customer: CustomerId) -> MatchEvidence {
        MatchEvidence {
            kind: MatchKind::Name,
            value: self.names.get(&customer).cloned().unwrap_or_default(),
            connections: Vec::new(),
            contacts: None,
        }
    }

    fn holdings(&self, value: &str) -> &[Holding] {
        self.by_value.get(value).map_or(&[], Vec::as_slice)
    }

    /// What the one customer has of a domain. A domain that two have, or that is the MSP's, ties nobody.
    fn only_holder(&self, domain: &str) -> &[Holding] {
        let holdings = self.holdings(domain);
        let mut holders = holdings.iter().map(|holding| holding.customer);
        let first = holders.next();
        let is_one = holders.all(|other| Some(other) == first);
        if is_one && !self.own.covers(domain) {
            holdings
        } else {
            &[]
        }
    }
}

type Found = BTreeMap<(CustomerId, MatchKind, String), Sum>;

fn add(found: &mut Found, holding: &Holding, kind: MatchKind, value: &str) {
    let sum = found
        .entry((holding.customer, kind, value.to_owned()))
        .or_default();
    sum.from_contacts |= holding.contacts.is_some();
    if let Some(connection) = holding.connection {
        let contacts = sum.connections.entry(connection).or_insert(0);
        *contacts = contacts.saturating_add(holding.contacts.unwrap_or(0));
    }
}

impl Sum {
    fn into_evidence(self, kind: MatchKind, value: String) -> MatchEvidence {
        // The same people may be contacts in two PSAs: the larger count is the one that is sure.
        let contacts = self.connections.values().copied().max();
        MatchEvidence {
            kind,
            value,
            connections: self.connections.into_keys().collect(),
            contacts: contacts.filter(|_| self.from_contacts),
        }
    }
}

/// The tenant's names as customers' names are compared, each once.
fn folded_names(tenant: &TenantFacts) -> BTreeSet<String> {
    tenant
        .names
        .iter()
        .filter_map(|name| folded(name))
        .collect()
}

const fn kind_of(kind: EvidenceKind) -> MatchKind {
    match kind {
        EvidenceKind::TenantMap => MatchKind::TenantMap,
        EvidenceKind::TenantId => MatchKind::TenantId,
        EvidenceKind::InitialDomain => MatchKind::InitialDomain,
        EvidenceKind::MailDomain => MatchKind::MailDomain,
        EvidenceKind::Website => MatchKind::Website,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::TenantId;

    fn tenant(number: u128, name: &str, domains: &[&str]) -> TenantFacts {
        let id = TenantId::from_uuid(Uuid::from_u128(number));
        let mut facts = TenantFacts::new(id, name.to_owned());
        facts.add_name(name);
        for domain in domains {
            facts.add_domain(domain);
        }
        facts
    }

    fn customer(number: u128, name: &str, domains: &[&str]) -> KnownCustomer {
        KnownCustomer {
            id: CustomerId::from_uuid(Uuid::from_u128(number)),
            name: name.to_owned(),
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        }
    }

    fn hint(customer: u128, kind: EvidenceKind, value: &str, contacts: i64) -> Hint {
        Hint {
            customer: CustomerId::from_uuid(Uuid::from_u128(customer)),
            connection: PsaConnectionId::from_uuid(Uuid::from_u128(7)),
            origin: if kind == EvidenceKind::MailDomain {
                HintOrigin::Contacts
            } else {
                HintOrigin::Record
            },
            kind,
            value: value.to_owned(),
            contacts,
        }
    }

    /// Each candidate of the first tenant as `customer:score[!] kind=value…`.
    fn shown(
        tenants: &[TenantFacts],
        customers: Vec<KnownCustomer>,
        hints: Vec<Hint>,
        own: &[&str],
    ) -> Vec<String> {
        let own = OwnDomains::new(own.iter().map(|&domain| domain.to_owned()));
        let picture = Picture::new(tenants, customers, hints, own);
        let candidates = picture.candidates(&tenants[0]);
        let shown = candidates.into_iter().map(|candidate| {
            let evidence = candidate.evidence.iter().map(|evidence| {
                let contacts = evidence
                    .contacts
                    .map(|contacts| format!("*{contacts}"))
                    .unwrap_or_default();
                format!(" {}={}{contacts}", evidence.kind.as_str(), evidence.value)
            });
            let certain = if candidate.certain { "!" } else { "" };
            let number = candidate.customer.as_uuid().as_u128();
            format!(
                "{number}:{}{certain}{}",
                candidate.score,
                evidence.collect::<String>()
            )
        });
        shown.collect()
    }

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    #[test]
    fn every_kind_of_evidence_is_found_and_shown() {
        let tenants = [tenant(
            1,
            "Contoso Ltd",
            &["contoso.com", "contoso.onmicrosoft.com"],
        )];
        let hints = vec![
            hint(5, EvidenceKind::TenantMap, ID, 1),
            hint(5, EvidenceKind::TenantId, ID, 1),
            hint(5, EvidenceKind::InitialDomain, "contoso.onmicrosoft.com", 1),
            hint(5, EvidenceKind::MailDomain, "contoso.com", 12),
            hint(5, EvidenceKind::Website, "contoso.com", 1),
        ];
        assert_eq!(
            shown(
                &tenants,
                vec![customer(5, "The Contoso", &["contoso.com"])],
                hints,
                &[]
            ),
            [format!(
                "5:100! tenantMap={ID} tenantId={ID} initialDomain=contoso.onmicrosoft.com mailDomain=contoso.com*12 \
                 customerDomain=contoso.com website=contoso.com name=The Contoso"
            )]
        );
    }

    #[test]
    fn a_domain_on_two_customers_ties_neither() {
        let tenants = [tenant(1, "X", &["contoso.com", "contoso.onmicrosoft.com"])];
        let customers = || vec![customer(5, "A", &[]), customer(6, "B", &["contoso.com"])];
        let mail = hint(5, EvidenceKind::MailDomain, "contoso.com", 3);
        assert_eq!(
            shown(&tenants, customers(), vec![mail.clone()], &[]),
            Vec::<String>::new()
        );
        let initial = |customer| {
            hint(
                customer,
                EvidenceKind::InitialDomain,
                "contoso.onmicrosoft.com",
                1,
            )
        };
        assert_eq!(
            shown(
                &tenants,
                vec![customer(5, "A", &[]), customer(6, "B", &[])],
                vec![initial(5), initial(6)],
                &[]
            ),
            Vec::<String>::new()
        );
        // A customer that is not active is not among those handed in, and holds nothing.
        let active = vec![customer(5, "A", &[])];
        assert_eq!(
            shown(
                &tenants,
                active,
                vec![mail, hint(9, EvidenceKind::Website, "contoso.com", 1)],
                &[]
            ),
            ["5:70 mailDomain=contoso.com*3"]
        );
    }

    #[test]
    fn a_tenant_id_on_two_customers_leaves_both_uncertain() {
        let tenants = [tenant(1, "X", &[])];
        let customers = vec![customer(5, "A", &[]), customer(6, "B", &[])];
        let hints = vec![
            hint(5, EvidenceKind::TenantId, ID, 1),
            hint(6, EvidenceKind::TenantMap, ID, 1),
        ];
        assert_eq!(
            shown(&tenants, customers, hints, &[]),
            [
                format!("5:95 tenantId={ID}"),
                format!("6:95 tenantMap={ID}")
            ]
        );
    }

    #[test]
    fn shared_and_own_domains_tie_nobody() {
        let tenants = [tenant(
            1,
            "X",
            &[
                "gmail.com",
                "msp.example",
                "m365.msp.example",
                "notmsp.example",
            ],
        )];
        let domains = [
            "gmail.com",
            "msp.example",
            "m365.msp.example",
            "notmsp.example",
        ];
        let customers = vec![customer(5, "A", &domains)];
        assert_eq!(
            shown(&tenants, customers, Vec::new(), &["msp.example"]),
            ["5:55 customerDomain=notmsp.example"]
        );
    }

    #[test]
    fn contacts_and_name_are_certain_together_and_a_name_alone_is_not() {
        let tenants = [tenant(1, "Müller GmbH", &["mueller.example"])];
        let customers = || vec![customer(5, "Mueller", &[]), customer(6, "Muller AG", &[])];
        let mail = |contacts| {
            vec![hint(
                5,
                EvidenceKind::MailDomain,
                "mueller.example",
                contacts,
            )]
        };
        assert_eq!(
            shown(&tenants, customers(), mail(2), &[]),
            [
                "5:72! mailDomain=mueller.example*2 name=Mueller",
                "6:25 name=Muller AG"
            ]
        );
        assert_eq!(
            shown(&tenants, customers(), mail(1), &[]),
            [
                "5:42 mailDomain=mueller.example*1 name=Mueller",
                "6:25 name=Muller AG"
            ]
        );
        assert_eq!(
            shown(&tenants, customers(), Vec::new(), &[]),
            ["5:25 name=Mueller", "6:25 name=Muller AG"]
        );
    }

    #[test]
    fn contacts_add_up_within_a_psa_and_not_between_two() {
        let tenants = [tenant(1, "X", &["contoso.com"])];
        let one = hint(5, EvidenceKind::MailDomain, "contoso.com", 1);
        let elsewhere = Hint {
            connection: PsaConnectionId::from_uuid(Uuid::from_u128(8)),
            ..one.clone()
        };
        let customers = || vec![customer(5, "A", &[])];
        let between = vec![one.clone(), elsewhere];
        assert_eq!(
            shown(&tenants, customers(), between, &[]),
            ["5:40 mailDomain=contoso.com*1"]
        );
        let within = vec![one.clone(), one];
        assert_eq!(
            shown(&tenants, customers(), within, &[]),
            ["5:70 mailDomain=contoso.com*2"]
        );
    }

    #[test]
    fn a_name_of_very_many_customers_says_nothing() {
        let tenants = [tenant(1, "Test", &[])];
        let many = |count: u128| {
            (1..=count)
                .map(|n| customer(n, "Test", &[]))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&tenants, many(10), Vec::new(), &[]).len(), 10);
        assert_eq!(shown(&tenants, many(11), Vec::new(), &[]).len(), 0);
    }

    #[test]
    fn two_thousand_tenants_and_ten_thousand_customers_find_each_other() {
        let tenants: Vec<TenantFacts> = (1..=2_000)
            .map(|n| {
                let (domain, initial) = (
                    format!("firm{n}.example"),
                    format!("firm{n}.onmicrosoft.com"),
                );
                tenant(n, &format!("Firm {n} Ltd"), &[&domain, &initial])
            })
            .collect();
        let customers = (1..=10_000)
            .map(|n| customer(n, &format!("Firm {n}"), &[]))
            .collect();
        let hints = (1..=10_000)
            .flat_map(|n| {
                let domain = format!("firm{n}.example");
                [
                    hint(n, EvidenceKind::MailDomain, &domain, 5),
                    hint(n, EvidenceKind::Website, &domain, 1),
                ]
            })
            .collect();
        let picture = Picture::new(&tenants, customers, hints, OwnDomains::new([]));
        for tenant in &tenants {
            let candidates = picture.candidates(tenant);
            let [only] = candidates.as_slice() else {
                panic!("{candidates:?}")
            };
            assert_eq!(only.customer.as_uuid(), tenant.tenant.as_uuid());
            assert!(only.certain && only.score == 74, "{only:?}");
        }
    }
}
