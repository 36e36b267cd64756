//! The lake of the settings: a catalog file or a catalog server, over a folder or a bucket.

use std::path::Path;
use std::sync::Arc;

use watershed_catalog::SqliteCatalog;
use watershed_lake::storage::Files;
use watershed_lake::{Lake, rest};

use crate::Config;
use crate::config::Catalog;

pub(super) async fn open(config: &Config) -> anyhow::Result<Arc<Lake>> {
    let files = Files::new(config.lake.buckets()?);
    let catalog = match config.lake.catalog()? {
        Catalog::Rest(settings) => rest::catalog(&settings, &files).await?,
        Catalog::Sqlite(warehouse) => Arc::new(embedded(&config.data_dir, warehouse, &files).await?),
    };
    Ok(Arc::new(Lake::open(catalog).await?.with_files(files)))
}

/// A catalog file beside the shards; without a warehouse the Parquet files lie beside it.
async fn embedded(data_dir: &Path, warehouse: Option<String>, files: &Files) -> anyhow::Result<SqliteCatalog> {
    let folder = std::path::absolute(data_dir.join("lake"))?;
    std::fs::create_dir_all(&folder)?;
    let warehouse = warehouse.unwrap_or_else(|| format!("file://{}/warehouse", folder.display()));
    Ok(SqliteCatalog::open(&folder.join("catalog.db"), "watershed", &warehouse, files.io()).await?)
}
