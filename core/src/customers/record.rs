//! What a PSA says about a customer.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tenantry_psa::{Address, Customer as PsaCustomer, CustomerState, Label, PsaKind};

use crate::{ids::PsaConnectionId, names::without_nul, store::StoreError};

/// Characters of a customer's name, as where people write it.
const MOST_NAME: usize = 200;
/// Characters of any other text of a record: what is longer is none that people read.
const MOST_TEXT: usize = 500;

/// A customer as one PSA has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PsaRecord {
    /// The connection it came through.
    pub connection: PsaConnectionId,
    /// Which PSA.
    pub kind: PsaKind,
    /// Which system of that PSA.
    pub system: String,
    /// Its id there.
    pub external_id: String,
    /// Its name there.
    pub name: String,
    /// Its short code there.
    pub code: Option<String>,
    /// Whether it is a customer there.
    pub state: RecordState,
    /// What else it says.
    pub document: RecordDocument,
}

/// Whether a record is a customer at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// A customer.
    Active,
    /// Kept by the PSA but not active.
    Inactive,
    /// Marked as deleted by the PSA.
    Deleted,
    /// Full reads did not find it any more.
    Gone,
}

impl RecordState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Deleted => "deleted",
            Self::Gone => "gone",
        }
    }

    /// Reads a word that the database keeps.
    pub(super) fn stored(text: &str) -> Result<Self, StoreError> {
        [Self::Active, Self::Inactive, Self::Deleted, Self::Gone]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(StoreError::Corrupt {
                what: "state of a PSA record",
            })
    }
}

impl From<CustomerState> for RecordState {
    fn from(state: CustomerState) -> Self {
        match state {
            CustomerState::Active => Self::Active,
            CustomerState::Inactive => Self::Inactive,
            CustomerState::Deleted => Self::Deleted,
        }
    }
}

/// What a record says besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecordDocument {
    /// Its types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Label>,
    /// Phone, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Website, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// Address.
    pub address: Address,
    /// When it last changed there, as the PSA wrote it when we last stored a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// A record as it is to be stored: texts that both databases take, and a hash over what counts, of which
/// the first half stands for what every list tells (name and state) and the second for the rest.
pub(super) struct Told {
    pub(super) name: String,
    pub(super) code: Option<String>,
    pub(super) state: RecordState,
    pub(super) document: String,
    pub(super) hash: Vec<u8>,
    /// Whether the rest was told, too.
    pub(super) complete: bool,
}

/// Bytes of half a hash.
const HALF: usize = 16;

impl Told {
    /// What a PSA told. Times of changes are not in the hash: a change of what we do not keep is none.
    pub(super) fn of(customer: &PsaCustomer) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt { what: "PSA record" };
        let text = |text: &String| cut(&without_nul(text), MOST_TEXT);
        let mut document = RecordDocument {
            types: customer.types.clone(),
            phone: customer.phone.as_ref().map(text),
            website: customer.website.as_ref().map(text),
            address: customer.address.clone(),
            updated_at: None,
        };
        let name = cut(&without_nul(&customer.name), MOST_TEXT);
        let code = customer.code.as_ref().map(text);
        let evidence: Vec<(&str, &str)> = customer
            .evidence
            .iter()
            .map(|one| (one.kind.as_str(), one.value.as_str()))
            .collect();
        let half = |json: Result<Vec<u8>, serde_json::Error>| {
            let whole = digest(&SHA256, &json.or(Err(corrupt()))?);
            Ok::<_, StoreError>(
                whole
                    .as_ref()
                    .iter()
                    .copied()
                    .take(HALF)
                    .collect::<Vec<u8>>(),
            )
        };
        let mut hash = half(serde_json::to_vec(&(&name, customer.state.as_str())))?;
        hash.extend(half(serde_json::to_vec(&(&code, &document, evidence)))?);
        document.updated_at.clone_from(&customer.updated_at);
        Ok(Self {
            state: customer.state.into(),
            document: serde_json::to_string(&document).or(Err(corrupt()))?,
            hash,
            name,
            code,
            complete: customer.complete,
        })
    }

    /// Whether nothing of what was told differs from what is stored under this hash.
    pub(super) fn says(&self, stored: &[u8]) -> bool {
        if self.complete {
            self.hash == stored
        } else {
            self.hash.get(..HALF) == stored.get(..HALF)
        }
    }

    /// Takes over what is stored of the rest, which was not told.
    pub(super) fn keep_rest(&mut self, code: Option<String>, document: String, stored: &[u8]) {
        self.code = code;
        self.document = document;
        self.hash.truncate(HALF);
        self.hash.extend(stored.iter().skip(HALF));
    }
}

/// The name of a customer made from what a PSA calls it: what people may write (`names::checked_name`).
pub(super) fn customer_name(name: &str, external_id: &str) -> String {
    let visible: String = without_nul(name)
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one })
        .collect();
    let name = cut(visible.trim(), MOST_NAME);
    match name.trim() {
        "" => external_id.to_owned(),
        name => name.to_owned(),
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use tenantry_psa::{Evidence, EvidenceKind, ExternalId};

    use super::*;

    fn told() -> PsaCustomer {
        PsaCustomer {
            id: ExternalId("7".to_owned()),
            name: "Harbour Dental".to_owned(),
            code: Some("HARB".to_owned()),
            state: CustomerState::Active,
            types: Vec::new(),
            phone: None,
            website: Some("harbour.example".to_owned()),
            address: Address::default(),
            updated_at: Some("2026-11-22T01:00:00Z".to_owned()),
            evidence: vec![Evidence {
                kind: EvidenceKind::Website,
                value: "harbour.example".to_owned(),
            }],
            complete: true,
        }
    }

    #[test]
    fn only_what_counts_makes_a_record_another_one() {
        let hash = |change: fn(&mut PsaCustomer)| {
            let mut customer = told();
            change(&mut customer);
            Told::of(&customer).unwrap().hash
        };
        let before = hash(|_| {});
        assert_eq!(before, hash(|one| one.updated_at = None));
        assert_ne!(before, hash(|one| one.name.push('!')));
        assert_ne!(before, hash(|one| one.state = CustomerState::Inactive));
        assert_ne!(before, hash(|one| one.evidence.clear()));
        assert_ne!(before, hash(|one| one.phone = Some("1".to_owned())));
    }

    #[test]
    fn what_a_list_leaves_out_stands_as_it_was_known() {
        let known = Told::of(&told()).unwrap();
        let mut thin = told();
        (thin.code, thin.website, thin.evidence) = (None, None, Vec::new());
        assert!(!Told::of(&thin).unwrap().says(&known.hash));
        thin.complete = false;
        assert!(Told::of(&thin).unwrap().says(&known.hash));
        thin.name.push('!');
        let mut renamed = Told::of(&thin).unwrap();
        assert!(!renamed.says(&known.hash));
        renamed.keep_rest(known.code.clone(), known.document.clone(), &known.hash);
        let mut whole = told();
        whole.name.push('!');
        assert!(Told::of(&whole).unwrap().says(&renamed.hash));
    }

    #[test]
    fn names_become_such_as_people_may_write() {
        let long = "ü".repeat(300);
        assert_eq!(customer_name(" A\tB\u{0}C ", "7"), "A BC");
        assert_eq!(customer_name(" \n", "7"), "7");
        assert_eq!(customer_name(&long, "7").chars().count(), 200);
        for name in ["A\tB", &long] {
            crate::names::checked_name(&customer_name(name, "7")).unwrap();
        }
    }
}
