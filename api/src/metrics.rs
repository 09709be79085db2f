//! What is measured, as Prometheus reads it. Labels come from closed sets, never from ids.

mod measured;

use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use serde::Deserialize;
use tenantry_core::{
    microsoft::throttle::Governor, store::Store, sync::SyncService, tenants::TenantStatus,
};

/// OpenTelemetry's buckets for the duration of requests, in seconds.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Methods with a label of their own.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PATCH,
    Method::DELETE,
    Method::PUT,
    Method::OPTIONS,
];

/// The metrics of this process.
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    refused_keys: IntCounter,
    event_streams: IntGauge,
    tenants: IntGaugeVec,
    tenants_stale: IntGauge,
    runs_active: IntGauge,
    connections: IntGaugeVec,
    budgets: IntGaugeVec,
    governor: Governor,
    store: Store,
    sync: SyncService,
}

/// The part of a status document that is counted.
#[derive(Deserialize)]
struct Counted {
    status: String,
}

impl Metrics {
    /// Metrics of a build, over the store and the status documents of this process.
    ///
    /// # Errors
    /// When a name is registered twice: a fault of this file.
    pub fn new(
        version: &str,
        commit: &str,
        store: Store,
        sync: SyncService,
        governor: Governor,
    ) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let gauges =
            |name: &str, help: &str, label: &str| IntGaugeVec::new(Opts::new(name, help), &[label]);
        let build = IntGaugeVec::new(
            Opts::new("tenantry_build_info", "The version that runs; always 1."),
            &["version", "commit"],
        )?;
        build.with_label_values(&[version, commit]).set(1);
        let metrics = Self {
            registry: Registry::new(),
            requests: HistogramVec::new(
                HistogramOpts::new(
                    "http_server_request_duration_seconds",
                    "Duration of HTTP requests.",
                )
                .buckets(BUCKETS.to_vec()),
                &[
                    "http_request_method",
                    "http_route",
                    "http_response_status_code",
                ],
            )?,
            refused_keys: IntCounter::new(
                "tenantry_refused_keys_total",
                "Requests with an API key that is not valid.",
            )?,
            event_streams: gauge("tenantry_event_streams", "Open event streams.")?,
            tenants: gauges("tenantry_tenants", "Tenants by status.", "status")?,
            tenants_stale: gauge(
                "tenantry_tenants_stale",
                "Tenants without a completed run for too long.",
            )?,
            runs_active: gauge(
                "tenantry_sync_runs_active",
                "Sync runs that are queued or running.",
            )?,
            connections: gauges(
                "tenantry_db_pool_connections",
                "Database connections of the pool.",
                "state",
            )?,
            budgets: gauges(
                "tenantry_upstream_budget_slices",
                "Of 32 slices of what Microsoft grants the application in all tenants, those of this process.",
                "budget",
            )?,
            governor,
            store,
            sync,
        };
        metrics.registry.register(Box::new(build))?;
        metrics
            .registry
            .register(Box::new(metrics.requests.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.refused_keys.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.event_streams.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.tenants.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.tenants_stale.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.runs_active.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.connections.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.budgets.clone()))?;
        Ok(metrics)
    }

    /// Notes an answered request; `route` is a pattern, never a path.
    pub fn observe_request(
        &self,
        method: &Method,
        route: &str,
        status: StatusCode,
        took: Duration,
    ) {
        let method = if METHODS.contains(method) {
            method.as_str()
        } else {
            "_OTHER"
        };
        self.requests
            .with_label_values(&[method, route, status.as_str()])
            .observe(took.as_secs_f64());
    }

    /// Notes a key that is not valid.
    pub fn count_refused_key(&self) {
        self.refused_keys.inc();
    }

    /// The gauge of open event streams.
    pub fn event_streams(&self) -> &IntGauge {
        &self.event_streams
    }

    /// Everything as text.
    ///
    /// # Errors
    /// When the text cannot be written.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.count_tenants();
        let (used, idle) = self.store.pool_state();
        self.connections
            .with_label_values(&["used"])
            .set(used.into());
        self.connections
            .with_label_values(&["idle"])
            .set(idle.into());
        for (budget, slices) in self.governor.slices() {
            self.budgets.with_label_values(&[budget]).set(slices.into());
        }
        let mut families = self.registry.gather();
        families.extend(measured::families(self.store.measures()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    fn count_tenants(&self) {
        let mut by_status = TenantStatus::ALL.map(|status| (status.as_str(), 0_i64));
        let (mut stale, mut active) = (0, 0);
        for update in self.store.board().snapshots() {
            active += i64::from(update.snapshot.active);
            let counted = serde_json::from_str::<Counted>(&update.snapshot.document);
            if let Ok(Counted { status }) = counted
                && let Some((_, count)) = by_status.iter_mut().find(|(word, _)| *word == status)
            {
                *count += 1;
            }
            stale += i64::from(self.sync.at_present(update.snapshot).stale);
        }
        for (status, count) in by_status {
            self.tenants.with_label_values(&[status]).set(count);
        }
        self.tenants_stale.set(stale);
        self.runs_active.set(active);
    }
}
