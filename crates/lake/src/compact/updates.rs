//! The way into a catalog that iceberg-rust keeps to itself.

use std::fmt::Debug;

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
