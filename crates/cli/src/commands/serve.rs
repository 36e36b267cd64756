//! `watershed serve`: a node until SIGTERM or Ctrl-C.

use watershed_node::Started;

use super::settings::Flags;
use crate::out::{self, Failure};
use crate::signals;

pub(crate) const EXAMPLES: &str = "Examples:
  watershed serve
  watershed serve --data-dir /var/lib/watershed --grpc-addr 0.0.0.0:4317
  watershed serve --set budget=128MiB --set high_volume_tenants=acme";

pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let config = flags.load()?;
    watershed_node::init_telemetry(&config).map_err(Failure::Usage)?;
    #[cfg(feature = "failpoints")]
    let _scenario = std::env::var_os("FAILPOINTS").map(|_| failpoints());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { Box::pin(watershed_node::serve(config, signals::asked_to_end()?, announce)).await })?;
    Ok(())
}

fn announce(started: &Started) {
    let Started { grpc_addr, http_addr, data_dir } = started;
    out::say(&format!("watershed is ready; data in {}", data_dir.display()));
    out::say(&format!("  OTLP/gRPC   OTEL_EXPORTER_OTLP_ENDPOINT=http://{grpc_addr}"));
    out::say(&format!("  OTLP/HTTP   OTEL_EXPORTER_OTLP_ENDPOINT=http://{http_addr} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"));
    out::say(&format!("  health      http://{http_addr}/readyz   metrics http://{http_addr}/metrics"));
}

/// Fail points stand for a sudden death: a panic in one of them ends the process at once, without cleaning up.
#[cfg(feature = "failpoints")]
fn failpoints() -> watershed_node::FailScenario {
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    watershed_node::fail_points()
}
