//! `/users`, one user, and how many there are.

use super::{
    answer::Answer,
    call::Call,
    filter::Filter,
    listing::{Continued, Listing, nothing_more},
    permission::Need,
    select::Selected,
};
use crate::fake_microsoft::directory::{
    entity::{Members, Schema, quoted},
    schemas::USER,
};

/// What an app with `User.ReadBasic.All` alone may select.
const BASIC: [&str; 7] = [
    "id",
    "displayName",
    "givenName",
    "surname",
    "mail",
    "userPrincipalName",
    "photo",
];

/// Pages without and with sign-in activity.
const PAGE: usize = 999;
const PAGE_WITH_ACTIVITY: usize = 500;

/// `GET /users`.
pub fn list(call: &Call<'_>) -> Result<Answer, Answer> {
    call.require(Need::Users)?;
    call.allow(&["$select", "$top", "$filter", "$count", "$skiptoken"])?;
    let selected = call.select(&USER, &[])?;
    refuse_beyond_basic(call, &selected)?;
    let activity = selected.names("signInActivity");
    let directory = call.tenant.directory.lock().expect("directory");
    if activity {
        call.require(Need::SignInActivity)?;
        if !directory.features.p1 && !directory.features.p2 {
            return Err(no_premium(call));
        }
    }
    let max = if activity { PAGE_WITH_ACTIVITY } else { PAGE };
    let (filter, counted) = call.filter(&USER)?;
    let listing = Listing {
        collection: "users",
        table: &directory.users,
        selected: &selected,
        filter: filter.as_ref(),
        page_size: call.page_size(100, max)?,
        counted,
        continued: Continued::SkipToken,
        more: &nothing_more,
    };
    listing.answer(call)
}

/// `GET /users/$count`.
pub fn count(call: &Call<'_>) -> Result<Answer, Answer> {
    call.require(Need::Users)?;
    call.allow(&["$filter"])?;
    let directory = call.tenant.directory.lock().expect("directory");
    call.count_of(&directory.users)
}

/// `GET /users/{id or user principal name}`.
pub fn show(call: &Call<'_>, key: &str) -> Result<Answer, Answer> {
    call.require(Need::Users)?;
    call.allow(&["$select"])?;
    let selected = call.select(&USER, &[])?;
    refuse_beyond_basic(call, &selected)?;
    let directory = call.tenant.directory.lock().expect("directory");
    let row = directory
        .user_by_key(key)
        .ok_or_else(|| call.ids.not_found(key))?;
    Ok(call.entity("users", &selected, &row.entity))
}

/// Refuses what the basic permission does not show.
pub fn refuse_beyond_basic(call: &Call<'_>, selected: &Selected) -> Result<(), Answer> {
    let mut names = selected.names.iter().flatten();
    if call.reads_full_users() || names.all(|name| BASIC.contains(&name.as_str())) {
        Ok(())
    } else {
        Err(call.ids.denied())
    }
}

fn no_premium(call: &Call<'_>) -> Answer {
    call.ids.error(
        403,
        "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
        "Neither tenant is B2C or tenant doesn't have premium license",
    )
}

impl Call<'_> {
    /// Reads `$filter` and `$count` together: advanced filters need the count and eventual
    /// consistency.
    pub fn filter(&self, schema: &'static Schema) -> Result<(Option<Filter>, bool), Answer> {
        let counted = self.wants_count()?;
        let Some(text) = self.option("$filter") else {
            return Ok((None, counted));
        };
        let filter =
            Filter::parse(text, schema).map_err(|message| self.ids.unsupported(&message))?;
        if filter.advanced && !counted {
            return Err(self.ids.unsupported(
                "Operator is not supported because the required parameters might be missing. Try \
                 adding $count=true query parameter and ConsistencyLevel:eventual header.",
            ));
        }
        Ok((Some(filter), counted))
    }

    /// How many objects of a table pass `$filter`, as text.
    pub fn count_of(
        &self,
        table: &crate::fake_microsoft::directory::Table,
    ) -> Result<Answer, Answer> {
        if !self.eventual() {
            let message = "$count is not currently supported.";
            return Err(self.ids.error(400, "Request_BadRequest", message));
        }
        let filter = match self.option("$filter") {
            Some(text) => {
                let parsed = Filter::parse(text, table.schema);
                Some(parsed.map_err(|message| self.ids.unsupported(&message))?)
            }
            None => None,
        };
        let counted = table.live().filter(|row| {
            let filter = filter.as_ref();
            filter.is_none_or(|filter| filter.passes(&row.entity))
        });
        Ok(Answer::text(counted.count().to_string()))
    }

    /// One object on its own.
    pub fn entity(
        &self,
        collection: &str,
        selected: &Selected,
        entity: &crate::fake_microsoft::directory::entity::Entity,
    ) -> Answer {
        let origin = &self.cloud.graph_origin;
        let names = selected.context();
        let context = format!("{origin}/v1.0/$metadata#{collection}{names}/$entity");
        let mut body = String::new();
        let mut members = Members::open(&mut body);
        members.named("@odata.context", &quoted(&context));
        entity.write_listed(&mut members, &selected.selection);
        members.close();
        Answer::json(body)
    }
}
