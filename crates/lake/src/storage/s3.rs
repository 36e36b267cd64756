//! How buckets are reached: address, keys, patience.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::limit::LimitStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, Result, RetryConfig};

use super::credentials_file::CredentialsFile;
use crate::Secret;

/// Where keys come from. What is said here wins over what a catalog lends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Keys that the catalog lends, else `AWS_*` of the environment, else a web identity, else the instance's own.
    #[default]
    Found,
    /// These.
    Static {
        /// Access key id.
        id: String,
        /// Secret access key.
        secret: Secret,
        /// Session token; empty for lasting keys.
        session: Secret,
    },
    /// A section of a file like `~/.aws/credentials`, which is read again when it changes.
    File {
        /// The file.
        path: PathBuf,
        /// The section, usually `default`.
        profile: String,
    },
}

impl Keys {
    /// Lasting keys.
    #[must_use]
    pub fn of(id: &str, secret: &str) -> Self {
        Self::Static { id: id.to_owned(), secret: Secret::new(secret), session: Secret::default() }
    }
}

/// Settings of S3 and what speaks like it. Requests that may be repeated (all but those of unknown outcome that must not be) are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// Address of the service; none means AWS, or what the catalog or `AWS_ENDPOINT_URL` says.
    pub endpoint: Option<String>,
    /// Region; none means what the catalog or the environment says, else `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket stands in the path and not in the host name.
    pub path_style: bool,
    /// Keys.
    pub keys: Keys,
    /// Requests in flight at once to one bucket.
    pub requests_max: usize,
    /// Longest time for one request with its body.
    pub request_timeout: Duration,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// How often one request is repeated.
    pub retries_max: usize,
    /// Longest time for a request with all its repetitions; below five minutes, as its signature grows old.
    pub retry_timeout: Duration,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            path_style: true,
            keys: Keys::Found,
            requests_max: 64,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            retries_max: 8,
            retry_timeout: Duration::from_secs(120),
        }
    }
}

impl S3 {
    /// With what a catalog says about a table's storage, where nothing was set.
    pub(super) fn vended(&self, properties: &HashMap<String, String>) -> Self {
        let said = |key: &str| properties.get(key).cloned();
        let mut s3 = self.clone();
        s3.endpoint = s3.endpoint.or_else(|| said("s3.endpoint"));
        s3.region = s3.region.or_else(|| said("s3.region")).or_else(|| said("client.region"));
        if let (Keys::Found, Some(id), Some(secret)) = (&s3.keys, said("s3.access-key-id"), said("s3.secret-access-key")) {
            let session = Secret::new(said("s3.session-token").unwrap_or_default());
            s3.keys = Keys::Static { id, secret: Secret::new(secret), session };
        }
        s3
    }

    /// A bucket.
    pub(super) fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(LimitStore::new(self.build(bucket)?, self.requests_max)))
    }

    fn build(&self, bucket: &str) -> Result<AmazonS3> {
        let mut builder = self.start().with_bucket_name(bucket).with_retry(self.retry()).with_client_options(self.client());
        builder = builder.with_virtual_hosted_style_request(!self.path_style);
        if let Some(endpoint) = &self.endpoint {
            let address = if self.path_style { endpoint.clone() } else { hosted(endpoint, bucket) };
            builder = builder.with_endpoint(address);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        builder.build()
    }

    fn start(&self) -> AmazonS3Builder {
        match &self.keys {
            Keys::Found => AmazonS3Builder::from_env(),
            Keys::Static { id, secret, session } => {
                let builder = AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret.reveal());
                if session.is_empty() { builder } else { builder.with_token(session.reveal()) }
            }
            Keys::File { path, profile } => {
                AmazonS3Builder::new().with_credentials(Arc::new(CredentialsFile::new(path.clone(), profile.clone())))
            }
        }
    }

    fn retry(&self) -> RetryConfig {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        let backoff = BackoffConfig { init_backoff: first, max_backoff: longest, base: 2.0 };
        RetryConfig { backoff, max_retries: self.retries_max, retry_timeout: self.retry_timeout }
    }

    /// HTTP without TLS only where the address says so.
    fn client(&self) -> ClientOptions {
        let plain = self.endpoint.as_ref().is_some_and(|address| address.starts_with("http://"));
        ClientOptions::new()
            .with_allow_http(plain || matches!(self.keys, Keys::Found))
            .with_timeout(self.request_timeout)
            .with_connect_timeout(self.connect_timeout)
            .with_pool_max_idle_per_host(self.requests_max)
    }
}

/// `https://bucket.host`.
fn hosted(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => format!("{bucket}.{endpoint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> HashMap<String, String> {
        let pairs = [
            ("s3.endpoint", "https://lent"),
            ("client.region", "eu"),
            ("s3.access-key-id", "lent-id"),
            ("s3.secret-access-key", "lent-secret"),
            ("s3.session-token", "lent-session"),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn what_a_catalog_lends_is_used_where_nothing_was_set() {
        let lent = S3::default().vended(&said());
        let session = Secret::new("lent-session");
        let keys = Keys::Static { id: "lent-id".to_owned(), secret: Secret::new("lent-secret"), session };
        assert_eq!((lent.endpoint.as_deref(), lent.region.as_deref(), lent.keys), (Some("https://lent"), Some("eu"), keys));
        let set = S3 { endpoint: Some("https://set".to_owned()), keys: Keys::of("id", "secret"), ..S3::default() };
        let kept = set.vended(&said());
        assert_eq!((kept.endpoint, kept.keys), (set.endpoint, set.keys));
    }

    #[test]
    fn no_key_is_printed() {
        let printed = format!("{:?}", S3::default().vended(&said()));
        assert!(!printed.contains("lent-secret") && !printed.contains("lent-session"), "{printed}");
    }

    #[test]
    fn the_bucket_stands_in_the_host_when_told() {
        assert_eq!(hosted("https://s3.example.org", "lake"), "https://lake.s3.example.org");
    }
}
