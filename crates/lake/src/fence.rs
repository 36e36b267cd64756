//! A new committer writes its epoch into every table before its first commit: then no older one can commit to any.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use iceberg::table::Table;
use watershed_schema::Epoch;

use crate::table::{EPOCH, EventTable, epoch_of, fence};
use crate::{Lake, LakeError};

/// Tables that hold the newest epoch of this process: they need not be asked again.
#[derive(Debug, Default)]
pub(crate) struct Fenced {
    epoch: Option<Epoch>,
    tables: BTreeSet<String>,
}

impl Fenced {
    fn holds(&self, epoch: Epoch, table: &str) -> bool {
        self.epoch == Some(epoch) && self.tables.contains(table)
    }

    fn add(&mut self, epoch: Epoch, table: &str) {
        if self.epoch != Some(epoch) {
            *self = Self { epoch: Some(epoch), tables: BTreeSet::new() };
        }
        self.tables.insert(table.to_owned());
    }
}

impl Lake {
    /// Fences the shared table and those that it names, where this process has not done so; whether the shared one may be
    /// another than was read. Without tables of tenants a commit is its own fence.
    pub(crate) async fn fence_all(&self, shared: &Table, epoch: Epoch) -> Result<bool, LakeError> {
        fence(shared, epoch)?;
        let own = self.shared.own_tables(shared)?;
        let is_new = |table: &EventTable| !self.fenced.lock().unwrap_or_else(PoisonError::into_inner).holds(epoch, table.name());
        if !own.iter().any(is_new) {
            return Ok(false);
        }
        // The shared one first: an older committer that is between the tables cannot come to its end.
        for table in [&self.shared].into_iter().chain(&own) {
            if is_new(table) {
                table.hold(epoch).await?;
                self.fenced.lock().unwrap_or_else(PoisonError::into_inner).add(epoch, table.name());
            }
        }
        Ok(true)
    }
}

impl EventTable {
    async fn hold(&self, epoch: Epoch) -> Result<(), LakeError> {
        let table = match self.load().await {
            // Somebody dropped it: nobody can commit to it, and other tables need not wait for it.
            Err(error) if self.tenant.is_some() && error.is_no_table() => return Ok(()),
            table => table?,
        };
        fence(&table, epoch)?;
        if epoch_of(&table)? == epoch {
            return Ok(());
        }
        fail::fail_point!("lake::unfenced_own", |_| Ok(()));
        self.set(table, &[(EPOCH, &epoch.to_string())]).await
    }
}
