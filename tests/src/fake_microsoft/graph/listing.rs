//! Pages of a list.

use super::{answer::Answer, call::Call, filter::Filter, select::Selected};
use crate::fake_microsoft::{
    directory::{
        Row, State, Table,
        entity::{Members, quoted},
    },
    faults::Fault,
};

/// A list that is asked for.
pub struct Listing<'a> {
    /// The collection in `$metadata#…`.
    pub collection: &'a str,
    pub table: &'a Table,
    pub selected: &'a Selected,
    pub filter: Option<&'a Filter>,
    pub page_size: usize,
    /// Whether the first page tells how many objects there are.
    pub counted: bool,
    pub continued: Continued,
    /// Adds members to an object beyond its properties.
    pub more: &'a dyn Fn(usize, &mut Members<'_>),
}

/// How links to further pages say where they begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Continued {
    SkipToken,
    Skip,
}

/// What a page ends with.
pub struct Page {
    pub items: String,
    pub next: Option<String>,
}

impl Listing<'_> {
    /// The page that the call asks for.
    pub fn answer(&self, call: &Call<'_>) -> Result<Answer, Answer> {
        let start = match self.continued {
            Continued::SkipToken => call.position()?,
            Continued::Skip => skip(call)?,
        };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let counted = (self.counted && start == 0).then(|| self.count());
        let (page, counted) = self.page(call, start, counted);
        let context = format!(
            "{}/v1.0/$metadata#{}{}",
            call.cloud.graph_origin,
            self.collection,
            self.selected.context()
        );
        let mut body = String::with_capacity(page.items.len() + 512);
        let mut members = Members::open(&mut body);
        members.named("@odata.context", &quoted(&context));
        if let Some(count) = counted {
            members.named("@odata.count", &count.to_string());
        }
        if let Some(next) = &page.next {
            members.named("@odata.nextLink", &quoted(next));
        }
        members.named("value", &page.items);
        members.close();
        Ok(Answer::json(body))
    }

    /// How many objects the list has.
    pub fn count(&self) -> usize {
        self.table.rows.iter().filter(|row| self.shows(row)).count()
    }

    fn shows(&self, row: &Row) -> bool {
        row.state == State::Live && self.filter.is_none_or(|filter| filter.passes(&row.entity))
    }

    fn page(&self, call: &Call<'_>, start: usize, counted: Option<usize>) -> (Page, Option<usize>) {
        let (mut size, mut ends_early) = (self.page_size, false);
        match &call.fault {
            Some(Fault::EmptyPages) => {
                let items = "[]".to_owned();
                let next = Some(self.link(call, start));
                return (Page { items, next }, counted);
            }
            Some(Fault::ShortList(most)) => {
                size = *most;
                ends_early = true;
            }
            _ => {}
        }
        let mut items = String::with_capacity(size.min(1000) * 400);
        let (written, next) = self.write(&mut items, start, size);
        let next = match &call.fault {
            Some(Fault::NextLink(link)) => Some(link.clone()),
            _ if ends_early => None,
            _ => next.map(|at| self.link(call, at)),
        };
        let counted = counted.map(|count| if ends_early { written } else { count });
        (Page { items, next }, counted)
    }

    /// Writes up to `size` objects; how many, and where the next page begins.
    fn write(&self, items: &mut String, start: usize, size: usize) -> (usize, Option<usize>) {
        let mut written = 0;
        let mut next = None;
        items.push('[');
        for (at, row) in self.table.rows.iter().enumerate().skip(start) {
            if !self.shows(row) {
                continue;
            }
            if written == size {
                next = Some(at);
                break;
            }
            if written > 0 {
                items.push(',');
            }
            let mut members = Members::open(items);
            row.entity
                .write_listed(&mut members, &self.selected.selection);
            (self.more)(at, &mut members);
            members.close();
            written += 1;
        }
        items.push(']');
        (written, next)
    }

    fn link(&self, call: &Call<'_>, at: usize) -> String {
        match self.continued {
            Continued::SkipToken => call.next_link(at as u64, call.ids.request.as_u64_pair().0),
            Continued::Skip => {
                let kept = call.raw_query.split('&').filter(|pair| {
                    !pair.is_empty() && !pair.starts_with("$skip=") && !pair.starts_with("%24skip=")
                });
                let mut query = kept.collect::<Vec<_>>().join("&");
                if !query.is_empty() {
                    query.push('&');
                }
                call.url(&format!("{query}$skip={at}"))
            }
        }
    }
}

fn skip(call: &Call<'_>) -> Result<u64, Answer> {
    let Some(text) = call.option("$skip") else {
        return Ok(0);
    };
    let bad = || call.ids.bad_request("Invalid value for $skip.");
    text.parse().ok().ok_or_else(bad)
}

/// Adds nothing to an object.
pub fn nothing_more(_: usize, _: &mut Members<'_>) {}
