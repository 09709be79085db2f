//! Contacts: the domains of their mail addresses, read once for all companies (psa.md §B3).

use std::collections::BTreeSet;

use crate::{
    autotask::{
        Autotask,
        query::{List, Position, condition},
        wire::Contact,
    },
    contract::{Cursor, Evidence, HintPage, HintSource, TenantHint},
    domain,
    error::PsaError,
};

const FIELDS: [&str; 5] = [
    "companyID",
    "isActive",
    "emailAddress",
    "emailAddress2",
    "emailAddress3",
];

impl Autotask {
    /// A page of hints: all active contacts, 500 at a time.
    pub(super) async fn contact_hints(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<HintPage, PsaError> {
        // An integer here, not a boolean: Autotask compares types.
        let list = List::new("Contacts", vec![condition("eq", "isActive", 1)], &FIELDS);
        let at = match cursor {
            Some(cursor) => Some(Position::of(cursor, &list, &self.client)?),
            None => None,
        };
        let rows = match self.client.page::<Contact>(&list, at.as_ref()).await {
            Ok(rows) => rows,
            Err(PsaError::Permission { .. }) => {
                return Ok(HintPage {
                    items: Vec::new(),
                    next: None,
                    left_out: Some(HintSource::Contacts),
                });
            }
            Err(error) => return Err(error),
        };
        let next = match rows.next {
            Some(position) => Some(position.cursor()?),
            None => None,
        };
        Ok(HintPage {
            items: rows.items.into_iter().flat_map(hints).collect(),
            next,
            left_out: None,
        })
    }
}

/// One hint for each domain that a contact has addresses in.
fn hints(contact: Contact) -> Vec<TenantHint> {
    let Some(customer) = contact.company.filter(|id| id.0 != "0") else {
        return Vec::new();
    };
    if contact.is_active == Some(false) {
        return Vec::new();
    }
    let addresses = [
        contact.email_address,
        contact.email_address2,
        contact.email_address3,
    ];
    let evidence: BTreeSet<Evidence> = addresses
        .iter()
        .flatten()
        .filter_map(|address| domain::of_mail_address(address))
        .collect();
    let hint = |evidence| TenantHint {
        customer: customer.clone(),
        evidence,
    };
    evidence.into_iter().map(hint).collect()
}
