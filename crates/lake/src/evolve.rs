//! An older table gets the columns and properties that newer ones have; a table that does not fit is refused.
//!
//! Iceberg's schema update numbers new columns itself, in order. Ours have fixed numbers, so it is checked first that
//! the numbers will be the same: that holds as long as the registry grows at its end.

use std::sync::Arc;

use backon::Retryable;
use iceberg::spec::Type;
use iceberg::table::Table;
use iceberg::transaction::{AddColumn, ApplyTransactionAction, Transaction};
use watershed_schema::Column;

use crate::partitioning::Partitioning;
use crate::pinned_catalog::PinnedCatalog;
use crate::table::SAYS;
use crate::{EventTable, LakeError, schema, waits};

impl EventTable {
    /// Adds what is missing. Several nodes may do so at once: who comes second finds nothing missing.
    pub(crate) async fn evolve(&self) -> Result<(), LakeError> {
        (|| self.add_missing()).retry(waits::commit()).when(LakeError::is_retryable).await
    }

    async fn add_missing(&self) -> Result<(), LakeError> {
        let table = self.load().await?;
        check_partitions(&table)?;
        let (missing, unsaid) = (missing(&table)?, unsaid(&table));
        if missing.is_empty() && unsaid.is_empty() {
            return Ok(());
        }
        tracing::info!(?missing, ?unsaid, "the table gets the columns and properties that it lacks");
        let mut transaction = Transaction::new(&table);
        if !missing.is_empty() {
            let columns =
                missing.into_iter().fold(transaction.update_schema(), |update, column| update.add_column(added(column)));
            transaction = columns.apply(transaction)?;
        }
        let says = transaction.update_table_properties();
        let says = unsaid.into_iter().fold(says, |update, (key, value)| update.set(key.to_owned(), value.to_owned()));
        let transaction = says.apply(transaction)?;
        transaction.commit(&PinnedCatalog { inner: Arc::clone(&self.catalog), table }).await?;
        Ok(())
    }
}

fn added(column: Column) -> AddColumn {
    let kind = Type::Primitive(schema::primitive(column.kind()));
    AddColumn::builder().name(column.name()).field_type(kind).doc(column.spec().doc).build()
}

/// Tables that were made by an older build do not say everything; what somebody has changed stays.
fn unsaid(table: &Table) -> Vec<(&'static str, &'static str)> {
    let said = table.metadata().properties();
    SAYS.into_iter().filter(|(key, _)| !said.contains_key(*key)).collect()
}

/// Columns that the table lacks, in the order of their numbers.
fn missing(table: &Table) -> Result<Vec<Column>, LakeError> {
    let (fields, mut last) = (table.metadata().current_schema(), table.metadata().last_column_id());
    let mut missing = Vec::new();
    for column in Column::ALL {
        let Some(field) = fields.field_by_name(column.name()) else {
            last += 1;
            expect(*column, "field id", &last, &schema::id(*column))?;
            missing.push(*column);
            continue;
        };
        expect(*column, "field id", &field.id, &schema::id(*column))?;
        expect(*column, "type", field.field_type.as_ref(), &Type::Primitive(schema::primitive(column.kind())))?;
    }
    Ok(missing)
}

fn expect<T: PartialEq + std::fmt::Display>(column: Column, what: &str, theirs: &T, ours: &T) -> Result<(), LakeError> {
    if theirs == ours {
        return Ok(());
    }
    let column = column.name();
    Err(LakeError::Foreign(format!("column {column}: {what} in the table is or would be {theirs}, ours is {ours}")))
}

fn check_partitions(table: &Table) -> Result<(), LakeError> {
    let theirs = table.metadata().default_partition_spec();
    match Partitioning::of_spec(theirs) {
        Some(_) => Ok(()),
        None => Err(LakeError::Foreign(format!("partitions: {theirs:?} instead of time and event_type"))),
    }
}
