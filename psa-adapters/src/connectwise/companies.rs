//! Companies, which are our customers.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

use super::{
    ConnectWise,
    client::Call,
    paging::{List, known_number},
    records::{Company, TableRow, records},
    refusal::Right,
};
use crate::{
    contract::{
        Address, Cursor, Customer, CustomerQuery, CustomerState, Evidence, ExternalId, Label, Page,
    },
    domain,
    error::PsaError,
};

/// Changes become visible late, and clocks differ (psa.md §A3).
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// How long a look at the table of statuses is good for.
const STATUSES_LAST: TimeDelta = TimeDelta::minutes(10);

/// The table of statuses: what "active" is called is up to each MSP.
pub(super) struct Statuses {
    read_at: DateTime<Utc>,
    known: HashSet<ExternalId>,
    inactive: HashSet<ExternalId>,
}

impl ConnectWise {
    /// A page of companies. Inactive and deleted ones are among them.
    pub(super) async fn companies(
        &self,
        query: &CustomerQuery,
        cursor: Option<&Cursor>,
    ) -> Result<Page<Customer>, PsaError> {
        let list = List {
            path: "company/companies".to_owned(),
            conditions: query.modified_since.map(changed_since).unwrap_or_default(),
            child_conditions: of_types(&query.types)?,
            right: Right::Companies,
        };
        let page = list.page(&self.client, cursor).await?;
        let rows = page.rows.into_iter().map(|row| row.record).collect();
        let is_start_of_all = cursor.is_none() && query.modified_since.is_none();
        let items = self.customers(rows, is_start_of_all).await?;
        Ok(Page {
            items,
            next: page.next,
            expected: None,
        })
    }

    /// One company.
    pub(super) async fn company(&self, id: &ExternalId) -> Result<Option<Customer>, PsaError> {
        let Ok(number) = known_number(id) else {
            return Ok(None);
        };
        let call = Call::get(Right::Companies, &format!("company/companies/{number}"));
        let record: Value = match self.client.fetch(&call).await {
            Ok(record) => record,
            Err(PsaError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let customer = self.customers(vec![record], false).await?.pop();
        match customer {
            Some(customer) if customer.id == *id => Ok(Some(customer)),
            Some(_) | None => Err(PsaError::Protocol {
                status: 200,
                what: "the answer is not the company that was asked for".to_owned(),
            }),
        }
    }

    /// The types of companies.
    pub(super) async fn company_types(&self) -> Result<Vec<Label>, PsaError> {
        let list = List::all(Right::Tables, "company/companies/types");
        let rows: Vec<TableRow> = records(list.all_rows(&self.client).await?);
        Ok(rows.iter().filter_map(TableRow::label).collect())
    }

    async fn customers(
        &self,
        rows: Vec<Value>,
        with_fresh_statuses: bool,
    ) -> Result<Vec<Customer>, PsaError> {
        let companies: Vec<Company> = records(rows);
        if companies.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.client.transport().now();
        let known = self.known_statuses().filter(|statuses| {
            !with_fresh_statuses
                && now.signed_duration_since(statuses.read_at) < STATUSES_LAST
                && companies.iter().all(|company| statuses.knows(company))
        });
        let statuses = match known {
            Some(statuses) => statuses,
            None => self.read_statuses().await?,
        };
        Ok(companies
            .into_iter()
            .filter_map(|company| company.customer(&statuses))
            .collect())
    }

    /// Reads the table of statuses anew and keeps it.
    pub(super) async fn read_statuses(&self) -> Result<Arc<Statuses>, PsaError> {
        let list = List::all(Right::Tables, "company/companies/statuses");
        let rows: Vec<TableRow> = records(list.all_rows(&self.client).await?);
        let ids = |of: &dyn Fn(&TableRow) -> bool| {
            let rows = rows.iter().filter(|row| of(row));
            rows.filter_map(|row| row.id.clone()).collect()
        };
        let statuses = Arc::new(Statuses {
            read_at: self.client.transport().now(),
            known: ids(&|_| true),
            inactive: ids(&TableRow::is_inactive),
        });
        self.keep_statuses(&statuses);
        Ok(statuses)
    }
}

/// `>` with an overlap: `>=` found nothing on one server. Offsets break, so `Z` (psa.md §A3).
fn changed_since(moment: DateTime<Utc>) -> String {
    let from = moment
        .checked_sub_signed(OVERLAP)
        .unwrap_or(moment)
        .to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("lastUpdated>[{from}]")
}

/// Lists within records have conditions of their own.
fn of_types(types: &[String]) -> Result<String, PsaError> {
    let mut ids = Vec::with_capacity(types.len());
    for entered in types {
        let id =
            known_number(&ExternalId(entered.trim().to_owned())).or(Err(PsaError::Config {
                what: "customerTypes must hold the ids of company types".to_owned(),
            }))?;
        ids.push(id.to_string());
    }
    Ok(match ids.as_slice() {
        [] => String::new(),
        [one] => format!("types/id={one}"),
        several => format!("types/id in ({})", several.join(",")),
    })
}

impl Statuses {
    fn knows(&self, company: &Company) -> bool {
        let status = company
            .status
            .as_ref()
            .and_then(|status| status.id.as_ref());
        status.is_none_or(|id| self.known.contains(id))
    }
}

impl Company {
    /// The company in the words that all PSAs share; none without an id.
    fn customer(self, statuses: &Statuses) -> Option<Customer> {
        let evidence = self.evidence();
        let state = self.customer_state(statuses);
        let id = self.id?;
        let name = self.name.or_else(|| self.identifier.clone());
        Some(Customer {
            name: name.unwrap_or_else(|| id.0.clone()),
            code: self.identifier,
            state,
            types: self.types.into_iter().filter_map(|t| t.label()).collect(),
            phone: self.phone_number,
            website: self.website,
            address: Address {
                lines: [self.address_line1, self.address_line2]
                    .into_iter()
                    .flatten()
                    .collect(),
                city: self.city,
                state: self.state,
                postal_code: self.zip,
                country: self.country.and_then(|country| country.shown()),
            },
            updated_at: self.info.and_then(|info| info.last_updated),
            evidence,
            id,
        })
    }

    /// A status that the table does not list counts as active: nothing says otherwise.
    fn customer_state(&self, statuses: &Statuses) -> CustomerState {
        let status = self.status.as_ref().and_then(|status| status.id.as_ref());
        if self.deleted_flag == Some(true) {
            CustomerState::Deleted
        } else if status.is_some_and(|id| statuses.inactive.contains(id)) {
            CustomerState::Inactive
        } else {
            CustomerState::Active
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        let website = self.website.as_deref().and_then(domain::of_website);
        let of_fields = self.custom_fields.iter().filter_map(|field| {
            let name = field.caption.as_deref().unwrap_or_default();
            domain::of_custom_field(name, field.value.as_deref()?)
        });
        let mut all: Vec<Evidence> = website.into_iter().chain(of_fields).collect();
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests;
