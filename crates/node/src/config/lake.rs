//! `[lake]`: where old events go. By default a catalog file and a folder beside the shards.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use watershed_lake::rest::{self, Login};
use watershed_lake::storage::{Keys, S3};
use watershed_lake::{CACHE_BYTES_DEFAULT, FILTER_CACHE_BYTES_DEFAULT, Partitioning, Secret, UnknownPartitioning, table_name};
use watershed_schema::TenantId;

use super::{Bytes, ConfigError, Span, range};

/// Settings of the lake; empty text means not set. `WATERSHED_LAKE_URI` is `uri`, `WATERSHED_LAKE_S3_REGION` is `s3.region`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LakeConfig {
    /// `sqlite` (a file), `rest`, or `none`: then everything stays in the shards, as long as their disks have room.
    pub catalog: String,
    /// SQLite: folder of the catalog, one for all nodes of a cluster; none means `lake` in the data folder.
    pub dir: String,
    /// `r2` for Cloudflare R2 with its data catalog: fills in what follows from `account`, `bucket` and `token`.
    pub profile: String,
    /// R2: the account id.
    pub account: String,
    /// R2: the bucket.
    pub bucket: String,
    /// With `sqlite` the address that files go under: `s3://bucket/prefix` or `file:///folder`; none means the data
    /// folder. With `rest` the warehouse as the catalog knows it.
    pub warehouse: String,
    /// REST: address, without `/v1`.
    pub uri: String,
    /// REST: what stands between `/v1` and `/namespaces`; usually the catalog says it itself.
    pub prefix: String,
    /// REST: a bearer token.
    pub token: Secret,
    /// REST: a file with the token instead.
    pub token_file: String,
    /// REST: OAuth2 client id.
    pub client_id: String,
    /// REST: OAuth2 client secret.
    pub client_secret: Secret,
    /// REST: where OAuth2 tokens are; none means the catalog itself.
    pub oauth2_uri: String,
    /// REST: OAuth2 scope; none means `catalog`.
    pub scope: String,
    /// REST: whether the catalog is asked to lend credentials of the storage.
    pub vended_credentials: bool,
    /// REST: longest time for one request.
    pub request_timeout: Span,
    /// REST: longest time until a connection stands.
    pub connect_timeout: Span,
    /// Whether small files become long ones.
    pub compaction: bool,
    /// How long to wait after a round of compaction that found nothing to do.
    pub compaction_interval: Span,
    /// Length of the files that compaction aims at.
    pub compaction_target: Bytes,
    /// Memory for decoded rows in a round of compaction; the files' own bytes, as long as the target, come on top of it.
    pub compaction_memory: Bytes,
    /// How long a snapshot that was replaced stays, with the files that only it names: longer than any query takes.
    pub snapshot_retention: Span,
    /// As many of the newest snapshots stay, whatever their age.
    pub snapshots_kept: u32,
    /// How old a file must be that nobody names to be removed.
    pub orphan_age: Span,
    /// Between two looks for old snapshots.
    pub expiry_interval: Span,
    /// Between two looks for orphans, which list all files; `0s`: only by `watershed lake maintain`.
    pub orphan_interval: Span,
    /// How long rows stay in the lake; `0s`: for ever.
    pub retention: Span,
    /// Between two looks for rows that are too old.
    pub retention_interval: Span,
    /// Longest time of a round of upkeep that writes files: commits wait for it.
    pub upkeep_deadline: Span,
    /// How long rows stay, for single tenants: `[lake.tenant_retention]`, in the file only.
    pub tenant_retention: BTreeMap<String, Span>,
    /// What one partition holds: `hour`, `day` or `month` of `timestamp`. Another word than before holds for new files.
    pub partition: String,
    /// Tenants whose rows go to a table of their own, `events_<tenant>`, from now on. Those of others go to `events`.
    pub own_tables: Vec<String>,
    /// Memory for metadata, footers and bloom filters of files that were read; 0 keeps none.
    pub cache: Bytes,
    /// Room in `lake-cache` of the data folder for bloom filters, some 3 bytes a row of the lake; 0 keeps none there.
    pub disk_cache: Bytes,
    /// S3 and what speaks like it.
    pub s3: S3Config,
}

/// How buckets are reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// Address of the service; none means AWS, or what the catalog says.
    pub endpoint: String,
    /// Region.
    pub region: String,
    /// Whether the bucket stands in the path and not in the host name.
    pub path_style: bool,
    /// Access key id; without keys those of the catalog, of `AWS_*`, of a web identity or of the instance are used.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// Session token.
    pub session_token: Secret,
    /// A file like `~/.aws/credentials` to read keys from; read again when it changes.
    pub credentials_file: String,
    /// The section of that file.
    pub credentials_profile: String,
    /// Requests in flight at once.
    pub requests: u32,
    /// Longest time for one request with its body.
    pub request_timeout: Span,
    /// Longest time until a connection stands.
    pub connect_timeout: Span,
    /// How often one request is repeated.
    pub retries: u32,
    /// Longest time for a request with all its repetitions.
    pub retry_timeout: Span,
}

const DAY_S: u64 = 24 * 3_600;

/// Signatures grow old.
const RETRY_TIMEOUT_MAX: Span = Span::from_secs(300);

impl Default for LakeConfig {
    fn default() -> Self {
        Self {
            catalog: "sqlite".to_owned(),
            dir: String::new(),
            profile: String::new(),
            account: String::new(),
            bucket: String::new(),
            warehouse: String::new(),
            uri: String::new(),
            prefix: String::new(),
            token: Secret::default(),
            token_file: String::new(),
            client_id: String::new(),
            client_secret: Secret::default(),
            oauth2_uri: String::new(),
            scope: String::new(),
            vended_credentials: false,
            request_timeout: Span::from_secs(30),
            connect_timeout: Span::from_secs(5),
            compaction: true,
            compaction_interval: Span::from_secs(300),
            compaction_target: Bytes(128 << 20),
            compaction_memory: Bytes(64 << 20),
            // A commit a minute is 1 440 snapshots a day, and each commit writes the list of all that stay.
            snapshot_retention: Span::from_secs(DAY_S),
            snapshots_kept: 10,
            orphan_age: Span::from_secs(DAY_S),
            expiry_interval: Span::from_secs(3_600),
            orphan_interval: Span::from_secs(DAY_S),
            retention: Span::from_secs(0),
            tenant_retention: BTreeMap::new(),
            retention_interval: Span::from_secs(DAY_S),
            upkeep_deadline: Span::from_secs(60),
            partition: Partitioning::default().word().to_owned(),
            own_tables: Vec::new(),
            cache: Bytes(CACHE_BYTES_DEFAULT),
            disk_cache: Bytes(FILTER_CACHE_BYTES_DEFAULT),
            s3: S3Config::default(),
        }
    }
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: String::new(),
            path_style: true,
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            session_token: Secret::default(),
            credentials_file: String::new(),
            credentials_profile: "default".to_owned(),
            requests: 64,
            request_timeout: Span::from_secs(30),
            connect_timeout: Span::from_secs(5),
            retries: 8,
            retry_timeout: Span::from_secs(120),
        }
    }
}

/// Which catalog a node opens.
#[derive(Clone, Debug)]
pub(crate) enum Catalog {
    /// No lake.
    None,
    /// A file in the data folder; files go under the address, or into the data folder.
    Sqlite(Option<String>),
    /// A server.
    Rest(rest::Settings),
}

impl LakeConfig {
    /// The catalog of these settings.
    pub(crate) fn catalog(&self) -> Result<Catalog, ConfigError> {
        let filled = self.filled()?;
        match filled.catalog.as_str() {
            "sqlite" => filled.sqlite(),
            "rest" => Ok(Catalog::Rest(filled.rest()?)),
            "none" => Ok(Catalog::None),
            _ => range("lake.catalog", "must be sqlite, rest or none"),
        }
    }

    /// Whether it is this node's own.
    pub(crate) fn is_in_the_data_folder(&self) -> Result<bool, ConfigError> {
        Ok(matches!(self.catalog()?, Catalog::Sqlite(_)) && self.dir.is_empty())
    }

    /// How the table is partitioned.
    pub(crate) fn partitioning(&self) -> Result<Partitioning, ConfigError> {
        self.partition.parse().or_else(|unknown: UnknownPartitioning| range("lake.partition", &unknown.to_string()))
    }

    /// Tenants with a table of their own.
    pub(crate) fn own_tables(&self) -> Result<Vec<TenantId>, ConfigError> {
        if !self.own_tables.is_empty() && matches!(self.catalog()?, Catalog::None) {
            return range("lake.own_tables", "there is no lake for them: lake.catalog is none");
        }
        let tenant = |name: &String| {
            let tenant = TenantId::new(name).or_else(|error| range("lake.own_tables", &format!("{name:?}: {error}")))?;
            table_name(&tenant).or_else(|error| range("lake.own_tables", &error.to_string()))?;
            Ok(tenant)
        };
        self.own_tables.iter().map(tenant).collect()
    }

    /// How buckets are reached.
    pub(crate) fn buckets(&self) -> Result<S3, ConfigError> {
        self.filled()?.s3.checked()
    }

    /// With what follows from the profile; what is set stays.
    fn filled(&self) -> Result<Self, ConfigError> {
        let read = self.with_token()?;
        match self.profile.as_str() {
            "" if !self.account.is_empty() || !self.bucket.is_empty() => {
                range("lake.profile", "account and bucket are for profile = \"r2\"")
            }
            "" => Ok(read),
            "r2" => read.r2(),
            _ => range("lake.profile", "must be r2 or empty"),
        }
    }

    /// With the token that stands in a file.
    fn with_token(&self) -> Result<Self, ConfigError> {
        let mut read = self.clone();
        if let Some(path) = set(&self.token_file) {
            if !self.token.is_empty() {
                return range("lake.token_file", "either a token or a file with it");
            }
            let text = std::fs::read_to_string(&path);
            let text = text.or_else(|error| range("lake.token_file", &format!("{path}: {error}")))?;
            read.token = Secret::new(text.trim());
        }
        Ok(read)
    }

    fn r2(&self) -> Result<Self, ConfigError> {
        let mut filled = self.clone();
        let (account, bucket) = (needed("lake.account", &self.account)?, needed("lake.bucket", &self.bucket)?);
        if self.token.is_empty() {
            return range("lake.token", "profile r2 needs a token with permission for the catalog and the storage");
        }
        "rest".clone_into(&mut filled.catalog);
        or_else(&mut filled.uri, || format!("https://catalog.cloudflarestorage.com/{account}/{bucket}"));
        or_else(&mut filled.warehouse, || format!("{account}_{bucket}"));
        or_else(&mut filled.s3.endpoint, || format!("https://{account}.r2.cloudflarestorage.com"));
        or_else(&mut filled.s3.region, || "auto".to_owned());
        filled.vended_credentials |= self.s3.access_key_id.is_empty() && self.s3.credentials_file.is_empty();
        Ok(filled)
    }

    fn sqlite(&self) -> Result<Catalog, ConfigError> {
        if !self.uri.is_empty() {
            return range("lake.uri", "is for catalog = \"rest\"");
        }
        let known = ["s3://", "file:///"].iter().any(|scheme| self.warehouse.starts_with(scheme));
        if !self.warehouse.is_empty() && !known {
            return range("lake.warehouse", "must begin with s3:// or file:///");
        }
        Ok(Catalog::Sqlite(set(&self.warehouse)))
    }

    fn rest(&self) -> Result<rest::Settings, ConfigError> {
        let uri = needed("lake.uri", &self.uri)?.to_owned();
        if !uri.starts_with("http://") && !uri.starts_with("https://") {
            return range("lake.uri", "must begin with https:// or http://");
        }
        Ok(rest::Settings {
            uri,
            warehouse: set(&self.warehouse),
            prefix: set(&self.prefix),
            login: self.login()?,
            vended: self.vended_credentials,
            request_timeout: self.request_timeout.0,
            connect_timeout: self.connect_timeout.0,
        })
    }

    fn login(&self) -> Result<Login, ConfigError> {
        let (has_token, has_client) = (!self.token.is_empty(), !self.client_id.is_empty());
        if has_client == self.client_secret.is_empty() {
            return range("lake.client_secret", "client_id and client_secret come together");
        }
        match (has_token, has_client) {
            (true, true) => range("lake.token", "either a token or client_id and client_secret"),
            (true, false) => Ok(Login::Token(self.token.clone())),
            (false, false) => Ok(Login::None),
            (false, true) if self.client_id.contains(':') => range("lake.client_id", "must not contain a colon"),
            (false, true) => Ok(Login::Client {
                id: self.client_id.clone(),
                secret: self.client_secret.clone(),
                token_uri: set(&self.oauth2_uri),
                scope: set(&self.scope),
            }),
        }
    }
}

impl S3Config {
    fn checked(&self) -> Result<S3, ConfigError> {
        if self.requests == 0 {
            return range("lake.s3.requests", "must be at least 1");
        }
        if self.retry_timeout.0 > RETRY_TIMEOUT_MAX.0 {
            return range("lake.s3.retry_timeout", "must be at most 5m, as signatures grow old");
        }
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(S3 {
            endpoint: set(&self.endpoint),
            region: set(&self.region),
            path_style: self.path_style,
            keys: self.keys()?,
            requests_max: count(self.requests),
            request_timeout: self.request_timeout.0,
            connect_timeout: self.connect_timeout.0,
            retries_max: count(self.retries),
            retry_timeout: self.retry_timeout.0,
        })
    }

    fn keys(&self) -> Result<Keys, ConfigError> {
        let id = set(&self.access_key_id);
        if id.is_some() == self.secret_access_key.is_empty() {
            return range("lake.s3.secret_access_key", "access_key_id and secret_access_key come together");
        }
        match (id, set(&self.credentials_file)) {
            (Some(_), Some(_)) => range("lake.s3.credentials_file", "either a file or keys"),
            (Some(id), None) => {
                Ok(Keys::Static { id, secret: self.secret_access_key.clone(), session: self.session_token.clone() })
            }
            (None, Some(path)) => Ok(Keys::File { path: PathBuf::from(path), profile: self.credentials_profile.clone() }),
            (None, None) => Ok(Keys::Found),
        }
    }
}

fn set(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn needed<'a>(key: &'static str, text: &'a str) -> Result<&'a str, ConfigError> {
    if text.is_empty() { range(key, "is needed") } else { Ok(text) }
}

fn or_else(text: &mut String, other: impl FnOnce() -> String) {
    if text.is_empty() {
        *text = other();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> LakeConfig {
        toml::from_str(text).unwrap()
    }

    fn rest(text: &str) -> rest::Settings {
        match parsed(text).catalog().unwrap() {
            Catalog::Rest(settings) => settings,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(text: &str) -> String {
        let config = parsed(text);
        let whole = config.catalog().map(drop).and_then(|()| config.buckets().map(drop));
        let whole = whole.and_then(|()| config.partitioning().map(drop));
        whole.and_then(|()| config.own_tables().map(drop)).unwrap_err().to_string()
    }

    #[test]
    fn without_settings_the_lake_lies_in_the_data_folder() {
        assert!(matches!(parsed("").catalog().unwrap(), Catalog::Sqlite(None)));
        assert_eq!(parsed("").buckets().unwrap(), S3::default());
    }

    #[test]
    fn r2_follows_from_account_bucket_and_token() {
        let text = "profile = \"r2\"\naccount = \"acc\"\nbucket = \"buc\"\ntoken = \"t\"\n";
        let settings = rest(text);
        assert_eq!(settings.uri, "https://catalog.cloudflarestorage.com/acc/buc");
        assert_eq!((settings.warehouse.as_deref(), settings.vended), (Some("acc_buc"), true));
        assert_eq!(settings.login, Login::Token(Secret::new("t")));
        let s3 = parsed(text).buckets().unwrap();
        assert_eq!(s3.endpoint.as_deref(), Some("https://acc.r2.cloudflarestorage.com"));
        assert_eq!((s3.region.as_deref(), s3.path_style, s3.keys), (Some("auto"), true, Keys::Found));
        let own = format!("{text}uri = \"https://x\"\n[s3]\naccess_key_id = \"a\"\nsecret_access_key = \"b\"\n");
        assert_eq!((rest(&own).uri.as_str(), rest(&own).vended), ("https://x", false));
    }

    #[test]
    fn client_credentials_are_a_login() {
        let login = rest("catalog = \"rest\"\nuri = \"https://x\"\nclient_id = \"a\"\nclient_secret = \"b\"\n").login;
        assert!(matches!(login, Login::Client { id, .. } if id == "a"));
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_name() {
        let cases = [
            ("catalog = \"hive\"", "lake.catalog"),
            ("catalog = \"rest\"", "lake.uri"),
            ("catalog = \"rest\"\nuri = \"x\"", "lake.uri"),
            ("uri = \"https://x\"", "lake.uri"),
            ("warehouse = \"gs://x\"", "lake.warehouse"),
            ("profile = \"minio\"", "lake.profile"),
            ("bucket = \"x\"", "lake.profile"),
            ("profile = \"r2\"", "lake.account"),
            ("profile = \"r2\"\naccount = \"a\"\nbucket = \"b\"", "lake.token"),
            ("catalog = \"rest\"\nuri = \"https://x\"\nclient_id = \"a\"", "lake.client_secret"),
            ("catalog = \"rest\"\nuri = \"https://x\"\ntoken = \"t\"\nclient_id = \"a\"\nclient_secret = \"b\"", "lake.token"),
            ("catalog = \"rest\"\nuri = \"https://x\"\ntoken_file = \"/nowhere\"", "lake.token_file"),
            ("token = \"t\"\ntoken_file = \"/nowhere\"", "lake.token_file"),
            ("partition = \"week\"", "lake.partition"),
            ("own_tables = [\"acme\", \"a b\"]", "lake.own_tables: \"a b\""),
            ("own_tables = [\"%\"]", "lake.own_tables"),
            ("catalog = \"none\"\nown_tables = [\"acme\"]", "lake.own_tables: there is no lake"),
            ("[s3]\naccess_key_id = \"a\"", "lake.s3.secret_access_key"),
            ("[s3]\nrequests = 0", "lake.s3.requests"),
            ("[s3]\nretry_timeout = \"10m\"", "lake.s3.retry_timeout"),
        ];
        for (text, key) in cases {
            let refused = refusal(text);
            assert!(refused.starts_with(key), "{text}: {refused}");
        }
    }
}
