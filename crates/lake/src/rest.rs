//! A REST catalog: Lakekeeper, Polaris, Nessie, R2 Data Catalog and whatever else speaks Iceberg's REST interface.

mod renewing;
mod updates;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iceberg::{Catalog, CatalogBuilder, Error, ErrorKind, Result};
use iceberg_catalog_rest::{REST_CATALOG_PROP_URI, REST_CATALOG_PROP_WAREHOUSE, RestCatalogBuilder};
use reqwest::Client;

use crate::storage::Files;
use crate::{Secret, Updates};

/// Who we are to the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Nobody asks.
    #[default]
    None,
    /// A bearer token.
    Token(Secret),
    /// OAuth2 client credentials, from which tokens are fetched when there is none or the last one has expired.
    Client {
        /// Client id, without a colon.
        id: String,
        /// Client secret.
        secret: Secret,
        /// Where tokens are; none means the catalog itself.
        token_uri: Option<String>,
        /// Scope; none means `catalog`.
        scope: Option<String>,
    },
}

/// Settings of a REST catalog.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its address, without `/v1`.
    pub uri: String,
    /// The warehouse, by the name or address that the catalog knows.
    pub warehouse: Option<String>,
    /// What stands between `/v1` and `/namespaces`; usually the catalog itself says it.
    pub prefix: Option<String>,
    /// Who we are.
    pub login: Login,
    /// Whether the catalog is asked to lend credentials of the storage.
    pub vended: bool,
    /// Longest time for one request.
    pub request_timeout: Duration,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
}

/// The catalog. Nothing is asked of it yet. Must be called inside a tokio runtime.
///
/// # Errors
/// When the settings cannot be used.
pub async fn catalog(settings: &Settings, files: &Files) -> Result<Arc<dyn Catalog>> {
    let builder = RestCatalogBuilder::default().with_client(client(settings)?).with_storage_factory(files.factory());
    let inner = builder.load("watershed", properties(settings)).await?;
    Ok(Arc::new(renewing::Renewing { inner, renews: matches!(settings.login, Login::Client { .. }) }))
}

/// The way into the same catalog for compaction ([`crate::Lake::with_updates`]).
///
/// # Errors
/// When the settings cannot be used.
pub fn updates(settings: &Settings) -> Result<Arc<dyn Updates>> {
    Ok(Arc::new(updates::RestUpdates { client: client(settings)?, settings: settings.clone() }))
}

fn client(settings: &Settings) -> Result<Client> {
    let client = Client::builder().timeout(settings.request_timeout).connect_timeout(settings.connect_timeout).build();
    client.map_err(|error| Error::new(ErrorKind::Unexpected, "catalog: no HTTP client").with_source(error))
}

fn properties(settings: &Settings) -> HashMap<String, String> {
    let mut properties = HashMap::from([(REST_CATALOG_PROP_URI.to_owned(), settings.uri.trim_end_matches('/').to_owned())]);
    let mut set = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            properties.insert(key.to_owned(), value.clone());
        }
    };
    set(REST_CATALOG_PROP_WAREHOUSE, &settings.warehouse);
    set("prefix", &settings.prefix);
    set("header.x-iceberg-access-delegation", &settings.vended.then(|| "vended-credentials".to_owned()));
    match &settings.login {
        Login::None => {}
        Login::Token(token) => set("token", &Some(token.reveal().to_owned())),
        Login::Client { id, secret, token_uri, scope } => {
            set("credential", &Some(format!("{id}:{}", secret.reveal())));
            set("oauth2-server-uri", token_uri);
            set("scope", scope);
        }
    }
    properties
}
