//! The flags of a node: each is a setting, typed as it stands in the file.

use std::path::PathBuf;

use clap::Args;
use watershed_node::Config;

use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:\n  watershed config\n  watershed config --config w.toml --set budget=16MiB";

/// Flags win over `WATERSHED_*`, which win over the file.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Flags {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of everything that must survive [default: ./watershed-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// gRPC: OTLP and subscriptions [default: 127.0.0.1:4317].
    #[arg(long, value_name = "ADDR")]
    grpc_addr: Option<String>,
    /// HTTP: OTLP, health, metrics [default: 127.0.0.1:4318].
    #[arg(long, value_name = "ADDR")]
    http_addr: Option<String>,
    /// Shards; fixed when the folder is made [default: 4].
    #[arg(long, value_name = "N")]
    shards: Option<String>,
    /// How long archived events stay hot [default: 5m].
    #[arg(long, value_name = "DURATION")]
    hot_retention: Option<String>,
    /// Longest time between a commit and its snapshot [default: 1m].
    #[arg(long, value_name = "DURATION")]
    flush_interval: Option<String>,
    /// Any other setting.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Flags {
    /// The effective settings.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let named = [
            ("data_dir", &self.data_dir),
            ("grpc_addr", &self.grpc_addr),
            ("http_addr", &self.http_addr),
            ("shards", &self.shards),
            ("hot_retention", &self.hot_retention),
            ("flush_interval", &self.flush_interval),
        ];
        let mut flags = Vec::new();
        for pair in &self.set {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| Failure::Usage(anyhow::anyhow!("--set {pair}: KEY=VALUE is wanted")))?;
            flags.push((key.to_owned(), value.to_owned()));
        }
        flags.extend(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))));
        Config::load(self.config.as_deref(), flags).map_err(|error| Failure::Usage(error.into()))
    }
}

/// `watershed config`.
pub(crate) fn print(flags: &Flags) -> Result<(), Failure> {
    Ok(out::data(&flags.load()?.to_toml())?)
}
