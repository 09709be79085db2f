//! `$batch`: up to twenty GETs in one request, each with an answer and a fate of its own.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::microsoft::{
    graph::{GraphPath, GraphSession},
    graph_error::GraphError,
    meter::Meter,
    retry_after,
    throttle::{Cost, Workload},
};

/// Most requests in one batch.
pub const BATCH_SIZE: usize = 20;
/// Batches of one call that are under way at the same time.
const BATCHES_AT_ONCE: usize = 8;

/// What became of one request of a batch: its body, or why there is none.
pub type BatchOutcome = Result<Vec<u8>, GraphError>;

#[derive(Serialize)]
struct Requests<'a> {
    requests: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: String,
    method: &'static str,
    url: &'a str,
}

/// The answer to a batch.
#[derive(Deserialize)]
pub(super) struct Responses<'a> {
    #[serde(borrow)]
    pub(super) responses: Vec<Answer<'a>>,
}

/// The answer to one item of it.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    pub(super) id: String,
    pub(super) status: u16,
    #[serde(default)]
    headers: HashMap<String, Value>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl Answer<'_> {
    /// A header of the item: names come in any case, values as texts or numbers.
    fn header(&self, wanted: &str) -> Option<String> {
        self.headers.iter().find_map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            name.eq_ignore_ascii_case(wanted).then_some(text)
        })
    }
}

/// What a batch costs: each item counts against the limits as if it had been sent alone.
fn cost_of(items: &[(usize, &GraphPath)]) -> Cost {
    Cost {
        units: items.iter().map(|(_index, path)| path.units()).sum(),
        requests: u32::try_from(items.len()).unwrap_or(u32::MAX),
    }
}

/// What to do with the answer to one item.
enum Fate {
    Settled(BatchOutcome),
    Throttled {
        wait: Option<Duration>,
        scope: Option<String>,
    },
    Passing(GraphError),
}

impl GraphSession {
    /// Reads many addresses by batches. The outcomes come in the order of the requests, each with
    /// its key. Items that were throttled are asked again alone, after the longest wait.
    ///
    /// # Errors
    /// When a batch as a whole fails; then the outcomes of the others are lost too.
    pub async fn batch<K>(
        &self,
        items: Vec<(K, GraphPath)>,
        workload: Workload,
        meter: &Meter,
    ) -> Result<Vec<(K, BatchOutcome)>, GraphError> {
        let (keys, paths): (Vec<K>, Vec<GraphPath>) = items.into_iter().unzip();
        let mut outcomes = Vec::with_capacity(keys.len());
        // Named futures in a list: a closure over borrowed chunks is not `Send` enough for a task.
        let batches: Vec<_> = paths
            .chunks(BATCH_SIZE)
            .map(|paths| self.one_batch(paths, workload, meter))
            .collect();
        let mut batches = stream::iter(batches).buffered(BATCHES_AT_ONCE);
        while let Some(batch) = batches.next().await {
            outcomes.extend(batch?);
        }
        Ok(keys.into_iter().zip(outcomes).collect())
    }

    async fn one_batch(
        &self,
        paths: &[GraphPath],
        workload: Workload,
        meter: &Meter,
    ) -> Result<Vec<BatchOutcome>, GraphError> {
        let mut outcomes: Vec<Option<BatchOutcome>> = paths.iter().map(|_| None).collect();
        let mut passing = 0;
        let mut throttled = 0;
        loop {
            let open: Vec<(usize, &GraphPath)> = paths
                .iter()
                .enumerate()
                .zip(&outcomes)
                .filter_map(|(item, outcome)| outcome.is_none().then_some(item))
                .collect();
            if open.is_empty() {
                break;
            }
            let mut fates = Box::pin(self.ask_batch(&open, workload, meter)).await?;
            let mut waits = Vec::new();
            let mut scope = None;
            let mut failed = Vec::new();
            for (index, _path) in &open {
                let Some(place) = outcomes.get_mut(*index) else {
                    continue;
                };
                match fates.remove(index) {
                    Some(Fate::Settled(outcome)) => *place = Some(outcome),
                    Some(Fate::Throttled { wait, scope: named }) => {
                        waits.push(wait);
                        scope = named.or(scope);
                    }
                    Some(Fate::Passing(error)) => failed.push((*index, error)),
                    None => *place = Some(Err(GraphError::unexpected("batch item without answer"))),
                }
            }
            let mut again = waits.len();
            if let Some(wait) = self.longest_wait(&waits, throttled) {
                throttled += 1;
                let limiter = self.limiter(workload);
                self.governor()
                    .refused(&limiter, cost_of(&open), wait, scope.as_deref());
                if throttled > self.patience().throttled_attempts {
                    return Err(GraphError::Throttled { retry_after: wait });
                }
            }
            if !failed.is_empty() {
                if self.patience().backoff.allows_after(passing) {
                    tokio::time::sleep(self.patience().backoff.wait(passing)).await;
                    passing += 1;
                    again += failed.len();
                } else {
                    for (index, error) in failed {
                        if let Some(place) = outcomes.get_mut(index) {
                            *place = Some(Err(error));
                        }
                    }
                }
            }
            (0..again).for_each(|_| meter.count_retry());
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Sends one batch and sorts its answers by the index of their request.
    async fn ask_batch(
        &self,
        open: &[(usize, &GraphPath)],
        workload: Workload,
        meter: &Meter,
    ) -> Result<HashMap<usize, Fate>, GraphError> {
        let urls: Vec<String> = open
            .iter()
            .map(|(_index, path)| path.in_batch(self.profile()))
            .collect();
        let requests = open
            .iter()
            .zip(&urls)
            .map(|((index, _path), url)| Item {
                id: index.to_string(),
                method: "GET",
                url,
            })
            .collect();
        let body = serde_json::to_vec(&Requests { requests }).map_err(GraphError::unreadable)?;
        let answer = self
            .post_query(&self.v1("$batch"), &body, workload, cost_of(open), meter)
            .await?;
        let answer: Responses<'_> =
            serde_json::from_slice(&answer).map_err(GraphError::unreadable)?;
        let mut fates = HashMap::new();
        for answer in answer.responses {
            if let Ok(index) = answer.id.parse() {
                fates.entry(index).or_insert_with(|| self.fate(&answer));
            }
        }
        Ok(fates)
    }

    fn fate(&self, answer: &Answer<'_>) -> Fate {
        let body = answer
            .body
            .map(|body| body.get().as_bytes().to_vec())
            .unwrap_or_default();
        match answer.status {
            200..=299 => Fate::Settled(Ok(body)),
            429 => Fate::Throttled {
                wait: self.item_wait(answer),
                scope: answer.header("x-ms-throttle-scope"),
            },
            status => {
                let error = GraphError::from_answer(status, &body, false);
                if matches!(error, GraphError::Unavailable { .. }) {
                    Fate::Passing(error)
                } else {
                    Fate::Settled(Err(error))
                }
            }
        }
    }

    fn item_wait(&self, answer: &Answer<'_>) -> Option<Duration> {
        let (wait, date) = (answer.header("retry-after"), answer.header("date"));
        retry_after::parse(wait.as_deref(), date.as_deref(), self.clock().now())
    }

    /// How long throttled items wait: the longest of what Microsoft told, else a back-off.
    fn longest_wait(&self, waits: &[Option<Duration>], round: u32) -> Option<Duration> {
        if waits.is_empty() {
            return None;
        }
        let backoff = self.patience().backoff;
        let told = waits.iter().flatten().max().copied();
        Some(told.unwrap_or_else(|| backoff.wait(round).max(backoff.base)))
    }
}
