//! Contacts: the domains of their mail addresses are hints.

use std::collections::BTreeSet;

use super::{
    ConnectWise,
    paging::List,
    records::{Contact, records},
    refusal::Right,
};
use crate::{
    contract::{Cursor, HintPage, HintSource, TenantHint},
    domain,
    error::PsaError,
};

impl ConnectWise {
    /// A page of what active contacts tell.
    pub(super) async fn hints(&self, cursor: Option<&Cursor>) -> Result<HintPage, PsaError> {
        let list = List {
            path: "company/contacts".to_owned(),
            conditions: "inactiveFlag=false".to_owned(),
            child_conditions: String::new(),
            right: Right::Contacts,
        };
        let page = match list.page(&self.client, cursor).await {
            Ok(page) => page,
            Err(PsaError::Permission { .. }) => {
                return Ok(HintPage {
                    items: Vec::new(),
                    next: None,
                    left_out: Some(HintSource::Contacts),
                });
            }
            Err(error) => return Err(error),
        };
        let contacts: Vec<Contact> = records(page.rows.into_iter().map(|row| row.record).collect());
        Ok(HintPage {
            items: contacts.into_iter().flat_map(Contact::hints).collect(),
            next: page.next,
            left_out: None,
        })
    }
}

impl Contact {
    /// One hint for each domain, however many addresses the contact has there.
    fn hints(self) -> Vec<TenantHint> {
        let Some(customer) = self.company.and_then(|company| company.id) else {
            return Vec::new();
        };
        if self.inactive_flag == Some(true) {
            return Vec::new();
        }
        let evidence: BTreeSet<_> = self
            .communication_items
            .iter()
            .filter(|item| item.communication_type.as_deref() == Some("Email"))
            .filter_map(|item| domain::of_mail_address(item.value.as_deref()?))
            .collect();
        let hint = |evidence| TenantHint {
            customer: customer.clone(),
            evidence,
        };
        evidence.into_iter().map(hint).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        connectwise::harness::{API, opened},
        contract::{HintSource, PsaAdapter},
        error::PsaError,
        scripted::get,
    };

    fn mail(value: &str) -> serde_json::Value {
        json!({"type": {"id": 7, "name": "Work mail"}, "communicationType": "Email", "value": value})
    }

    #[tokio::test]
    async fn each_domain_of_an_active_contact_counts_once() {
        let (psa, adapter) = opened();
        psa.expect(
            get(&format!("{API}/company/contacts"))
                .query("conditions", "inactiveFlag=false")
                .header("pagination-type", "forward-only")
                .answer(
                    200,
                    json!([
                        {"id": 1, "company": {"id": 250.0}, "communicationItems": [
                            mail("a@Harbour.example"), mail("b@harbour.example"), mail("c@other.example"),
                            mail("d@outlook.com"), mail("no address"), mail(""),
                            {"type": {"name": "Email"}, "communicationType": "Phone", "value": "x@phone.example"},
                            {"communicationType": "Email", "value": null}, null, 3]},
                        {"id": 2, "company": {"id": 250}, "communicationItems": [mail("e@harbour.example")]},
                        {"id": 3, "company": {}, "communicationItems": [mail("f@harbour.example")]},
                        {"id": 4, "company": null},
                        {"id": 5, "company": {"id": 251}},
                        {"id": 6, "company": {"id": 251}, "communicationItems": null},
                        {"id": 7, "company": {"id": 251}, "inactiveFlag": true,
                         "communicationItems": [mail("g@left.example")]},
                        {"id": 8, "company": {"id": 252}, "communicationItems": [mail("h@tarn.onmicrosoft.com")]}
                    ]),
                ),
        );
        let page = adapter.list_hints(None).await.unwrap();
        let told: Vec<String> = page
            .items
            .iter()
            .map(|hint| format!("{} {}", hint.customer, hint.evidence.value))
            .collect();
        assert_eq!(
            told,
            [
                "250 harbour.example",
                "250 other.example",
                "250 harbour.example",
                "252 tarn.onmicrosoft.com"
            ]
        );
        psa.expect(
            get(&format!("{API}/company/contacts"))
                .query("pageId", "8")
                .answer(200, json!([])),
        );
        let page = adapter.list_hints(page.next.as_ref()).await.unwrap();
        assert!(page.items.is_empty() && page.next.is_none());
        psa.finish();
    }

    #[tokio::test]
    async fn without_the_right_contacts_are_left_out() {
        let (psa, adapter) = opened();
        psa.expect(get(&format!("{API}/company/contacts")).answer(
            403,
            json!({"code": "Security", "message": "You do not have security permission to perform this action."}),
        ));
        let page = adapter.list_hints(None).await.unwrap();
        assert_eq!(page.left_out, Some(HintSource::Contacts));
        assert!(page.items.is_empty() && page.next.is_none());

        psa.expect(get(&format!("{API}/company/contacts")).answer_raw(403, "text/html", "<html>"));
        assert!(matches!(
            adapter.list_hints(None).await,
            Err(PsaError::Protocol { status: 403, .. })
        ));
    }
}
