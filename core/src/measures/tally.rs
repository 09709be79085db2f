//! Numbers by labels: what a metric is before it is text.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A number for each combination of label values; it only grows.
#[derive(Debug)]
pub struct Tally<const N: usize>(BTreeMap<[&'static str; N], AtomicU64>);

impl<const N: usize> Tally<N> {
    pub(super) fn new(labels: impl IntoIterator<Item = [&'static str; N]>) -> Self {
        let from_zero = |labels| (labels, AtomicU64::new(0));
        Self(labels.into_iter().map(from_zero).collect())
    }

    /// Adds to one combination; one that was not there from the start is no label of ours.
    pub(super) fn add(&self, labels: [&'static str; N], number: u64) {
        if let Some(own) = self.0.get(&labels) {
            own.fetch_add(number, Relaxed);
        }
    }

    /// The numbers by their label values.
    pub fn read(&self) -> impl Iterator<Item = ([&'static str; N], u64)> {
        self.0
            .iter()
            .map(|(labels, number)| (*labels, number.load(Relaxed)))
    }
}

/// How long something took, for each combination of label values.
#[derive(Debug)]
pub struct Durations<const N: usize>(BTreeMap<[&'static str; N], Mutex<Spread>>);

/// Durations by buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// The upper bound of each bucket, and how many durations were not above it.
    pub buckets: Vec<(Duration, u64)>,
    /// How many durations there were.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

impl<const N: usize> Durations<N> {
    pub(super) fn new(
        bounds: &[Duration],
        labels: impl IntoIterator<Item = [&'static str; N]>,
    ) -> Self {
        let nothing = Spread {
            buckets: bounds.iter().map(|bound| (*bound, 0)).collect(),
            count: 0,
            sum: Duration::ZERO,
        };
        let from_zero = |labels| (labels, Mutex::new(nothing.clone()));
        Self(labels.into_iter().map(from_zero).collect())
    }

    /// Adds one duration.
    pub(super) fn add(&self, labels: [&'static str; N], took: Duration) {
        if let Some(own) = self.0.get(&labels) {
            let mut spread = own.lock().unwrap_or_else(PoisonError::into_inner);
            for (bound, count) in &mut spread.buckets {
                *count += u64::from(took <= *bound);
            }
            spread.count += 1;
            spread.sum = spread.sum.saturating_add(took);
        }
    }

    /// The durations by their label values.
    pub fn read(&self) -> impl Iterator<Item = ([&'static str; N], Spread)> {
        self.0.iter().map(|(labels, spread)| {
            let spread = spread.lock().unwrap_or_else(PoisonError::into_inner);
            (*labels, spread.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_every_bucket_that_reaches_it() {
        let seconds = Duration::from_secs;
        let durations = Durations::new(
            &[seconds(1), seconds(5), seconds(10)],
            [["graph"], ["login"]],
        );
        for took in [1, 4, 6, 11] {
            durations.add(["graph"], seconds(took));
        }
        let read: Vec<_> = durations.read().collect();
        let [(["graph"], graph), (["login"], login)] = read.as_slice() else {
            panic!("{read:?}");
        };
        let counts = |spread: &Spread| {
            spread
                .buckets
                .iter()
                .map(|(_, count)| *count)
                .collect::<Vec<_>>()
        };
        assert_eq!(counts(graph), [1, 2, 3]);
        assert_eq!((graph.count, graph.sum), (4, seconds(22)));
        assert_eq!(counts(login), [0, 0, 0]);
    }
}
