//! Traces by OTLP: what a request does, on all nodes that it comes to, in one tree.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TracesConfig;

/// A collector that takes longer loses spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// What is left at the end may take so long.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// The way to a collector.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send. A collector that does not answer costs spans and nothing else.
    pub(super) fn to_collector(config: &TracesConfig) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&config.endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .with_context(|| format!("can't send traces to {}", config.endpoint))?;
        let node = config.node.clone();
        let node = node.map(|node| KeyValue::new("service.instance.id", node));
        let resource = Resource::builder()
            .with_service_name("mcp-v8")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attributes(node)
            .build();
        // Who has decided to follow a request is followed: a trace is whole or not there.
        let share = Sampler::TraceIdRatioBased(f64::from(config.sample_percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// What passes on the spans of this program; those of its libraries are too many.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let ours = filter_fn(|of| of.is_span() && of.target().starts_with("mcp_v8"));
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("mcp-v8"))
            .with_filter(ours)
    }

    /// Sends what is left.
    pub async fn close(self) {
        let closed = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_EXPORT));
        if let Ok(Err(error)) = closed.await {
            tracing::debug!(%error, "the last spans are not sent");
        }
    }
}
