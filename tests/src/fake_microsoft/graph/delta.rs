//! `/users/delta` and `/groups/delta`.
//!
//! A first round lists everything; later rounds tell what the directory's log holds since. What was
//! selected is frozen into the tokens. Members of groups come in slices: a group whose members do
//! not fit on the page appears again on the next one with the rest.

use uuid::Uuid;

use super::{
    answer::Answer,
    call::Call,
    delta_changes::{Touched, touched},
    delta_round::{Round, WHOLE},
    permission::Need,
};
use crate::fake_microsoft::{
    directory::{
        Directory, ObjectKind, Row, State,
        entity::{Members, quoted},
    },
    faults::Fault,
};

/// Objects, and entries of `members@delta`, on a page.
const OBJECTS: usize = 200;
const MEMBERS: usize = 1000;

/// Seconds a token is good for.
const TOKEN_LIFE: i64 = 7 * 24 * 3600;

/// Ids in a filter.
const MAX_FILTER_IDS: usize = 50;

/// `GET /users/delta` or `GET /groups/delta`.
pub fn changes(call: &Call<'_>, kind: ObjectKind) -> Result<Answer, Answer> {
    call.require(if kind == ObjectKind::User {
        Need::Users
    } else {
        Need::Groups
    })?;
    if let Some(Fault::ExpiredDelta(shape)) = call.fault {
        return Err(expired(call, shape));
    }
    let directory = call.tenant.directory.lock().expect("directory");
    let round = match open_token(call)? {
        Some(round) if call.ids.now - round.issued > TOKEN_LIFE => return Err(expired(call, 1)),
        Some(round) => round.begun(directory.log.len() as u64, call.ids.now),
        None => start(call, &directory, kind)?,
    };
    if call.option("$deltatoken") == Some("latest") {
        let link = delta_link(call, &round);
        return Ok(body(call, &directory, kind, &round, &[], &link));
    }
    let mut page = Page {
        call,
        directory: &directory,
        kind,
        items: Vec::new(),
        members: 0,
    };
    let next = page.fill(&round);
    let mut items = page.items;
    let mut link = match next {
        Some(next) => ("@odata.nextLink", next_link(call, &next)),
        None => delta_link(call, &round),
    };
    match &call.fault {
        Some(Fault::EmptyPages) => {
            items.clear();
            let again = Round {
                page: round.page + 1,
                ..round.clone()
            };
            link = ("@odata.nextLink", next_link(call, &again));
        }
        Some(Fault::ShortList(most)) => {
            items.truncate(*most);
            link = delta_link(call, &round);
        }
        Some(Fault::NextLink(other)) => link = ("@odata.nextLink", other.clone()),
        Some(Fault::ReplayDelta) => {
            let again: Vec<String> = items.iter().rev().cloned().collect();
            items.splice(..0, again);
        }
        _ => {}
    }
    Ok(body(call, &directory, kind, &round, &items, &link))
}

/// The round that a link continues; none when there is no token.
fn open_token(call: &Call<'_>) -> Result<Option<Round>, Answer> {
    let bad = || {
        let message = "Badly formed token: the link was changed.";
        call.ids.error(400, "Request_BadRequest", message)
    };
    let (purpose, token) = match (call.option("$skiptoken"), call.option("$deltatoken")) {
        (None, None | Some("latest" | "")) => return Ok(None),
        (Some(token), None) => ("skip", token),
        (None, Some(token)) => ("delta", token),
        (Some(_), Some(_)) => return Err(bad()),
    };
    // The token is all there is to the link: the select list is in it.
    if call.query.len() != 1 {
        return Err(bad());
    }
    Round::open(token, &binding(call, purpose))
        .map(Some)
        .ok_or_else(bad)
}

fn start(call: &Call<'_>, directory: &Directory, kind: ObjectKind) -> Result<Round, Answer> {
    call.allow(&["$select", "$filter", "$deltatoken"])?;
    let table = directory.table(kind);
    let relations: &[&str] = if kind == ObjectKind::Group {
        &["members"]
    } else {
        &[]
    };
    let selected = call.select(table.schema, relations)?;
    if kind == ObjectKind::User {
        super::users::refuse_beyond_basic(call, &selected)?;
    }
    let until = directory.log.len() as u64;
    Ok(Round {
        since: WHOLE,
        until,
        position: 0,
        slice: 0,
        mask: selected.mask(table.schema),
        members: selected.names("members"),
        page: 0,
        issued: call.ids.now,
        ids: filter_ids(call)?,
    })
}

/// Reads `id eq '…' or id eq '…'`, the one filter there is.
fn filter_ids(call: &Call<'_>) -> Result<Vec<Uuid>, Answer> {
    let Some(filter) = call.option("$filter") else {
        return Ok(Vec::new());
    };
    let id = |clause: &str| {
        let text = clause.trim().strip_prefix("id eq '")?.strip_suffix('\'')?;
        Uuid::parse_str(text).ok()
    };
    let ids: Option<Vec<Uuid>> = filter.split(" or ").map(id).collect();
    ids.filter(|ids| ids.len() <= MAX_FILTER_IDS)
        .ok_or_else(|| {
            let message = "Only a filter on at most 50 ids is supported with delta queries.";
            call.ids.unsupported(message)
        })
}

fn binding(call: &Call<'_>, purpose: &str) -> String {
    format!("{}|{}|{purpose}", call.tenant.id, call.path)
}

fn next_link(call: &Call<'_>, round: &Round) -> String {
    let token = round.seal(&binding(call, "skip"));
    call.url(&format!("$skiptoken={token}"))
}

/// Where the next round begins: with what changed since this one began.
fn delta_link(call: &Call<'_>, round: &Round) -> (&'static str, String) {
    let token = round.ended(call.ids.now).seal(&binding(call, "delta"));
    (
        "@odata.deltaLink",
        call.url(&format!("$deltatoken={token}")),
    )
}

/// The three shapes in which services say that a token is too old.
fn expired(call: &Call<'_>, shape: u8) -> Answer {
    match shape {
        1 => {
            let message = "Resynchronization is required.";
            let location = call.url("$deltatoken=");
            call.ids
                .error(410, "syncStateNotFound", message)
                .header("Location", location)
        }
        2 => call
            .ids
            .error(404, "ResyncRequired", "The sync state was not found."),
        _ => call
            .ids
            .unsupported("DeltaLink older than 30 days is not supported."),
    }
}

fn body(
    call: &Call<'_>,
    directory: &Directory,
    kind: ObjectKind,
    round: &Round,
    items: &[String],
    (relation, link): &(&'static str, String),
) -> Answer {
    let schema = directory.table(kind).schema;
    let chosen = schema.columns().enumerate();
    let chosen = chosen.filter(|(column, _)| round.mask & (1 << column) != 0);
    let mut names: Vec<&str> = chosen.map(|(_, name)| name).collect();
    if round.members {
        names.push("members");
    }
    let context = format!(
        "{}/v1.0/$metadata#{}s({})",
        call.cloud.graph_origin,
        schema.type_name,
        names.join(",")
    );
    let length: usize = items.iter().map(String::len).sum();
    let mut body = String::with_capacity(length + items.len() + 1024);
    let mut members = Members::open(&mut body);
    members.named("@odata.context", &quoted(&context));
    members.named(relation, &quoted(link));
    let value = members.value_of("value");
    value.push('[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            value.push(',');
        }
        value.push_str(item);
    }
    value.push(']');
    members.close();
    Answer::json(body)
}

/// A page that is being filled.
struct Page<'a> {
    call: &'a Call<'a>,
    directory: &'a Directory,
    kind: ObjectKind,
    items: Vec<String>,
    /// Entries of `members@delta` so far.
    members: usize,
}

/// An entry of `members@delta`.
type Entry = (bool, ObjectKind, Uuid);

impl Page<'_> {
    /// Fills the page; the round from its end on, if there is more.
    fn fill(&mut self, round: &Round) -> Option<Round> {
        // Now and then a page is empty though the round goes on.
        if round.page % 8 == 5 {
            return Some(Round {
                page: round.page + 1,
                ..round.clone()
            });
        }
        let stopped = if round.since == WHOLE {
            self.fill_whole(round)
        } else {
            self.fill_changes(round)
        };
        let page = round.page + 1;
        stopped.map(|(position, slice)| Round {
            position,
            slice,
            page,
            ..round.clone()
        })
    }

    fn fill_whole(&mut self, round: &Round) -> Option<(u64, u64)> {
        let table = self.directory.table(self.kind);
        let first = usize::try_from(round.position).expect("a row");
        for (at, row) in table.rows.iter().enumerate().skip(first) {
            let wanted = round.ids.is_empty() || round.ids.contains(&row.id);
            if row.state == State::Purged || !wanted {
                continue;
            }
            if self.items.len() == OBJECTS || self.members == MEMBERS {
                return Some((at as u64, 0));
            }
            let mut entries = Vec::new();
            let mut rest = None;
            if round.members && row.state == State::Live {
                let ordinal = if at == first { round.slice } else { 0 };
                let ordinal = u32::try_from(ordinal).expect("an ordinal");
                let members = self.directory.memberships[at].from_ordinal(ordinal);
                let room = MEMBERS - self.members;
                entries.extend(
                    members
                        .iter()
                        .take(room)
                        .map(|one| (true, one.kind, one.id)),
                );
                rest = members.get(room).map(|one| u64::from(one.ordinal));
            }
            self.push(row, round.mask, &entries);
            if let Some(slice) = rest {
                return Some((at as u64, slice));
            }
        }
        None
    }

    fn fill_changes(&mut self, round: &Round) -> Option<(u64, u64)> {
        let minimal = self.call.prefers("return=minimal");
        for change in touched(self.directory, self.kind, round.since, round.until) {
            let row = &self.directory.table(self.kind).rows[change.row];
            let shown = change.last >= round.position && change.surfaces(row, round);
            if !shown || !(round.ids.is_empty() || round.ids.contains(&row.id)) {
                continue;
            }
            if self.items.len() == OBJECTS || self.members == MEMBERS {
                return Some((change.last, 0));
            }
            let skipped = if change.last == round.position {
                round.slice
            } else {
                0
            };
            let skipped = usize::try_from(skipped).expect("a count");
            let entries = self.entries(&change, row, round);
            let entries = entries.get(skipped..).unwrap_or_default();
            let room = (MEMBERS - self.members).min(entries.len());
            let mask = if minimal && !change.fresh {
                round.mask & change.mask
            } else {
                round.mask
            };
            self.push(row, mask, &entries[..room]);
            if room < entries.len() {
                return Some((change.last, (skipped + room) as u64));
            }
        }
        None
    }

    fn entries(&self, change: &Touched, row: &Row, round: &Round) -> Vec<Entry> {
        if !round.members || row.state != State::Live {
            return Vec::new();
        }
        if change.restored {
            let members = self.directory.members_of(row.id);
            return members.iter().map(|one| (true, one.kind, one.id)).collect();
        }
        change.members.clone()
    }

    fn push(&mut self, row: &Row, mask: u64, entries: &[Entry]) {
        let schema = self.directory.table(self.kind).schema;
        let mut item = String::with_capacity(256 + entries.len() * 110);
        let mut members = Members::open(&mut item);
        match row.state {
            State::Live => row.entity.write_changed(&mut members, schema, mask),
            State::Deleted | State::Purged => {
                let reason = if row.state == State::Deleted {
                    "changed"
                } else {
                    "deleted"
                };
                members.named("id", row.entity.get(0).unwrap_or_default());
                members.named("@removed", &format!("{{\"reason\":\"{reason}\"}}"));
            }
        }
        if !entries.is_empty() {
            write_entries(members.value_of("members@delta"), entries);
        }
        members.close();
        self.items.push(item);
        self.members += entries.len();
    }
}

fn write_entries(out: &mut String, entries: &[Entry]) {
    out.push('[');
    for (place, (present, kind, id)) in entries.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let mut buffer = Uuid::encode_buffer();
        out.push_str("{\"@odata.type\":");
        out.push_str(kind.odata_type());
        out.push_str(",\"id\":\"");
        out.push_str(id.hyphenated().encode_lower(&mut buffer));
        out.push('"');
        if !present {
            out.push_str(",\"@removed\":{\"reason\":\"deleted\"}");
        }
        out.push('}');
    }
    out.push(']');
}
