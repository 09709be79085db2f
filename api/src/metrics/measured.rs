//! What core measured, by the names that Prometheus reads.

use std::time::Duration;

use prometheus::{
    core::Number as _,
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use tenantry_core::measures::{Durations, Measures, Spread, Tally};

/// All of it at this moment.
pub fn families(measures: &Measures) -> Vec<MetricFamily> {
    vec![
        counter(
            "tenantry_sync_runs_total",
            "Sync runs that ended.",
            ["kind", "state"],
            &measures.runs,
        ),
        histogram(
            "tenantry_sync_run_duration_seconds",
            "Duration of sync runs that ended, from when a worker first took them.",
            [],
            &measures.run_duration,
        ),
        counter(
            "tenantry_dataset_objects_total",
            "Objects that ended sync runs had read.",
            ["dataset"],
            &measures.objects,
        ),
        counter(
            "tenantry_dataset_failures_total",
            "Data sets that failed in sync runs that ended.",
            ["dataset", "code"],
            &measures.failures,
        ),
        counter(
            "tenantry_upstream_requests_total",
            "Requests that were sent, by the head of their answer; a batch is one.",
            ["upstream", "outcome"],
            &measures.requests,
        ),
        histogram(
            "tenantry_upstream_request_duration_seconds",
            "Duration of requests that were sent, until their answer began.",
            ["upstream"],
            &measures.request_duration,
        ),
        throttled(&measures.throttled_ms),
        counter(
            "tenantry_psa_syncs_total",
            "Syncs of customers from a PSA that ended.",
            ["kind", "outcome"],
            &measures.customer_syncs,
        ),
        counter(
            "tenantry_audit_events_total",
            "Events appended to the audit.",
            [],
            &measures.audit_events,
        ),
        counter(
            "tenantry_psa_tickets_total",
            "Exchanges with PSAs about tickets that this process keeps there.",
            ["outcome"],
            &measures.tickets,
        ),
    ]
}

fn counter<const N: usize>(
    name: &str,
    help: &str,
    labels: [&str; N],
    tally: &Tally<N>,
) -> MetricFamily {
    let samples = tally
        .read()
        .map(|(values, number)| counted(labels, values, number.into_f64()));
    family(name, help, MetricType::COUNTER, samples.collect())
}

fn throttled(milliseconds: &Tally<1>) -> MetricFamily {
    let samples = milliseconds.read().map(|(values, number)| {
        counted(
            ["upstream"],
            values,
            Duration::from_millis(number).as_secs_f64(),
        )
    });
    family(
        "tenantry_upstream_throttled_seconds_total",
        "Time in which a data set waited because the upstream limits it.",
        MetricType::COUNTER,
        samples.collect(),
    )
}

fn histogram<const N: usize>(
    name: &str,
    help: &str,
    labels: [&str; N],
    durations: &Durations<N>,
) -> MetricFamily {
    let samples = durations.read().map(|(values, spread)| {
        let mut sample = Metric::from_label(pairs(labels, values));
        sample.set_histogram(of_spread(&spread));
        sample
    });
    family(name, help, MetricType::HISTOGRAM, samples.collect())
}

fn of_spread(spread: &Spread) -> Histogram {
    let buckets = spread.buckets.iter().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound.as_secs_f64());
        bucket.set_cumulative_count(*count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(spread.count);
    histogram.set_sample_sum(spread.sum.as_secs_f64());
    histogram
}

fn counted<const N: usize>(labels: [&str; N], values: [&str; N], number: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(number);
    let mut sample = Metric::from_label(pairs(labels, values));
    sample.set_counter(counter);
    sample
}

fn pairs<const N: usize>(labels: [&str; N], values: [&str; N]) -> Vec<LabelPair> {
    let pairs = labels.into_iter().zip(values).map(|(label, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(label.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    pairs.collect()
}

fn family(name: &str, help: &str, kind: MetricType, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}
