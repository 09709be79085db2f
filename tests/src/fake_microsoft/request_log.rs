//! The log of every request the servers received, and how tests wait for one.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::state::{Cloud, LoggedRequest};

/// How long a test waits for a request before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

impl Cloud {
    /// Logs a request on arrival, with status 0. The number is for `log_answer`.
    pub fn log_arrival(&self, request: LoggedRequest) -> usize {
        let mut log = self.log.lock().expect("log");
        log.push(request);
        let number = log.len() - 1;
        drop(log);
        self.activity.notify_waiters();
        number
    }

    /// Notes the status a logged request was answered with.
    pub fn log_answer(&self, number: usize, status: u16) {
        self.amend_log(number, |entry| {
            entry.status = status;
            entry.answered_at = Some(Instant::now());
        });
    }

    /// Adds what only became known while the request was handled.
    pub fn amend_log(&self, number: usize, change: impl FnOnce(&mut LoggedRequest)) {
        // A test may have cleared the log meanwhile.
        if let Some(entry) = self.log.lock().expect("log").get_mut(number) {
            change(entry);
        }
        self.activity.notify_waiters();
    }

    /// A copy of the log.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.log.lock().expect("log").clone()
    }

    /// The most that came within any span of this length. `weigh` says what a request counts for: 0
    /// leaves it out, the items of a `$batch` may count one by one.
    pub fn most_in_span(&self, span: Duration, weigh: impl Fn(&LoggedRequest) -> usize) -> usize {
        let log = self.log.lock().expect("log");
        let mut within = VecDeque::new();
        let (mut sum, mut most) = (0, 0);
        for request in log.iter() {
            let weight = weigh(request);
            sum += weight;
            within.push_back((request.at, weight));
            while let Some((at, weight)) = within.front()
                && request.at.duration_since(*at) >= span
            {
                sum -= weight;
                within.pop_front();
            }
            most = most.max(sum);
        }
        most
    }

    /// The most requests of this kind that were under way at the same time. One that is never answered
    /// stays under way.
    pub fn most_at_once(&self, predicate: impl Fn(&LoggedRequest) -> bool) -> usize {
        let log = self.log.lock().expect("log");
        let wanted: Vec<&LoggedRequest> = log.iter().filter(|entry| predicate(entry)).collect();
        let at_arrival = wanted.iter().map(|newest| {
            let under_way = wanted.iter().filter(|other| {
                other.at <= newest.at && other.answered_at.is_none_or(|end| end > newest.at)
            });
            under_way.count()
        });
        at_arrival.max().unwrap_or(0)
    }

    /// Waits for a request (also one that already came) that the predicate accepts. A request that
    /// is not answered yet has status 0. Panics after a minute.
    pub async fn wait_for_request(
        &self,
        predicate: impl Fn(&LoggedRequest) -> bool,
    ) -> LoggedRequest {
        let found = async {
            loop {
                let activity = self.activity.notified();
                tokio::pin!(activity);
                activity.as_mut().enable();
                if let Some(entry) = self.find_request(&predicate) {
                    return entry;
                }
                activity.await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(entry) => entry,
            Err(_) => panic!("no such request came; the log is {:#?}", self.requests()),
        }
    }

    fn find_request(&self, predicate: impl Fn(&LoggedRequest) -> bool) -> Option<LoggedRequest> {
        let log = self.log.lock().expect("log");
        log.iter().find(|entry| predicate(entry)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request that came so many milliseconds after the beginning and took so many.
    fn request(begun: Instant, path: &str, after: u64, took: Option<u64>) -> LoggedRequest {
        let at = begun + Duration::from_millis(after);
        LoggedRequest {
            server: "graph",
            method: "GET".to_owned(),
            path_and_query: path.to_owned(),
            tenant: None,
            had_authorization: true,
            status: 0,
            at,
            answered_at: took.map(|took| at + Duration::from_millis(took)),
            batch: Vec::new(),
            form: None,
        }
    }

    fn log(requests: &[(&str, u64, Option<u64>)]) -> Cloud {
        let cloud = Cloud::new(String::new(), String::new(), String::new());
        let begun = Instant::now();
        for (path, after, took) in requests {
            cloud.log_arrival(request(begun, path, *after, *took));
        }
        cloud
    }

    #[test]
    fn the_most_in_a_span_is_that_of_the_busiest_one_wherever_it_lies() {
        let one = Some(1);
        let cloud = log(&[
            ("/a", 0, one),
            ("/a", 90, one),
            ("/b", 95, one),
            ("/a", 100, one),
            ("/a", 180, one),
            ("/a", 400, one),
        ]);
        let span = Duration::from_millis(100);
        assert_eq!(cloud.most_in_span(span, |_| 1), 4);
        let of_a = |request: &LoggedRequest| usize::from(request.path_and_query == "/a");
        assert_eq!(cloud.most_in_span(span, of_a), 3);
        assert_eq!(cloud.most_in_span(span, |request| 5 * of_a(request)), 15);
        assert_eq!(cloud.most_in_span(Duration::from_secs(9), |_| 1), 6);
        assert_eq!(log(&[]).most_in_span(span, |_| 1), 0);
    }

    #[test]
    fn the_most_at_once_counts_what_overlaps() {
        let cloud = log(&[
            ("/a", 0, Some(50)),
            ("/a", 10, Some(10)),
            ("/a", 20, Some(10)),
            ("/b", 25, Some(10)),
            ("/a", 60, None),
            ("/a", 500, Some(1)),
        ]);
        assert_eq!(cloud.most_at_once(|_| true), 3);
        assert_eq!(
            cloud.most_at_once(|request| request.path_and_query == "/a"),
            2
        );
        assert_eq!(
            cloud.most_at_once(|request| request.path_and_query == "/c"),
            0
        );
    }
}
