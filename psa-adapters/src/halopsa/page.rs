//! Where the reading of a list is (psa.md §C3): pages by number, ordered by id.
//!
//! A page number is a bad bookmark in a list that changes. When rows vanish, others move up over pages that
//! were read already; when rows come, some are given twice. So a place remembers the highest id that was
//! given: with ids that rise, doubled rows are known by it, and after a loss the list is read again from
//! its first page for what is higher.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    contract::{Cursor, ExternalId},
    error::PsaError,
    wire,
};

use super::{
    errors::Right,
    http::{Http, unexpected},
};

/// The rows of a page. An instance may give fewer.
pub(super) const PAGE_SIZE: &str = "999";
/// How often a list that loses rows is begun again.
const MOST_RESTARTS: u8 = 5;
/// The most pages: with 999 rows each far more than any MSP has, and with 10 still some.
const MOST_PAGES: u32 = 10_000;
const VERSION: u8 = 1;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum List {
    Clients,
    Contacts,
    Sites,
}

impl List {
    const fn endpoint(self) -> &'static str {
        match self {
            Self::Clients => "Client",
            Self::Contacts => "Users",
            Self::Sites => "Site",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Contacts => "users",
            Self::Sites => "sites",
        }
    }

    pub(super) const fn right(self) -> Right {
        match self {
            Self::Clients => Right::Clients,
            Self::Contacts => Right::Contacts,
            Self::Sites => Right::Sites,
        }
    }
}

/// The ids at both ends of a page, and how many it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ends(Option<i64>, Option<i64>, usize);

/// The next page of a list to ask for, and what was seen before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    v: u8,
    system: String,
    list: List,
    page: u32,
    /// Rows of the pages before.
    seen: u64,
    /// The count that the page before said.
    count: Option<u64>,
    /// The highest id that was given.
    top: Option<i64>,
    /// Whether ids rise.
    rising: bool,
    last: Option<Ends>,
    restarts: u8,
}

/// What a page gave.
#[derive(Debug)]
pub(super) struct Rows {
    /// Rows that were not given before.
    pub(super) fresh: Vec<Value>,
    /// Where to go on; none: to its end.
    pub(super) next: Option<Place>,
    /// What the whole list has, where it says so.
    pub(super) count: Option<u64>,
    /// Rows of the pages up to this one.
    pub(super) so_far: u64,
}

impl Place {
    /// The beginning of a list.
    pub(super) fn start(system: String, list: List) -> Self {
        Self {
            v: VERSION,
            system,
            list,
            page: 1,
            seen: 0,
            count: None,
            top: None,
            rising: true,
            last: None,
            restarts: 0,
        }
    }

    /// The place that a cursor says.
    pub(super) fn at(cursor: &Cursor, system: &str, list: List) -> Result<Self, PsaError> {
        serde_json::from_str::<Self>(&cursor.0)
            .ok()
            .filter(|place| place.v == VERSION && place.system == system && place.list == list)
            .ok_or_else(|| PsaError::Config {
                what: "the cursor is of another list, address or version: begin the list anew"
                    .to_owned(),
            })
    }

    /// The cursor of this place.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor(serde_json::json!(self).to_string())
    }

    /// Reads the page.
    pub(super) async fn read(
        self,
        http: &Http,
        filters: &[(&str, &str)],
    ) -> Result<Rows, PsaError> {
        let page = self.page.to_string();
        let mut query = vec![
            // The parameter is really spelled so; without it the page number is ignored.
            ("pageinate", "true"),
            ("page_no", page.as_str()),
            ("page_size", PAGE_SIZE),
            ("order", "id"),
        ];
        query.extend_from_slice(filters);
        let list = self.list;
        let answer = http
            .get(list.right(), list.endpoint(), None, &query)
            .await?;
        let (rows, count) = rows(answer, list.key())?;
        self.turn(rows, count)
    }

    /// What a page with these rows means for the whole.
    fn turn(mut self, rows: Vec<Value>, count: Option<u64>) -> Result<Rows, PsaError> {
        if let (Some(before), Some(now)) = (self.count, count)
            && now < before
        {
            return self.begin_again(now);
        }
        if rows.is_empty() {
            if self.page == 1 && self.restarts == 0 && count.is_some_and(|count| count > 0) {
                return Err(unexpected("a list that counts rows and has none"));
            }
            return Ok(Rows {
                fresh: Vec::new(),
                next: None,
                count,
                so_far: self.seen,
            });
        }
        let ids: Vec<Option<i64>> = rows.iter().map(number).collect();
        let ends = Ends(
            ids.first().copied().flatten(),
            ids.last().copied().flatten(),
            ids.len(),
        );
        if self.last.as_ref() == Some(&ends) {
            // Page numbers are ignored. Without a count the first page was all there is; with one, what is
            // missing must not be taken for gone.
            return match count {
                Some(_) => Err(unexpected("each page of a list has the same rows")),
                None => Ok(Rows {
                    fresh: Vec::new(),
                    next: None,
                    count,
                    so_far: self.seen,
                }),
            };
        }
        self.rising = self.rising && self.rises(&ids);
        let fresh = self.take(rows, &ids);
        self.seen = self
            .seen
            .saturating_add(u64::try_from(ids.len()).unwrap_or(u64::MAX));
        self.last = Some(ends);
        self.count = count;
        let is_end = count.is_some_and(|count| self.seen >= count);
        if !is_end && self.page >= MOST_PAGES {
            return Err(unexpected("a list that does not end"));
        }
        self.page += 1;
        Ok(Rows {
            fresh,
            so_far: self.seen,
            next: (!is_end).then_some(self),
            count,
        })
    }

    fn begin_again(mut self, count: u64) -> Result<Rows, PsaError> {
        if self.restarts >= MOST_RESTARTS {
            return Err(PsaError::Transient {
                what: "a list of HaloPSA lost rows each time it was read".to_owned(),
            });
        }
        self.restarts += 1;
        self.page = 1;
        self.seen = 0;
        self.last = None;
        self.count = Some(count);
        Ok(Rows {
            fresh: Vec::new(),
            next: Some(self),
            count: Some(count),
            so_far: 0,
        })
    }

    /// Whether ids rise within the page, and over the page before. Rows that came meanwhile may repeat the
    /// end of that page, but nothing before it.
    fn rises(&self, ids: &[Option<i64>]) -> bool {
        let known: Vec<i64> = ids.iter().copied().flatten().collect();
        let inside = known.is_sorted_by(|before, after| before < after);
        let over = match (&self.last, known.first()) {
            (Some(Ends(Some(first), _, _)), Some(now)) => now > first,
            (Some(_) | None, Some(_) | None) => true,
        };
        inside && over
    }

    fn take(&mut self, rows: Vec<Value>, ids: &[Option<i64>]) -> Vec<Value> {
        let mut here = std::collections::BTreeSet::new();
        let mut fresh = Vec::with_capacity(rows.len());
        for (row, id) in rows.into_iter().zip(ids) {
            let Some(id) = *id else { continue };
            let is_new = here.insert(id) && !(self.rising && self.top.is_some_and(|top| id <= top));
            if is_new {
                fresh.push(row);
            }
        }
        self.top = self.top.max(here.last().copied());
        fresh
    }
}

/// A row's id; none for what is no record.
fn number(row: &Value) -> Option<i64> {
    integer(&wire::id_of(row.get("id")?)?)
}

/// An id as HaloPSA takes it back: an integer (psa.md §C3).
pub(super) fn integer(id: &ExternalId) -> Option<i64> {
    id.0.parse().ok()
}

/// The rows of an answer and the count of the whole list.
fn rows(answer: Value, key: &str) -> Result<(Vec<Value>, Option<u64>), PsaError> {
    let count = answer
        .get("record_count")
        .and_then(wire::id_of)
        .and_then(|count| count.0.parse::<u64>().ok());
    let rows = super::http::entries(answer, key)
        .ok_or_else(|| unexpected(&format!("a list without {key}")))?;
    // A count of nothing beside rows is none.
    let count = count.filter(|count| *count > 0 || rows.is_empty());
    Ok((rows, count))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn start() -> Place {
        Place::start("northgate.halopsa.com".to_owned(), List::Clients)
    }

    fn page(ids: &[i64]) -> Vec<Value> {
        ids.iter().map(|id| json!({ "id": id })).collect()
    }

    fn ids(rows: &Rows) -> Vec<i64> {
        rows.fresh.iter().filter_map(number).collect()
    }

    /// Turns pages by their number until the end.
    fn read(serve: impl Fn(u32, usize) -> (Vec<i64>, Option<u64>)) -> Result<Vec<i64>, PsaError> {
        let mut place = start();
        let mut read = Vec::new();
        for call in 0..1000 {
            let (rows, count) = serve(place.page, call);
            let turned = place.turn(page(&rows), count)?;
            read.extend(ids(&turned));
            match turned.next {
                Some(next) => place = next,
                None => return Ok(read),
            }
        }
        panic!("endless");
    }

    #[test]
    fn smaller_pages_than_asked_for_are_read_to_the_end() {
        let read = read(|page, _| {
            let from = i64::from(page - 1) * 2 + 1;
            ((from..=(from + 1).min(7)).collect(), Some(7))
        });
        assert_eq!(read.unwrap(), [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn without_a_count_an_empty_or_a_repeated_page_is_the_end() {
        let read_on = read(|page, _| match page {
            1 => (vec![1, 2], None),
            2 => (vec![3, 4], None),
            _ => (Vec::new(), None),
        });
        assert_eq!(read_on.unwrap(), [1, 2, 3, 4]);
        let unpaged = read(|_, _| (vec![1, 2, 3], None));
        assert_eq!(unpaged.unwrap(), [1, 2, 3]);
    }

    #[test]
    fn the_same_page_again_is_not_taken_for_the_whole() {
        let repeated = read(|_, _| (vec![1, 2], Some(5)));
        assert!(matches!(repeated, Err(PsaError::Protocol { .. })));
        let empty = read(|_, _| (Vec::new(), Some(5)));
        assert!(matches!(empty, Err(PsaError::Protocol { .. })));
        assert_eq!(read(|_, _| (Vec::new(), Some(0))).unwrap(), [0_i64; 0]);
    }

    #[test]
    fn rows_that_moved_up_are_found_and_none_comes_twice() {
        // 1 and 2 vanish after the first page: 3 and 4 stand on it now.
        let read = read(|page, call| {
            let all: Vec<i64> = if call == 0 {
                (1..=7).collect()
            } else {
                (3..=7).collect()
            };
            let from = usize::try_from(page - 1).unwrap() * 3;
            let rows = all.iter().skip(from).take(3).copied().collect();
            (rows, u64::try_from(all.len()).ok())
        });
        assert_eq!(read.unwrap(), [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn rows_that_came_meanwhile_are_read_and_none_comes_twice() {
        let read = read(|page, call| {
            // 0 appears before the others after the first page, 8 behind them.
            let all: Vec<i64> = if call == 0 {
                (1..=6).collect()
            } else {
                (0..=8).collect()
            };
            let from = usize::try_from(page - 1).unwrap() * 3;
            let rows = all.iter().skip(from).take(3).copied().collect();
            (rows, u64::try_from(all.len()).ok())
        });
        assert_eq!(read.unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_list_in_another_order_is_read_whole() {
        let read = read(|page, _| match page {
            1 => (vec![7, 3, 3], Some(5)),
            2 => (vec![1, 2], Some(5)),
            _ => (Vec::new(), Some(5)),
        });
        assert_eq!(read.unwrap(), [7, 3, 1, 2]);
        // Sorted by name, and by chance rising within each page.
        let by_chance = super::tests::read(|page, _| match page {
            1 => (vec![5, 9], Some(4)),
            2 => (vec![2, 4], Some(4)),
            _ => (Vec::new(), Some(4)),
        });
        assert_eq!(by_chance.unwrap(), [5, 9, 2, 4]);
    }

    #[test]
    fn a_list_that_never_settles_ends_with_an_error() {
        let shrinking = read(|page, call| {
            let count = 1000 - u64::try_from(call).unwrap();
            (vec![i64::from(page)], Some(count))
        });
        assert!(matches!(shrinking, Err(PsaError::Transient { .. })));
        let mut place = start();
        place.page = MOST_PAGES;
        assert!(matches!(
            place.turn(page(&[1]), Some(u64::MAX)),
            Err(PsaError::Protocol { .. })
        ));
    }

    #[test]
    fn a_cursor_survives_a_restart_and_is_refused_elsewhere() {
        let place = start().turn(page(&[1, 2]), Some(9)).unwrap().next.unwrap();
        let cursor = place.cursor();
        let system = "northgate.halopsa.com";
        assert_eq!(Place::at(&cursor, system, List::Clients).unwrap(), place);
        for (system, list) in [
            ("other.halopsa.com", List::Clients),
            (system, List::Contacts),
        ] {
            assert!(matches!(
                Place::at(&cursor, system, list),
                Err(PsaError::Config { .. })
            ));
        }
        let newer = Cursor(cursor.0.replace(r#""v":1"#, r#""v":2"#));
        assert!(Place::at(&newer, system, List::Clients).is_err());
        assert!(Place::at(&Cursor("canary".to_owned()), system, List::Clients).is_err());
    }

    #[test]
    fn a_list_comes_bare_or_under_its_name() {
        let of = |value| rows(value, "clients").map(|(rows, count)| (rows.len(), count));
        assert_eq!(of(json!([{ "id": 1 }])).unwrap(), (1, None));
        assert_eq!(
            of(json!({"record_count": 3.0, "clients": [{ "id": 1 }]})).unwrap(),
            (1, Some(3))
        );
        assert_eq!(
            of(json!({"record_count": 0, "clients": [{ "id": 1 }]})).unwrap(),
            (1, None)
        );
        assert_eq!(
            of(json!({"record_count": 0, "clients": null})).unwrap(),
            (0, Some(0))
        );
        for wrong in [json!(null), json!({}), json!("x"), json!({"clients": {}})] {
            assert!(of(wrong).is_err());
        }
    }
}
