//! Companies, which are our customers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    autotask::{
        Autotask,
        errors::{addition, protocol},
        fields::Fields,
        http::Call,
        query::{List, Position, condition, every},
        wire::{Company, Country, Item},
    },
    contract::{Cursor, Customer, CustomerQuery, CustomerState, ExternalId, Label, Page},
    domain,
    error::PsaError,
};

/// When a company itself last changed. Whether one may ask by it is not documented (psa.md §B3).
const MODIFIED: &str = "lastTrackedModifiedDateTime";

/// When anything happened to it, notes and time entries included: more rows, none missing.
const ACTIVITY: &str = "lastActivityDate";

/// The MSP's own company.
const OWN: &str = "0";

/// How far a read of changes reaches back before the moment it was asked for: clocks differ, and rows
/// become visible after the time they carry.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);

/// The most pages of the list of countries, of which there are about 250.
const MOST_COUNTRY_PAGES: usize = 4;

/// The names of countries by their ids.
pub(super) type Countries = BTreeMap<ExternalId, String>;

impl Autotask {
    /// A page of companies.
    pub(super) async fn companies(
        &self,
        query: &CustomerQuery,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Customer>, PsaError> {
        let list = self.company_list(query).await?;
        let at = match cursor {
            Some(cursor) => Some(Position::of(cursor, &list, &self.client)?),
            None => None,
        };
        let mut expected = at.as_ref().and_then(|at| at.expected);
        if at.is_none() && query.modified_since.is_none() {
            self.heed_threshold().await?;
            // The count serves the display of progress only.
            expected = addition(self.client.count(&list).await)?.flatten();
        }
        let rows = self.client.page::<Company>(&list, at.as_ref()).await?;
        let items = self.customers(rows.items).await?;
        let next = match rows.next {
            Some(position) => Some(position.expecting(expected).cursor()?),
            None => None,
        };
        Ok(Page {
            items,
            next,
            expected,
        })
    }

    /// One company; the MSP's own one is none of its customers.
    pub(super) async fn company(&self, id: &ExternalId) -> Result<Option<Customer>, PsaError> {
        let Some(number) = number(id) else {
            return Ok(None);
        };
        let segments = ["Companies", number];
        let answer = match self.client.ask(&Call::get("Companies", &segments)).await {
            Ok(answer) => answer,
            Err(PsaError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let answer = Item::<Company>::deserialize(answer)
            .or(Err(protocol(200, "the answer is no company")))?;
        let customers = self.customers(answer.item.into_iter().collect()).await?;
        Ok(customers.into_iter().find(|customer| customer.id == *id))
    }

    /// The types that companies may have.
    pub(super) async fn company_types(&self) -> Result<Vec<Label>, PsaError> {
        Ok(self.company_fields().await?.choices("companyType"))
    }

    /// The names of the countries that are wanted; looked up once, for all.
    pub(super) async fn countries(&self, wanted: bool) -> Result<Arc<Countries>, PsaError> {
        if !wanted {
            return Ok(Arc::default());
        }
        self.countries
            .get(self.now(), self.look_up_countries())
            .await
    }

    async fn look_up_countries(&self) -> Result<Countries, PsaError> {
        let list = List::new("Countries", vec![every()], &["displayName", "name"]);
        let countries = self.client.all::<Country>(&list, MOST_COUNTRY_PAGES).await;
        // An address is one without its country too.
        let countries = addition(countries)?.unwrap_or_default();
        let named = countries.into_iter().filter_map(|country| {
            let name = country.display_name.or(country.name)?;
            Some((country.id?, name))
        });
        Ok(named.collect())
    }

    async fn company_list(&self, query: &CustomerQuery) -> Result<List, PsaError> {
        // The MSP's own company has the id 0.
        let mut filter = vec![condition("gt", "id", 0)];
        if !query.types.is_empty() {
            let types: Result<Vec<i64>, PsaError> =
                query.types.iter().map(|id| type_number(id)).collect();
            filter.push(condition("in", "companyType", types?));
        }
        if let Some(since) = query.modified_since {
            let since = (since - OVERLAP).format("%Y-%m-%dT%H:%M:%SZ").to_string();
            filter.push(condition("gte", self.change_field().await?, since));
        }
        Ok(List::whole("Companies", filter))
    }

    /// The field that tells what changed.
    async fn change_field(&self) -> Result<&'static str, PsaError> {
        let fields = addition(self.company_fields().await)?;
        let asks_by = fields.is_some_and(|fields| fields.is_queryable(MODIFIED));
        Ok(if asks_by { MODIFIED } else { ACTIVITY })
    }

    async fn customers(&self, companies: Vec<Company>) -> Result<Vec<Customer>, PsaError> {
        let companies: Vec<Company> = companies
            .into_iter()
            .filter(|company| company.id.as_ref().is_some_and(|id| id.0 != OWN))
            .collect();
        let typed = companies
            .iter()
            .any(|company| company.company_type.is_some());
        let fields = if typed {
            // Without the picklist a type is known by its id.
            addition(self.company_fields().await)?
        } else {
            None
        };
        let placed = companies
            .iter()
            .any(|company| company.place.country.is_some());
        let countries = self.countries(placed).await?;
        let unknown = Arc::new(Fields::unknown());
        let fields = fields.unwrap_or(unknown);
        let customers = companies
            .into_iter()
            .filter_map(|company| customer(company, &fields, &countries));
        Ok(customers.collect())
    }
}

/// An id as Autotask writes them; none for what can be no record's.
pub(super) fn number(id: &ExternalId) -> Option<&str> {
    let text = id.0.as_str();
    let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some(text)
}

/// The number in a filter, where types must match; none for what can be no record's.
pub(super) fn numeric(id: &ExternalId) -> Option<Value> {
    let number: i64 = number(id)?.parse().ok()?;
    Some(json!(number))
}

fn type_number(written: &str) -> Result<i64, PsaError> {
    written.trim().parse().or(Err(PsaError::Config {
        what: "customer types of Autotask are chosen by their numbers".to_owned(),
    }))
}

fn customer(company: Company, fields: &Fields, countries: &Countries) -> Option<Customer> {
    let id = company.id?;
    let name = company
        .company_name
        .or_else(|| company.company_number.clone());
    let custom = company.user_defined_fields.iter().filter_map(|field| {
        domain::of_custom_field(field.name.as_deref()?, field.value.as_deref()?)
    });
    let website = company.web_address.as_deref().and_then(domain::of_website);
    let evidence: BTreeSet<_> = custom.chain(website).collect();
    let country = company.place.country.as_ref();
    let country = country.and_then(|id| countries.get(id).cloned());
    Some(Customer {
        name: name.unwrap_or_else(|| id.0.clone()),
        code: company.company_number,
        state: if company.is_active == Some(false) {
            CustomerState::Inactive
        } else {
            CustomerState::Active
        },
        types: company
            .company_type
            .iter()
            .map(|id| fields.resolve("companyType", id))
            .collect(),
        phone: company.phone,
        website: company.web_address,
        address: company.place.address(country),
        updated_at: company
            .last_tracked_modified_date_time
            .or(company.last_activity_date),
        evidence: evidence.into_iter().collect(),
        id,
    })
}
