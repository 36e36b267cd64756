//! Builds, wires, serves and drains a node. Decides nothing of the domain.

mod admission;
mod aggregates;
mod analytics;
mod clock;
mod cluster;
mod config;
mod drain;
mod grpc;
mod hot_tier;
mod http;
mod ingest;
mod rate;
mod refusal;
mod serve;
mod subscribe;
mod telemetry;
mod tenant;

pub use config::{Config, ConfigError, LakeConfig, S3Config};
pub use serve::{Started, serve};
pub use telemetry::init as init_telemetry;

#[doc(hidden)]
pub mod bench {
    //! For `benches/grpc.rs`, which is a crate of its own: it measures the way of a message to its handler, without a node.

    pub use crate::grpc::raw::unary;
}

#[cfg(feature = "failpoints")]
pub use failing::{FailScenario, fail_points};

#[cfg(feature = "failpoints")]
mod failing {
    //! Fail points from the environment variable `FAILPOINTS`, for tests.

    /// Fail points are on while it lives.
    pub struct FailScenario(#[expect(dead_code, reason = "held for its drop")] fail::FailScenario<'static>);

    /// Reads `FAILPOINTS`.
    #[must_use]
    pub fn fail_points() -> FailScenario {
        FailScenario(fail::FailScenario::setup())
    }
}
