//! A commit of our own over REST: the one request that `iceberg-catalog-rest` sends for its own transactions alone.
//!
//! It comes once in a round of compaction, so nothing is kept between commits: no token that could expire.

use std::collections::HashMap;

use async_trait::async_trait;
use iceberg::{Error, ErrorKind, Result, TableIdent, TableRequirement, TableUpdate};
use iceberg_catalog_rest::CommitTableRequest;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::{Login, Settings};
use crate::{Secret, Updates};

#[derive(Debug)]
pub(super) struct RestUpdates {
    pub(super) client: Client,
    pub(super) settings: Settings,
}

/// What the catalog says of itself; `overrides` win over what we set, `defaults` do not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    overrides: HashMap<String, String>,
    defaults: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: Secret,
}

#[async_trait]
impl Updates for RestUpdates {
    async fn update(&self, table: &TableIdent, requirements: Vec<TableRequirement>, updates: Vec<TableUpdate>) -> Result<()> {
        let token = self.token().await?;
        let url = self.address_of(table, self.config(token.as_ref()).await?)?;
        let request = CommitTableRequest { identifier: Some(table.clone()), requirements, updates };
        answer(with(token.as_ref(), self.client.post(url).json(&request))).await?;
        Ok(())
    }
}

impl RestUpdates {
    async fn token(&self) -> Result<Option<Secret>> {
        let (id, secret, token_uri, scope) = match &self.settings.login {
            Login::None => return Ok(None),
            Login::Token(token) => return Ok(Some(token.clone())),
            Login::Client { id, secret, token_uri, scope } => (id, secret, token_uri, scope),
        };
        let url = token_uri.clone().unwrap_or_else(|| format!("{}/v1/oauth/tokens", self.uri()));
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret.reveal()),
            ("scope", scope.as_deref().unwrap_or("catalog")),
        ];
        let Token { access_token } = answer(self.client.post(url).form(&form)).await?.json().await.map_err(failed)?;
        Ok(Some(access_token))
    }

    async fn config(&self, token: Option<&Secret>) -> Result<Config> {
        let request = self.client.get(format!("{}/v1/config", self.uri()));
        let warehouse = self.settings.warehouse.iter().map(|warehouse| ("warehouse", warehouse)).collect::<Vec<_>>();
        answer(with(token, request.query(&warehouse))).await?.json().await.map_err(failed)
    }

    fn address_of(&self, table: &TableIdent, mut config: Config) -> Result<Url> {
        let uri = config.overrides.remove("uri").unwrap_or_else(|| self.uri().to_owned());
        let prefix = config.overrides.remove("prefix").or_else(|| self.settings.prefix.clone());
        let prefix = prefix.or_else(|| config.defaults.remove("prefix"));
        let unusable = |what: &str| Error::new(ErrorKind::DataInvalid, format!("catalog: its address {uri} {what}"));
        let mut url = Url::parse(uri.trim_end_matches('/')).map_err(|error| unusable("is none").with_source(error))?;
        let namespace = table.namespace().to_url_string();
        let mut path = url.path_segments_mut().map_err(|()| unusable("has no path"))?;
        path.pop_if_empty().push("v1").extend(prefix.iter().flat_map(|prefix| prefix.split('/')));
        path.extend(["namespaces", namespace.as_str(), "tables", table.name()]);
        drop(path);
        Ok(url)
    }

    fn uri(&self) -> &str {
        self.settings.uri.trim_end_matches('/')
    }
}

fn with(token: Option<&Secret>, request: RequestBuilder) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token.reveal()),
        None => request,
    }
}

async fn answer(request: RequestBuilder) -> Result<Response> {
    let answer = request.send().await.map_err(failed)?;
    let (status, path) = (answer.status(), answer.url().path().to_owned());
    if status.is_success() {
        return Ok(answer);
    }
    let kind = match status {
        StatusCode::CONFLICT => ErrorKind::CatalogCommitConflicts,
        StatusCode::NOT_FOUND => ErrorKind::TableNotFound,
        _ => ErrorKind::Unexpected,
    };
    let said: String = answer.text().await.unwrap_or_default().chars().take(SAID_CHARS_MAX).collect();
    Err(Error::new(kind, format!("catalog: {path} was answered {status}: {said}")))
}

/// Of an error's text; the rest is stack traces.
const SAID_CHARS_MAX: usize = 400;

fn failed(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "catalog: no answer").with_source(error.without_url())
}
