//! The settings: defaults, then a TOML file, then `WATERSHED_*`, then flags. The one place that reads the environment.

mod lake;
mod layers;
mod limits;
mod security;
mod streams;
mod units;
mod upkeep;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Table;
use watershed_schema::TenantId;
use watershed_sources::redact;

pub(crate) use lake::Catalog;
pub use lake::{LakeConfig, S3Config};
pub(crate) use limits::LimitsConfig;
pub(crate) use streams::StreamsConfig;
pub(crate) use units::{Bytes, Span};

const ENV_PREFIX: &str = "WATERSHED_";
/// Read by the command line client, not by the server.
const ENV_OF_CLIENT: [&str; 4] = ["endpoint", "http_endpoint", "postgres_url", "tenant"];

/// Effective settings of a node; the name of a field is its TOML key, flag and `WATERSHED_` variable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of everything that must survive.
    pub data_dir: PathBuf,
    /// gRPC: OTLP and `watershed.v1`.
    pub grpc_addr: SocketAddr,
    /// HTTP: OTLP, health, metrics.
    pub http_addr: SocketAddr,
    /// Where other nodes reach this one; listened at when `join` names some.
    pub cluster_addr: SocketAddr,
    /// `host:port` under which other nodes reach this one.
    pub advertise_addr: String,
    /// Cluster addresses of the nodes that begin the cluster, the same list on each: the first founds it. Empty: alone.
    pub join: Vec<String>,
    /// Name of the cluster; nodes of others are refused.
    pub cluster_name: String,
    /// File with the secret that all nodes know, 16 bytes or more. Nothing is encrypted: for a trusted network.
    pub cluster_secret_file: PathBuf,
    /// This node's certificate chain, PEM, for the host of `advertise_addr`: nodes speak TLS 1.3 with each other.
    pub cluster_tls_cert_file: PathBuf,
    /// Its private key, PEM.
    pub cluster_tls_key_file: PathBuf,
    /// Who signs the nodes' certificates, PEM.
    pub cluster_tls_ca_file: PathBuf,
    /// Failure domain: replicas of a shard stand in different ones, if there are any.
    pub zone: String,
    /// Shards; fixed when the data folder is made.
    pub shards: u16,
    /// Tenants that are spread over all shards by trace. The data folder remembers them: who was spread once stays so.
    pub high_volume_tenants: Vec<String>,
    /// Bytes of requests in flight; more is refused with `RESOURCE_EXHAUSTED`.
    pub budget: Bytes,
    /// How long archived events stay in the hot tier, at least (never less than the dedupe window of ten minutes).
    pub hot_retention: Span,
    /// Longest time between a commit and the snapshot that holds it.
    pub flush_interval: Span,
    /// Rows that close a file set early.
    pub archive_rows: u64,
    /// Bytes of rows that close a file set early.
    pub archive_bytes: Bytes,
    /// Bytes of committed events that may wait for the lake on this node; more is refused until it is archived.
    pub archive_backlog: Bytes,
    /// Attempts after which rows that the lake refuses for good are put aside as a dead letter.
    pub archive_attempts: u32,
    /// Longest time a query may take.
    pub query_deadline: Span,
    /// Memory of one query.
    pub query_memory: Bytes,
    /// Rows a query may return.
    pub query_rows: u64,
    /// Longest time to finish what is in flight at SIGTERM.
    pub drain_timeout: Span,
    /// Filter of the log, as `tracing` spells it.
    pub log: String,
    /// `text` or `json`.
    pub log_format: String,
    /// What must not be stored: `[redaction]`, in the file only.
    pub redaction: redact::Settings,
    /// What tenants may send: `[limits]`.
    pub limits: LimitsConfig,
    /// What subscriptions may use: `[streams]`.
    pub streams: StreamsConfig,
    /// Where old events go: `[lake]`.
    pub lake: LakeConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./watershed-data"),
            grpc_addr: SocketAddr::from(([127, 0, 0, 1], 4317)),
            http_addr: SocketAddr::from(([127, 0, 0, 1], 4318)),
            cluster_addr: SocketAddr::from(([127, 0, 0, 1], 4319)),
            advertise_addr: String::new(),
            join: Vec::new(),
            cluster_name: "watershed".to_owned(),
            cluster_secret_file: PathBuf::new(),
            cluster_tls_cert_file: PathBuf::new(),
            cluster_tls_key_file: PathBuf::new(),
            cluster_tls_ca_file: PathBuf::new(),
            zone: String::new(),
            shards: 4,
            high_volume_tenants: Vec::new(),
            budget: Bytes(64 << 20),
            hot_retention: Span::from_secs(300),
            flush_interval: Span::from_secs(60),
            archive_rows: 32_768,
            archive_bytes: Bytes(32 << 20),
            archive_backlog: Bytes(8 << 30),
            archive_attempts: 5,
            query_deadline: Span::from_secs(30),
            query_memory: Bytes(128 << 20),
            query_rows: 1_000_000,
            drain_timeout: Span::from_secs(20),
            log: "info,openraft=error".to_owned(),
            log_format: "text".to_owned(),
            redaction: redact::Settings::default(),
            limits: LimitsConfig::default(),
            streams: StreamsConfig::default(),
            lake: LakeConfig::default(),
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{path}: {error}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and what.
        error: toml::de::Error,
    },
    /// A setting is unknown or has a wrong value.
    #[error("{}", .0.message())]
    Setting(#[from] toml::de::Error),
    /// A setting is out of its range.
    #[error("{key}: {reason}")]
    Range {
        /// The setting.
        key: &'static str,
        /// What is allowed.
        reason: String,
    },
}

impl Config {
    /// Settings from everywhere; `flags` are keys and values as they were typed.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting.
    pub fn load(file: Option<&Path>, flags: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        Self::merge(file, std::env::vars().filter_map(|(name, value)| setting_of(&name).map(|key| (key, value))), flags)
    }

    fn merge(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Table::try_from(Self::default()).expect("invariant: the defaults are TOML");
        if let Some(path) = file {
            layers::lay(&mut settings, read(path)?);
        }
        for (key, text) in environment.into_iter().chain(flags) {
            layers::set(&mut settings, key, &text);
        }
        settings.try_into::<Self>()?.checked()
    }

    fn checked(self) -> Result<Self, ConfigError> {
        if !(1..=1024).contains(&self.shards) {
            return range("shards", "must be 1 to 1024");
        }
        if !self.join.is_empty() && self.advertise_addr.is_empty() {
            return range("advertise_addr", "must be given with join: host:port under which other nodes reach this one");
        }
        self.limits.rates()?;
        self.cluster_security()?;
        if !self.join.is_empty() && self.lake.is_in_the_data_folder()? {
            return range(
                "lake.catalog",
                "must be rest, none, or sqlite with a dir that all nodes share: nodes that join have one lake",
            );
        }
        if self.archive_rows == 0 {
            return range("archive_rows", "must be at least 1");
        }
        if !matches!(self.log_format.as_str(), "text" | "json") {
            return range("log_format", "must be text or json");
        }
        self.tenants()?;
        self.lake.catalog()?;
        self.lake.buckets()?;
        self.lake.own_tables()?;
        self.lake.upkeep()?;
        Ok(self)
    }

    pub(crate) fn tenants(&self) -> Result<Vec<TenantId>, ConfigError> {
        let tenant = |name: &String| {
            TenantId::new(name).map_err(|error| ConfigError::Range { key: "high_volume_tenants", reason: error.to_string() })
        };
        self.high_volume_tenants.iter().map(tenant).collect()
    }

    /// The settings as a TOML file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("invariant: settings are TOML")
    }
}

fn range<T>(key: &'static str, reason: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Range { key, reason: reason.to_owned() })
}

/// The setting of an environment variable. Kubernetes adds `WATERSHED_SERVICE_*` and `WATERSHED_PORT*` by itself.
fn setting_of(name: &str) -> Option<String> {
    let key = name.strip_prefix(ENV_PREFIX)?.to_lowercase();
    let foreign = ENV_OF_CLIENT.contains(&key.as_str()) || key.starts_with("service_") || key.starts_with("port");
    (!foreign).then_some(key)
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
    text.parse().map_err(|error| ConfigError::Toml { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn with(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        Config::merge(None, own(environment), own(flags))
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.toml");
        std::fs::write(&path, "shards = 2\nflush_interval = \"5m\"\nbudget = \"16MiB\"\n").unwrap();
        let set = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let config = Config::merge(Some(&path), set("shards", "3"), set("shards", "8")).unwrap();
        assert_eq!((config.shards, config.budget.0, config.flush_interval.0.as_secs()), (8, 16 << 20, 300));
        assert_eq!(Config::merge(Some(&path), set("shards", "3"), []).unwrap().shards, 3);
        assert_eq!(Config::merge(Some(&path), [], []).unwrap().shards, 2);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused_by_name() {
        let message = |result: Result<Config, ConfigError>| result.unwrap_err().to_string();
        assert!(message(with(&[("shard", "3")], &[])).contains("shard"));
        assert!(message(with(&[], &[("budget", "much")])).contains("much"));
        assert!(message(with(&[], &[("shards", "0")])).contains("shards: must be 1 to 1024"));
        assert!(message(with(&[], &[("high_volume_tenants", "a b")])).contains("high_volume_tenants"));
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let config = with(&[], &[("high_volume_tenants", "a,b"), ("hot_retention", "90s")]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.toml");
        std::fs::write(&path, config.to_toml()).unwrap();
        assert_eq!(Config::merge(Some(&path), [], []).unwrap().to_toml(), config.to_toml());
    }

    #[test]
    fn settings_of_a_table_are_variables_too_and_keep_those_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.toml");
        std::fs::write(&path, "[lake]\nwarehouse = \"s3://b/p\"\n[lake.s3]\nregion = \"eu\"\n").unwrap();
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let environment = [set("lake_s3_path_style", "false"), set("lake_s3_requests", "9"), set("lake_s3_endpoint", "http://x")];
        let lake = Config::merge(Some(&path), environment, []).unwrap().lake;
        assert_eq!((lake.warehouse.as_str(), lake.s3.region.as_str()), ("s3://b/p", "eu"));
        let listed = with(&[("lake_own_tables", "acme,big")], &[]).unwrap().lake.own_tables;
        assert_eq!(listed, ["acme", "big"]);
        assert_eq!((lake.s3.path_style, lake.s3.requests, lake.s3.endpoint.as_str()), (false, 9, "http://x"));
        let unknown = with(&[("lake_s3_bukket", "x")], &[]).unwrap_err().to_string();
        assert!(unknown.contains("bukket"), "{unknown}");
    }

    #[test]
    fn secrets_are_not_printed_and_what_is_printed_is_no_secret() {
        let secret = |key: &'static str| (key, "do-not-tell");
        let rest =
            [("lake_catalog", "rest"), ("lake_uri", "https://x"), ("lake_client_id", "me"), ("lake_s3_access_key_id", "me")];
        let secrets = ["lake_client_secret", "lake_s3_secret_access_key", "lake_s3_session_token"].map(secret);
        let config = with(&[&rest[..], &secrets[..]].concat(), &[]).unwrap();
        let printed = config.to_toml();
        assert!(!printed.contains("do-not-tell") && !format!("{config:?}").contains("do-not-tell"), "{printed}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.toml");
        std::fs::write(&path, printed).unwrap();
        let refused = Config::merge(Some(&path), [], []).unwrap_err().to_string();
        assert!(refused.contains("hidden"), "{refused}");
    }

    #[test]
    fn variables_of_kubernetes_and_of_the_client_are_not_settings() {
        assert_eq!(setting_of("WATERSHED_DATA_DIR").as_deref(), Some("data_dir"));
        assert_eq!(setting_of("WATERSHED_PORT_4317_TCP"), None);
        assert_eq!(["WATERSHED_ENDPOINT", "WATERSHED_POSTGRES_URL"].map(setting_of), [None, None]);
    }
}
