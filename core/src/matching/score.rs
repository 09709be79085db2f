//! How much evidence is worth, and when a match is certain.

use crate::ids::{CustomerId, PsaConnectionId};

/// Contacts from which on a mail domain is a customer's own.
const ENOUGH_CONTACTS: i64 = 2;
/// What each further kind of evidence adds, in hundredths.
const FURTHER: u8 = 2;
/// Most candidates of one tenant; weaker ones are left out.
pub const MOST_CANDIDATES: usize = 10;

/// What ties a tenant to a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchKind {
    /// The PSA's own map of Microsoft tenants names the tenant.
    TenantMap,
    /// A custom field at the PSA holds the tenant's id.
    TenantId,
    /// The tenant's `*.onmicrosoft.com` name stands at the customer.
    InitialDomain,
    /// Contacts have addresses in a verified domain of the tenant.
    MailDomain,
    /// A verified domain of the tenant stands among the customer's domains here.
    CustomerDomain,
    /// The customer's website is in a verified domain of the tenant.
    Website,
    /// Both have the same name, legal forms and the like left out.
    Name,
}

impl MatchKind {
    /// All of them, the strongest first.
    pub const ALL: [Self; 7] = [
        Self::TenantMap,
        Self::TenantId,
        Self::InitialDomain,
        Self::MailDomain,
        Self::CustomerDomain,
        Self::Website,
        Self::Name,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantMap => "tenantMap",
            Self::TenantId => "tenantId",
            Self::InitialDomain => "initialDomain",
            Self::MailDomain => "mailDomain",
            Self::CustomerDomain => "customerDomain",
            Self::Website => "website",
            Self::Name => "name",
        }
    }

    /// Whether it names one tenant and no other: Microsoft gives each of them once.
    const fn names_the_tenant(self) -> bool {
        match self {
            Self::TenantMap | Self::TenantId | Self::InitialDomain => true,
            Self::MailDomain | Self::CustomerDomain | Self::Website | Self::Name => false,
        }
    }
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchEvidence {
    /// What it is.
    pub kind: MatchKind,
    /// The tenant's id, a domain, or the customer's name.
    pub value: String,
    /// The connections to PSAs that it came through; none for what was written here.
    pub connections: Vec<PsaConnectionId>,
    /// How many contacts say so, where contacts do.
    pub contacts: Option<i64>,
}

impl MatchEvidence {
    /// What it is worth alone, in hundredths.
    fn strength(&self) -> u8 {
        match self.kind {
            MatchKind::TenantMap | MatchKind::TenantId => 95,
            MatchKind::InitialDomain => 83,
            MatchKind::MailDomain if self.has_enough_contacts() => 70,
            MatchKind::CustomerDomain | MatchKind::Website => 55,
            MatchKind::MailDomain => 40,
            MatchKind::Name => 25,
        }
    }

    fn has_enough_contacts(&self) -> bool {
        self.contacts
            .is_some_and(|contacts| contacts >= ENOUGH_CONTACTS)
    }
}

/// A customer that a tenant may belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The customer.
    pub customer: CustomerId,
    /// Its name.
    pub name: String,
    /// How much speaks for it, in hundredths: 0 to 100.
    pub score: u8,
    /// Whether it may be used without asking anybody.
    pub certain: bool,
    /// What speaks for it, the strongest first. Never empty.
    pub evidence: Vec<MatchEvidence>,
}

impl Candidate {
    /// A candidate with this evidence, not compared with others yet.
    pub(super) fn new(
        customer: CustomerId,
        name: String,
        mut evidence: Vec<MatchEvidence>,
    ) -> Self {
        evidence.sort_by(|one, other| {
            let place = |evidence: &MatchEvidence| (100 - evidence.strength(), evidence.kind);
            place(one)
                .cmp(&place(other))
                .then_with(|| one.value.cmp(&other.value))
        });
        Self {
            customer,
            name,
            score: score(&evidence),
            certain: false,
            evidence,
        }
    }

    fn has(&self, kind: impl Fn(&MatchEvidence) -> bool) -> bool {
        self.evidence.iter().any(kind)
    }

    fn names_the_tenant(&self) -> bool {
        self.has(|evidence| evidence.kind.names_the_tenant())
    }

    fn has_its_name(&self) -> bool {
        self.has(|evidence| evidence.kind == MatchKind::Name)
    }

    fn has_more_than_its_name(&self) -> bool {
        self.has(|evidence| evidence.kind != MatchKind::Name)
    }

    /// Contacts in a verified domain, and the name.
    fn is_known_by_contacts_and_name(&self) -> bool {
        let contacts = |evidence: &MatchEvidence| {
            evidence.kind == MatchKind::MailDomain && evidence.has_enough_contacts()
        };
        self.has(contacts) && self.has_its_name()
    }

    /// Whether it speaks against another candidate. A name that the other one has as well does not.
    fn contradicts(&self, other: &Self) -> bool {
        self.has_more_than_its_name() || !other.has_its_name()
    }
}

/// The strength of the strongest, and a little for each further kind.
fn score(evidence: &[MatchEvidence]) -> u8 {
    let strongest = evidence.iter().map(MatchEvidence::strength).max();
    let kinds = MatchKind::ALL
        .into_iter()
        .filter(|kind| evidence.iter().any(|evidence| evidence.kind == *kind))
        .count();
    let further = u8::try_from(kinds.saturating_sub(1)).unwrap_or(u8::MAX);
    strongest
        .unwrap_or(0)
        .saturating_add(further.saturating_mul(FURTHER))
        .min(100)
}

/// Says which candidate of one tenant is certain, if one is, and puts the strongest first.
pub(super) fn ranked(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    let certain = match candidates.as_slice() {
        [] => None,
        several => {
            let mut worthy = several.iter().filter(|candidate| {
                candidate.names_the_tenant() || candidate.is_known_by_contacts_and_name()
            });
            match (worthy.next(), worthy.next()) {
                (Some(only), None) => several
                    .iter()
                    .filter(|other| other.customer != only.customer)
                    .all(|other| !other.contradicts(only))
                    .then_some(only.customer),
                (Some(_), Some(_)) | (None, _) => None,
            }
        }
    };
    for candidate in &mut candidates {
        candidate.certain = certain == Some(candidate.customer);
    }
    candidates.sort_by_key(|candidate| (100 - candidate.score, candidate.customer));
    candidates.truncate(MOST_CANDIDATES);
    candidates
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn evidence(kind: MatchKind, contacts: Option<i64>) -> MatchEvidence {
        MatchEvidence {
            kind,
            value: "x".to_owned(),
            connections: Vec::new(),
            contacts,
        }
    }

    fn id(number: u128) -> CustomerId {
        CustomerId::from_uuid(Uuid::from_u128(number))
    }

    /// A candidate by the letters of its evidence: `i`d, tenant `t`able, `o`nmicrosoft, `M`any contacts,
    /// one contact `m`, `d`omain, `w`ebsite, `n`ame.
    fn candidate(number: u128, letters: &str) -> Candidate {
        let evidence = letters.chars().map(|letter| match letter {
            't' => evidence(MatchKind::TenantMap, None),
            'i' => evidence(MatchKind::TenantId, None),
            'o' => evidence(MatchKind::InitialDomain, None),
            'M' => evidence(MatchKind::MailDomain, Some(2)),
            'm' => evidence(MatchKind::MailDomain, Some(1)),
            'd' => evidence(MatchKind::CustomerDomain, None),
            'w' => evidence(MatchKind::Website, None),
            'n' => evidence(MatchKind::Name, None),
            other => panic!("{other}"),
        });
        Candidate::new(id(number), "A".to_owned(), evidence.collect())
    }

    #[test]
    fn stronger_evidence_is_worth_more_whatever_stands_beside_the_weaker() {
        let alone = |letters: &str| candidate(1, letters).score;
        let classes = ["n", "m", "dw", "M", "o", "ti"];
        for (position, class) in classes.iter().enumerate() {
            let weaker: String = classes[..position].concat();
            for letter in class.chars() {
                let letter = letter.to_string();
                // One kind counts once, so the same kind with more contacts takes the weaker's place.
                let everything_weaker = candidate(1, &weaker).score;
                assert!(
                    alone(&letter) > everything_weaker || weaker.is_empty(),
                    "{letter} {weaker}"
                );
            }
        }
        assert_eq!(
            [alone("t"), alone("i"), alone("o"), alone("M")],
            [95, 95, 83, 70]
        );
        assert_eq!(
            [alone("w"), alone("d"), alone("m"), alone("n")],
            [55, 55, 40, 25]
        );
        assert_eq!(alone("on"), 85);
        assert_eq!(alone("tioMdwn"), 100);
    }

    #[test]
    fn a_match_is_certain_where_one_customer_alone_is_meant() {
        for (candidates, certain) in [
            (&["t"][..], Some(1)),
            (&["i"], Some(1)),
            (&["o"], Some(1)),
            (&["io"], Some(1)),
            // Ambiguous: the same id or different names of the tenant on two.
            (&["i", "i"], None),
            (&["t", "i"], None),
            (&["i", "o"], None),
            // Something speaks for another one.
            (&["i", "M"], None),
            (&["i", "m"], None),
            (&["i", "w"], None),
            (&["i", "d"], None),
            (&["i", "n"], None),
            // A namesake says nothing against who has the name as well.
            (&["in", "n"], Some(1)),
            (&["in", "n", "n"], Some(1)),
            (&["in", "nm"], None),
            // Contacts and name, and no one else.
            (&["Mn"], Some(1)),
            (&["Mn", "n"], Some(1)),
            (&["Mn", "m"], None),
            (&["Mn", "Mn"], None),
            (&["Mn", "o"], None),
            (&["mn"], None),
            (&["M"], None),
            (&["wn"], None),
            (&["dwn"], None),
            // A name alone never.
            (&["n"], None),
            (&[], None),
        ] {
            let made = candidates
                .iter()
                .zip(1..)
                .map(|(letters, n)| candidate(n, letters));
            let ranked = ranked(made.collect());
            let found: Vec<_> = ranked
                .iter()
                .filter(|one| one.certain)
                .map(|one| one.customer)
                .collect();
            let expected: Vec<_> = certain.map(id).into_iter().collect();
            assert_eq!(found, expected, "{candidates:?}");
        }
    }

    #[test]
    fn the_strongest_come_first_and_ten_are_the_most() {
        let many = (1..=20).map(|n| candidate(n, if n == 20 { "w" } else { "n" }));
        let ranked = ranked(many.collect());
        assert_eq!(ranked.len(), MOST_CANDIDATES);
        assert_eq!(ranked.first().unwrap().customer, id(20));
        assert_eq!(ranked.get(1).unwrap().customer, id(1));
    }
}
