//! The lake of the settings: a catalog file or a catalog server, over a folder or a bucket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use watershed_catalog::SqliteCatalog;
use watershed_lake::storage::Files;
use watershed_lake::{Lake, Updates, rest, updates_by};

use crate::Config;
use crate::config::Catalog;

pub(super) async fn open(config: &Config) -> anyhow::Result<Option<Arc<Lake>>> {
    let files = Files::new(config.lake.buckets()?).with_cache(config.lake.cache.0);
    let files = files.with_filter_cache(&config.data_dir.join("lake-cache"), config.lake.disk_cache.0);
    let by = config.lake.partitioning()?;
    let lake = match config.lake.catalog()? {
        Catalog::None => return Ok(None),
        Catalog::Rest(settings) => {
            let updates = rest::updates(&settings)?;
            Lake::open_by(rest::catalog(&settings, &files).await?, by).await?.with_updates(updates)
        }
        Catalog::Sqlite(warehouse) => {
            let catalog = Arc::new(embedded(&folder(config)?, warehouse, &files).await?);
            Lake::open_by(Arc::clone(&catalog) as _, by).await?.with_updates(updates_of(catalog))
        }
    };
    let lake = lake.with_files(files).with_own_tables(config.lake.own_tables()?).await?;
    lake.partition_by(by).await?;
    Ok(Some(Arc::new(lake)))
}

/// The way into the catalog file that maintenance takes.
fn updates_of(catalog: Arc<SqliteCatalog>) -> Arc<dyn Updates> {
    updates_by(move |table, requirements, updates| {
        let catalog = Arc::clone(&catalog);
        async move { catalog.commit_updates(&table, requirements, updates).await.map(drop) }
    })
}

fn folder(config: &Config) -> std::io::Result<PathBuf> {
    std::path::absolute(if config.lake.dir.is_empty() { config.data_dir.join("lake") } else { PathBuf::from(&config.lake.dir) })
}

/// A catalog file; without a warehouse the Parquet files lie beside it.
async fn embedded(folder: &Path, warehouse: Option<String>, files: &Files) -> anyhow::Result<SqliteCatalog> {
    std::fs::create_dir_all(folder)?;
    let warehouse = warehouse.unwrap_or_else(|| format!("file://{}/warehouse", folder.display()));
    Ok(SqliteCatalog::open(&folder.join("catalog.db"), "watershed", &warehouse, files.io()).await?)
}
