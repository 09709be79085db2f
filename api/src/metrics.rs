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
    microsoft::{
        client_credential::{ClientCredential, ProofKind},
        throttle::Governor,
    },
    store::Store,
    sync::SyncService,
    tenants::TenantStatus,
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
    credential_expiry: IntGaugeVec,
    credential_refused: IntGauge,
    listening: IntGauge,
    budgets: IntGaugeVec,
    watched: Watched,
}

/// What the process is asked for its numbers.
pub struct Watched {
    /// The database.
    pub store: Store,
    /// Syncs.
    pub sync: SyncService,
    /// The credential of the app registration.
    pub credential: Option<ClientCredential>,
    /// Keeps to Microsoft's limits.
    pub governor: Governor,
}

/// The part of a status document that is counted.
#[derive(Deserialize)]
struct Counted {
    status: String,
}

impl Metrics {
    /// Metrics of a build, over the store, the status documents and the credential of this process.
    ///
    /// # Errors
    /// When a name is registered twice: a fault of this file.
    pub fn new(version: &str, commit: &str, watched: Watched) -> Result<Self, prometheus::Error> {
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
            credential_expiry: gauges(
                "tenantry_microsoft_credential_expiry_timestamp_seconds",
                "When the app registration's credential ends; 0 where that is not known.",
                "kind",
            )?,
            credential_refused: gauge(
                "tenantry_microsoft_credential_refused",
                "Whether Microsoft refuses the app registration's credential.",
            )?,
            listening: gauge(
                "tenantry_db_listening",
                "Whether this process hears of changes by others at once: 1, or 0 when it looks for them. Always 0 with SQLite.",
            )?,
            budgets: gauges(
                "tenantry_upstream_budget_slices",
                "Of 32 slices of what Microsoft grants the application in all tenants, those of this process.",
                "budget",
            )?,
            watched,
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
            .register(Box::new(metrics.credential_expiry.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.credential_refused.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.listening.clone()))?;
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
        self.look_at_credential();
        let (used, idle) = self.watched.store.pool_state();
        self.connections
            .with_label_values(&["used"])
            .set(used.into());
        self.connections
            .with_label_values(&["idle"])
            .set(idle.into());
        let listening = self.watched.store.notices().is_listening();
        self.listening.set(listening.into());
        for (budget, slices) in self.watched.governor.slices() {
            self.budgets.with_label_values(&[budget]).set(slices.into());
        }
        let mut families = self.registry.gather();
        families.extend(measured::families(self.watched.store.measures()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    fn look_at_credential(&self) {
        let now = self.watched.store.clock().now();
        let status = self
            .watched
            .credential
            .as_ref()
            .map(|known| known.status(now));
        for kind in ProofKind::ALL {
            let own = status.as_ref().filter(|status| status.kind == kind);
            let end = own.and_then(|status| status.expires_at);
            self.credential_expiry
                .with_label_values(&[kind.as_str()])
                .set(end.map_or(0, |end| end.timestamp()));
        }
        let is_refused = status.is_some_and(|status| status.refusal.is_some());
        self.credential_refused.set(is_refused.into());
    }

    fn count_tenants(&self) {
        let mut by_status = TenantStatus::ALL.map(|status| (status.as_str(), 0_i64));
        let (mut stale, mut active) = (0, 0);
        for update in self.watched.store.board().snapshots() {
            active += i64::from(update.snapshot.active);
            let counted = serde_json::from_str::<Counted>(&update.snapshot.document);
            if let Ok(Counted { status }) = counted
                && let Some((_, count)) = by_status.iter_mut().find(|(word, _)| *word == status)
            {
                *count += 1;
            }
            stale += i64::from(self.watched.sync.at_present(update.snapshot).stale);
        }
        for (status, count) in by_status {
            self.tenants.with_label_values(&[status]).set(count);
        }
        self.tenants_stale.set(stale);
        self.runs_active.set(active);
    }
}
