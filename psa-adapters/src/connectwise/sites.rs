//! Sites of a company.

use super::{
    ConnectWise,
    paging::{List, known_number},
    records::{SiteRecord, records},
    refusal::Right,
};
use crate::{
    contract::{Address, ExternalId, Site},
    error::PsaError,
};

impl ConnectWise {
    /// All sites of a company.
    pub(super) async fn sites(&self, company: &ExternalId) -> Result<Vec<Site>, PsaError> {
        let number = known_number(company)?;
        let list = List::all(
            Right::Companies,
            &format!("company/companies/{number}/sites"),
        );
        let rows: Vec<SiteRecord> = records(list.all_rows(&self.client).await?);
        Ok(rows.into_iter().filter_map(SiteRecord::site).collect())
    }
}

impl SiteRecord {
    fn site(self) -> Option<Site> {
        let id = self.id?;
        Some(Site {
            name: self.name.unwrap_or_else(|| id.0.clone()),
            address: Address {
                lines: [self.address_line1, self.address_line2]
                    .into_iter()
                    .flatten()
                    .collect(),
                city: self.city,
                state: self.state_reference.and_then(|state| state.shown()),
                postal_code: self.zip,
                country: self.country.and_then(|country| country.shown()),
            },
            phone: self.phone_number,
            primary: self.primary_address_flag == Some(true),
            active: self.inactive_flag != Some(true),
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        connectwise::harness::{API, opened},
        contract::{ExternalId, PsaAdapter},
        error::PsaError,
        scripted::get,
    };

    #[tokio::test]
    async fn sites_are_read_with_their_states_by_reference() {
        let (psa, adapter) = opened();
        psa.expect(get(&format!("{API}/company/companies/250/sites")).answer(
            200,
            json!([
                {"id": 310.0, "name": "Main", "addressLine1": "1 Quay", "addressLine2": "", "city": "Bristol",
                 "stateReference": {"id": 88, "identifier": "AVN", "name": "Avon"}, "zip": 1234,
                 "country": {"id": 3, "name": "United Kingdom"}, "phoneNumber": "0117", "primaryAddressFlag": true},
                {"id": 402, "name": null, "stateReference": {}, "country": null, "inactiveFlag": true}
            ]),
        ));
        let sites = adapter
            .list_sites(&ExternalId("250".to_owned()))
            .await
            .unwrap();
        assert_eq!(sites[0].id.0, "310");
        assert_eq!(sites[0].address.lines, ["1 Quay"]);
        assert_eq!(sites[0].address.state.as_deref(), Some("Avon"));
        assert_eq!(sites[0].address.postal_code.as_deref(), Some("1234"));
        assert!(sites[0].primary && sites[0].active);
        assert_eq!(sites[1].name, "402");
        assert!(!sites[1].primary && !sites[1].active);
        psa.finish();
    }

    #[tokio::test]
    async fn an_id_that_is_none_asks_nothing() {
        let (psa, adapter) = opened();
        for id in ["", "../250", "250/sites", "-1", "x"] {
            let id = ExternalId(id.to_owned());
            assert_eq!(adapter.list_sites(&id).await, Err(PsaError::NotFound));
            assert_eq!(adapter.get_customer(&id).await, Ok(None));
        }
        assert!(psa.sent().is_empty());
    }
}
