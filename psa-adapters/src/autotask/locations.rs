//! Locations, which are the sites of a customer.

use crate::{
    autotask::{
        Autotask,
        companies::numeric,
        query::{List, condition},
        wire::Location,
    },
    contract::{ExternalId, Site},
    error::PsaError,
};

const FIELDS: [&str; 11] = [
    "companyID",
    "name",
    "address1",
    "address2",
    "city",
    "state",
    "postalCode",
    "countryID",
    "phone",
    "isActive",
    "isPrimary",
];

/// The most pages of one company's locations: 10,000 of them.
const MOST_PAGES: usize = 20;

impl Autotask {
    /// The locations of a company.
    pub(super) async fn locations(&self, company: &ExternalId) -> Result<Vec<Site>, PsaError> {
        let id = numeric(company).ok_or(PsaError::NotFound)?;
        let list = List::new(
            "CompanyLocations",
            vec![condition("eq", "companyID", id)],
            &FIELDS,
        );
        let locations = self.client.all::<Location>(&list, MOST_PAGES).await?;
        let placed = locations
            .iter()
            .any(|location| location.place.country.is_some());
        let countries = self.countries(placed).await?;
        let sites = locations.into_iter().filter_map(|location| {
            let id = location.id?;
            let country = location.place.country.as_ref();
            let country = country.and_then(|id| countries.get(id).cloned());
            Some(Site {
                name: location.name.unwrap_or_else(|| id.0.clone()),
                address: location.place.address(country),
                phone: location.phone,
                primary: location.is_primary.unwrap_or(false),
                active: location.is_active.unwrap_or(true),
                id,
            })
        });
        Ok(sites.collect())
    }
}
