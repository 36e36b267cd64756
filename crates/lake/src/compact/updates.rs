//! The way into a catalog that iceberg-rust keeps to itself.

use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::{Result, TableIdent, TableRequirement, TableUpdate};

/// A catalog that takes updates which no transaction of the `iceberg` crate makes.
///
/// `iceberg` 0.10.1 has no transaction that replaces files: the trait for one's own (`TransactionAction`) is private, and so
/// is the last step of building a `TableCommit`, the only thing that `Catalog::update_table` takes. So the parts that it is
/// built of are given to the catalog by this port, and each kind of catalog does with them what its `update_table` does.
#[async_trait]
pub trait Updates: Debug + Send + Sync {
    /// Applies all updates when the table meets all requirements, else none.
    ///
    /// # Errors
    /// Like [`iceberg::Catalog::update_table`]: whatever the error, the outcome is unknown.
    async fn update(&self, table: &TableIdent, requirements: Vec<TableRequirement>, updates: Vec<TableUpdate>) -> Result<()>;
}

/// A way into a catalog that is a function: for who wires a catalog to the lake and knows neither's words.
#[must_use]
pub fn updates_by<F, A>(apply: F) -> Arc<dyn Updates>
where
    F: Fn(TableIdent, Vec<TableRequirement>, Vec<TableUpdate>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<()>> + Send + 'static,
{
    Arc::new(By(apply))
}

struct By<F>(F);

impl<F> Debug for By<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("By")
    }
}

#[async_trait]
impl<F, A> Updates for By<F>
where
    F: Fn(TableIdent, Vec<TableRequirement>, Vec<TableUpdate>) -> A + Send + Sync,
    A: Future<Output = Result<()>> + Send + 'static,
{
    async fn update(&self, table: &TableIdent, requirements: Vec<TableRequirement>, updates: Vec<TableUpdate>) -> Result<()> {
        (self.0)(table.clone(), requirements, updates).await
    }
}
