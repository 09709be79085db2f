//! `/groups`, one group, how many there are, and up to twenty members of each.

use uuid::Uuid;

use super::{
    answer::Answer,
    call::Call,
    listing::{Continued, Listing},
    members::{Shown, write_members},
    permission::Need,
};
use crate::fake_microsoft::directory::{State, entity::Members, schemas::GROUP};

/// Members that `$expand` shows of a group.
const EXPANDED: usize = 20;

/// `GET /groups`.
pub fn list(call: &Call<'_>) -> Result<Answer, Answer> {
    call.require(Need::Groups)?;
    call.allow(&[
        "$select",
        "$top",
        "$filter",
        "$count",
        "$skiptoken",
        "$expand",
    ])?;
    let selected = call.select(&GROUP, &[])?;
    let expanded = expansion(call)?;
    let directory = call.tenant.directory.lock().expect("directory");
    let (filter, counted) = call.filter(&GROUP)?;
    let add_members = |row: usize, members: &mut Members<'_>| {
        let Some(shown) = &expanded else {
            return;
        };
        let live = directory.memberships[row].list.iter().filter(|member| {
            let found = directory.find(member.kind, member.id);
            found.is_some_and(|row| row.state == State::Live)
        });
        let out = members.value_of("members");
        write_members(out, &directory, shown, live.take(EXPANDED));
    };
    let listing = Listing {
        collection: "groups",
        table: &directory.groups,
        selected: &selected,
        filter: filter.as_ref(),
        page_size: call.page_size(100, 999)?,
        counted,
        continued: Continued::SkipToken,
        more: &add_members,
    };
    listing.answer(call)
}

/// `GET /groups/$count`.
pub fn count(call: &Call<'_>) -> Result<Answer, Answer> {
    call.require(Need::Groups)?;
    call.allow(&["$filter"])?;
    let directory = call.tenant.directory.lock().expect("directory");
    call.count_of(&directory.groups)
}

/// `GET /groups/{id}`.
pub fn show(call: &Call<'_>, key: &str) -> Result<Answer, Answer> {
    call.require(Need::Groups)?;
    call.allow(&["$select"])?;
    let selected = call.select(&GROUP, &[])?;
    let directory = call.tenant.directory.lock().expect("directory");
    let kind = crate::fake_microsoft::directory::ObjectKind::Group;
    let row = Uuid::parse_str(key)
        .ok()
        .and_then(|id| directory.find(kind, id));
    let row = row.ok_or_else(|| call.ids.not_found(key))?;
    Ok(call.entity("groups", &selected, &row.entity))
}

/// Reads `$expand=members` or `$expand=members($select=…)`; nothing else can be expanded.
fn expansion(call: &Call<'_>) -> Result<Option<Shown>, Answer> {
    let Some(text) = call.option("$expand") else {
        return Ok(None);
    };
    let inner = match text.strip_prefix("members") {
        Some("") => None,
        Some(options) => {
            let select = options
                .strip_prefix("($select=")
                .and_then(|rest| rest.strip_suffix(')'));
            let Some(select) = select else {
                return Err(call
                    .ids
                    .bad_request("Parsing OData Select and Expand failed."));
            };
            Some(select)
        }
        None => {
            let message = format!("Expanding '{text}' is not supported.");
            return Err(call.ids.unsupported(&message));
        }
    };
    Shown::new(call, inner).map(Some)
}
