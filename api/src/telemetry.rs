//! Log lines, on stderr: `time level message key=value`, or one JSON object a line with `timestamp`,
//! `level`, `message`, `target` and `fields`.
//!
//! A message is constant and values are fields. In JSON the fields of the spans around an event, such
//! as `requestId`, stand beside the event's own.

use std::io::{IsTerminal as _, Write as _};

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tenantry_core::clock::Clock;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::filter_fn,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::config::{LogConfig, LogFormat};

/// Where the line `listening` goes: no filter hides it, for it alone names a port that was picked.
pub const READY: &str = "tenantry::ready";

/// Below a warning, libraries tell of what they carry, headers and bodies with secrets included (V9):
/// no filter turns that on.
fn may_be_told(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("tenantry") || *metadata.level() <= Level::WARN
}

/// Starts logging. Only the first call in a process has an effect.
pub fn init(log: &LogConfig) {
    let mut filter = EnvFilter::builder().parse_lossy(&log.filter);
    if let Ok(ready) = format!("{READY}=info").parse() {
        filter = filter.add_directive(ready);
    }
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_be_told));
    let started = match log.format {
        LogFormat::Json => registry.with(JsonLines::new(Clock::system())).try_init(),
        LogFormat::Text => {
            let text = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_target(false)
                .with_ansi(wants_colour());
            registry.with(text).try_init()
        }
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}

/// Colours are for a terminal that can show them, and a person who has not asked for none.
fn wants_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    std::io::stderr().is_terminal() && !is_set("NO_COLOR") && !dumb
}

/// Writes each event as one JSON object.
struct JsonLines {
    clock: Clock,
}

/// A line, in the order in which it is read.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    message: Value,
    target: &'a str,
    fields: Map<String, Value>,
}

/// The fields of a span, kept with it.
struct SpanFields(Map<String, Value>);

impl JsonLines {
    fn new(clock: Clock) -> Self {
        Self { clock }
    }

    /// The line for an event with the fields around it.
    fn line(&self, event: &Event<'_>, mut fields: Map<String, Value>) -> String {
        event.record(&mut Fields(&mut fields));
        let message = fields.remove("message").unwrap_or_else(|| json!(""));
        let metadata = event.metadata();
        let timestamp = self
            .clock
            .now()
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        let line = Line {
            timestamp,
            level: metadata.level().as_str(),
            message,
            target: metadata.target(),
            fields,
        };
        match serde_json::to_string(&line) {
            Ok(mut line) => {
                line.push('\n');
                line
            }
            // Neither a key nor a value here can fail to be written.
            Err(_unwritable) => String::new(),
        }
    }
}

impl<S> Layer<S> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Map::new();
        attributes.record(&mut Fields(&mut fields));
        span.extensions_mut().insert(SpanFields(fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(SpanFields(fields)) = span.extensions_mut().get_mut() {
            values.record(&mut Fields(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(SpanFields(own)) = span.extensions().get() {
                fields.extend(own.clone());
            }
        }
        let line = self.line(event, fields);
        // Nobody can be told that telling failed.
        let _written = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Takes fields down as JSON.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps lines instead of writing them.
    struct Kept(JsonLines, Arc<Mutex<Vec<String>>>);

    impl<S> Layer<S> for Kept
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let line = self.0.line(
                event,
                Map::from_iter([("requestId".to_owned(), json!("r"))]),
            );
            self.1.lock().unwrap().push(line);
        }
    }

    #[test]
    fn a_json_line_has_the_message_at_its_top_and_values_as_fields() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let clock = Clock::from_fn(|| chrono::DateTime::UNIX_EPOCH);
        let kept = Kept(JsonLines::new(clock), Arc::clone(&lines));
        let subscriber = tracing_subscriber::registry().with(kept);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(address = %"127.0.0.1:8080", count = 3, "listening");
        });
        let lines = lines.lock().unwrap();
        let line: Value = serde_json::from_str(lines.first().unwrap()).unwrap();
        assert_eq!(
            line,
            json!({
                "timestamp": "1970-01-01T00:00:00.000000Z",
                "level": "INFO",
                "message": "listening",
                "target": "tenantry::telemetry::tests",
                "fields": {"address": "127.0.0.1:8080", "count": 3, "requestId": "r"},
            })
        );
    }
}
