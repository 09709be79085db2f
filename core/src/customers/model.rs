//! What a customer is, and what people may write into one.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::{
    ids::{CustomerId, TenantId},
    microsoft::tenant_lookup::TenantHint,
    names::{InvalidName, checked_name},
};

/// Domains a customer may have.
const MOST_DOMAINS: usize = 100;

/// A customer of an MSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// UUIDv7.
    pub id: CustomerId,
    /// As people write it.
    pub name: String,
    /// Domain names in lower case, international ones as punycode, each once.
    pub domains: Vec<String>,
    /// Where it came from.
    pub source: CustomerSource,
    /// Its id at the source; none when made by hand.
    pub external_id: Option<String>,
    /// False after deactivation.
    pub active: bool,
    /// Every tenant mapped to it, revoked ones included, by id.
    pub tenants: Vec<TenantId>,
    /// Grows with each change.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

/// Where a customer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CustomerSource {
    /// Made by hand.
    Manual,
    /// ConnectWise Manage.
    ConnectWise,
    /// Autotask PSA.
    Autotask,
    /// HaloPSA.
    HaloPsa,
}

/// A text that names no source.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a source of customers")]
pub struct UnknownSource;

impl CustomerSource {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Manual,
        Self::ConnectWise,
        Self::Autotask,
        Self::HaloPsa,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::ConnectWise => "connectwise",
            Self::Autotask => "autotask",
            Self::HaloPsa => "halopsa",
        }
    }
}

impl FromStr for CustomerSource {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or(UnknownSource)
    }
}

/// What a person writes to create a customer; not checked yet.
#[derive(Debug, Clone, Default)]
pub struct NewCustomer {
    /// Name.
    pub name: String,
    /// Domains.
    pub domains: Vec<String>,
}

/// What a person changes; what is `None` stays. Not checked yet.
#[derive(Debug, Clone, Default)]
pub struct CustomerChange {
    /// The new name.
    pub name: Option<String>,
    /// The new domains, all of them.
    pub domains: Option<Vec<String>>,
    /// True brings a deactivated customer back; false deactivates.
    pub active: Option<bool>,
}

/// A field that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Which one.
    pub field: Field,
    /// What is wrong with it.
    pub why: Why,
}

/// A field of a customer that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The name.
    Name,
    /// The list of domains as a whole.
    Domains,
    /// One domain, counted from 0 as it was written.
    Domain(usize),
}

/// Why a field cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not a name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// More than 100 domains.
    #[error("must have at most 100 entries")]
    TooManyDomains,
    /// Not a domain name with at least two labels.
    #[error("must be a domain name such as contoso.com")]
    NotADomain,
}

impl NewCustomer {
    /// The fields as they are kept, or everything that is wrong with them.
    pub(super) fn checked(self) -> Result<(String, Vec<String>), Vec<FieldFault>> {
        let mut faults = Vec::new();
        let name = name(&self.name, &mut faults);
        let domains = domains(&self.domains, &mut faults);
        if faults.is_empty() {
            Ok((name, domains))
        } else {
            Err(faults)
        }
    }
}

impl CustomerChange {
    /// The change with its fields as they are kept, or everything that is wrong with them.
    pub(super) fn checked(self) -> Result<Self, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let change = Self {
            name: self.name.map(|text| name(&text, &mut faults)),
            domains: self.domains.map(|texts| domains(&texts, &mut faults)),
            active: self.active,
        };
        if faults.is_empty() {
            Ok(change)
        } else {
            Err(faults)
        }
    }

    /// The customer after the change, and the names of the fields that differ.
    pub(super) fn applied_to(&self, before: &Customer) -> (Customer, Vec<&'static str>) {
        let mut after = before.clone();
        after
            .name
            .clone_from(self.name.as_ref().unwrap_or(&before.name));
        after
            .domains
            .clone_from(self.domains.as_ref().unwrap_or(&before.domains));
        after.active = self.active.unwrap_or(before.active);
        let differs = [
            ("name", after.name != before.name),
            ("domains", after.domains != before.domains),
            ("active", after.active != before.active),
        ];
        let fields = differs
            .into_iter()
            .filter_map(|(field, differs)| differs.then_some(field));
        (after, fields.collect())
    }
}

/// Domains in one spelling, each once, or everything that is wrong with them.
pub(crate) fn checked_domains(texts: &[String]) -> Result<Vec<String>, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let domains = domains(texts, &mut faults);
    if faults.is_empty() {
        Ok(domains)
    } else {
        Err(faults)
    }
}

fn name(text: &str, faults: &mut Vec<FieldFault>) -> String {
    match checked_name(text) {
        Ok(name) => name,
        Err(why) => {
            faults.push(FieldFault {
                field: Field::Name,
                why: why.into(),
            });
            String::new()
        }
    }
}

/// Domains in the order they were written, each once.
fn domains(texts: &[String], faults: &mut Vec<FieldFault>) -> Vec<String> {
    if texts.len() > MOST_DOMAINS {
        faults.push(FieldFault {
            field: Field::Domains,
            why: Why::TooManyDomains,
        });
        return Vec::new();
    }
    let mut domains = Vec::with_capacity(texts.len());
    for (position, text) in texts.iter().enumerate() {
        // The rule by which a tenant is connected: a domain that is kept here can be typed there.
        match TenantHint::parse(text) {
            Ok(TenantHint::Domain(domain)) if domains.contains(&domain) => {}
            Ok(TenantHint::Domain(domain)) => domains.push(domain),
            Ok(TenantHint::Id(_)) | Err(_) => {
                faults.push(FieldFault {
                    field: Field::Domain(position),
                    why: Why::NotADomain,
                });
            }
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, domains: &[&str]) -> NewCustomer {
        NewCustomer {
            name: name.to_owned(),
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        }
    }

    #[test]
    fn domains_are_kept_in_one_spelling_and_once() {
        let written = [
            " Contoso.COM ",
            "bücher.example",
            "contoso.com",
            "xn--bcher-kva.example",
        ];
        let (name, domains) = new(" Contoso ", &written).checked().unwrap();
        assert_eq!(name, "Contoso");
        assert_eq!(domains, ["contoso.com", "xn--bcher-kva.example"]);
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let label = "a".repeat(64);
        let long = format!("{}.com", vec!["a".repeat(60); 5].join("."));
        let wrong = [
            "contoso",
            "contoso.com",
            "-a.com",
            "a-.com",
            "a_b.com",
            "a..com",
            "a.com.",
            "",
            "127.0.0.1",
            "[::1]",
            "a.com/x",
            "user@a.com",
            "http://a.com",
            "b4c546a4-7dac-46a6-a7dd-ed822a11efd3",
            &format!("{label}.com"),
            &long,
            "a%2eb.com",
        ];
        let faults = new("", &wrong).checked().unwrap_err();
        let expected = wrong
            .iter()
            .enumerate()
            .filter(|(_, text)| **text != "contoso.com");
        let domains = expected.map(|(position, _)| FieldFault {
            field: Field::Domain(position),
            why: Why::NotADomain,
        });
        let mut all = vec![FieldFault {
            field: Field::Name,
            why: InvalidName::Empty.into(),
        }];
        all.extend(domains);
        assert_eq!(faults, all);
    }

    #[test]
    fn a_hundred_domains_are_the_most() {
        let many: Vec<String> = (0..=MOST_DOMAINS)
            .map(|n| format!("d{n}.example"))
            .collect();
        let written = |domains: &[String]| NewCustomer {
            name: "a".to_owned(),
            domains: domains.to_vec(),
        };
        assert_eq!(written(&many[1..]).checked().unwrap().1.len(), 100);
        let fault = FieldFault {
            field: Field::Domains,
            why: Why::TooManyDomains,
        };
        assert_eq!(written(&many).checked(), Err(vec![fault]));
    }

    #[test]
    fn a_change_names_the_fields_that_differ() {
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let before = Customer {
            id: CustomerId::from_uuid(uuid::Uuid::from_u128(1)),
            name: "Contoso".to_owned(),
            domains: vec!["contoso.com".to_owned()],
            source: CustomerSource::Manual,
            external_id: None,
            active: true,
            tenants: Vec::new(),
            version: 1,
            created_at: at,
            changed_at: at,
        };
        let nothing = CustomerChange {
            name: Some("Contoso".to_owned()),
            ..CustomerChange::default()
        };
        assert_eq!(nothing.applied_to(&before), (before.clone(), vec![]));
        let change = CustomerChange {
            name: None,
            domains: Some(vec![]),
            active: Some(false),
        };
        let (after, fields) = change.applied_to(&before);
        assert_eq!(fields, ["domains", "active"]);
        assert_eq!(
            (after.name.as_str(), after.domains.len(), after.active),
            ("Contoso", 0, false)
        );
    }
}
