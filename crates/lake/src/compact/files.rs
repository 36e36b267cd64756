//! The files of a round, data and metadata: their names are noted before they are made, so that they can be removed.

use std::sync::{Arc, Mutex, PoisonError};

use iceberg::io::{FileIO, OutputFile};
use iceberg::spec::PartitionKey;
use iceberg::table::Table;
use iceberg::writer::file_writer::location_generator::{FileNameGenerator, LocationGenerator};
use uuid::Uuid;

use crate::LakeError;
use crate::paths::Folders;
use crate::storage::Files;

/// What a round has written. Names hold the round's UUID: no file of another can be among them.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    folders: Folders,
    io: FileIO,
    /// What was done, in a word: names of data files begin with it.
    kind: &'static str,
    files: Files,
    round: Uuid,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Written {
    pub(crate) fn new(table: &Table, kind: &'static str, files: &Files) -> Self {
        let (folders, io) = (Folders(table.metadata().location().to_owned()), table.file_io().clone());
        Self { folders, io, kind, files: files.clone(), round: Uuid::now_v7(), paths: Arc::default() }
    }

    /// How files are reached.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Names of data files; the archiver's begin with a number.
    pub(crate) fn names(&self) -> Names {
        Names(self.clone())
    }

    /// A new file of metadata.
    pub(crate) fn metadata(&self, kind: &str) -> Result<OutputFile, LakeError> {
        let count = self.paths().len();
        let path = format!("{}/metadata/{kind}-{}-{count}.avro", self.folders.0.trim_end_matches('/'), self.round);
        Ok(self.io.new_output(self.noted(path))?)
    }

    fn noted(&self, path: String) -> String {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        path
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Removes all of it: only for a round that is no part of any snapshot, and never will be.
    pub(crate) async fn remove_after(&self, error: LakeError) -> LakeError {
        for path in self.paths() {
            if let Err(error) = self.io.delete(&path).await {
                tracing::warn!(path, %error, "a file of a merge that did not happen stays, as an orphan");
            }
        }
        error
    }
}

impl LocationGenerator for Written {
    fn generate_location(&self, key: Option<&PartitionKey>, file: &str) -> String {
        self.noted(self.folders.generate_location(key, file))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Names(Written);

impl FileNameGenerator for Names {
    fn generate_file_name(&self) -> String {
        format!("{}-{}-{}.parquet", self.0.kind, self.0.round, self.0.paths().len())
    }
}
