//! The way into the SQLite catalog, which goes wrong as it is told.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iceberg::{Error, ErrorKind, Result, TableIdent, TableRequirement, TableUpdate};
use watershed_catalog::SqliteCatalog;
use watershed_lake::{CommitRequest, Lake, Updates};

/// What goes wrong with one attempt.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing is applied.
    Refused(ErrorKind),
    /// It is applied, and the answer is an error all the same.
    Applied(ErrorKind),
    /// Another commits right before the update.
    Overtaken(CommitRequest),
}

#[derive(Debug)]
pub(crate) struct Port {
    catalog: Arc<SqliteCatalog>,
    faults: Mutex<VecDeque<Fault>>,
    answered: tokio::sync::Notify,
}

impl Port {
    pub(crate) fn new(catalog: Arc<SqliteCatalog>) -> Self {
        Self { catalog, faults: Mutex::default(), answered: tokio::sync::Notify::new() }
    }

    /// The next attempts go wrong like this, one after the other.
    pub(crate) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Faults that did not come up yet.
    pub(crate) fn planned(&self) -> usize {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns when an attempt was answered with an error.
    pub(crate) async fn answered(&self) {
        self.answered.notified().await;
    }

    fn next(&self) -> Option<Fault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "planned by the test")
}

#[async_trait]
impl Updates for Port {
    async fn update(&self, table: &TableIdent, requirements: Vec<TableRequirement>, updates: Vec<TableUpdate>) -> Result<()> {
        let apply = self.catalog.commit_updates(table, requirements, updates);
        match self.next() {
            Some(Fault::Refused(kind)) => {
                self.answered.notify_one();
                return Err(error(kind));
            }
            Some(Fault::Applied(kind)) => {
                let applied = apply.await;
                self.answered.notify_one();
                return applied.and(Err(error(kind)));
            }
            Some(Fault::Overtaken(request)) => {
                let rival = Lake::open(Arc::clone(&self.catalog) as _).await.expect("opens");
                rival.commit(&request).await.expect("the rival commits");
            }
            None => {}
        }
        apply.await.map(drop)
    }
}
