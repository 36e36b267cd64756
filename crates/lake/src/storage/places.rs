//! From a location to the store that has it and the key in it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use iceberg::{Error, ErrorKind, Result};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::{S3, failed};

/// Stores that stay open. A bucket with its credentials is one; credentials that a catalog lends change by the hour.
const OPEN_STORES_MAX: usize = 16;

/// A file's store and its name there.
#[derive(Clone, Debug)]
pub struct Place {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The name in it.
    pub key: Path,
    /// The bucket; none for a file of this machine.
    pub bucket: Option<String>,
}

type Open = VecDeque<((String, S3), Arc<dyn ObjectStore>)>;

/// This machine's files and all buckets. Clones share what is open.
#[derive(Clone, Debug)]
pub(super) struct Places {
    s3: S3,
    local: Arc<dyn ObjectStore>,
    open: Arc<Mutex<Open>>,
}

impl Default for Places {
    fn default() -> Self {
        Self::new(S3::default())
    }
}

impl Places {
    pub(super) fn new(s3: S3) -> Self {
        Self { s3, local: Arc::new(LocalFileSystem::new()), open: Arc::default() }
    }

    /// The same places, but this machine's files by way of another store.
    pub(super) fn with_local(self, local: Arc<dyn ObjectStore>) -> Self {
        Self { local, ..self }
    }

    /// The same places with what a catalog said about a table's storage.
    pub(super) fn vended(&self, properties: &HashMap<String, String>) -> Self {
        Self { s3: self.s3.vended(properties), ..self.clone() }
    }

    pub(super) fn find(&self, location: &str) -> Result<Place> {
        let Some((scheme, rest)) = location.split_once("://") else {
            return self.file(location, location.strip_prefix("file:").unwrap_or(location));
        };
        match scheme {
            "file" => self.file(location, rest),
            "s3" | "s3a" | "s3n" => self.object(location, rest),
            _ => Err(Error::new(ErrorKind::FeatureUnsupported, format!("storage: {location}: only file:// and s3:// are known"))),
        }
    }

    fn file(&self, location: &str, path: &str) -> Result<Place> {
        let key = Path::parse(path.trim_start_matches('/')).map_err(|error| failed(location, error))?;
        Ok(Place { store: Arc::clone(&self.local), key, bucket: None })
    }

    fn object(&self, location: &str, rest: &str) -> Result<Place> {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let key = Path::parse(key.trim_start_matches('/')).map_err(|error| failed(location, error))?;
        let store = self.bucket(bucket).map_err(|error| failed(location, error))?;
        Ok(Place { store, key, bucket: Some(bucket.to_owned()) })
    }

    fn bucket(&self, bucket: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, store)) = open.iter().find(|((name, s3), _)| name == bucket && *s3 == self.s3) {
            return Ok(Arc::clone(store));
        }
        let store = self.s3.open(bucket)?;
        open.truncate(OPEN_STORES_MAX - 1);
        open.push_front(((bucket.to_owned(), self.s3.clone()), Arc::clone(&store)));
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new(S3 { keys: crate::storage::Keys::of("id", "secret"), ..S3::default() })
    }

    #[test]
    fn a_location_names_its_store_and_key() {
        let found = places().find("s3://lake/a/event_type=%2E%2E/1.parquet").expect("found");
        assert_eq!((found.bucket.as_deref(), found.key.as_ref()), (Some("lake"), "a/event_type=%2E%2E/1.parquet"));
        for file in ["file:///tmp/a", "file:/tmp/a", "/tmp/a"] {
            let found = places().find(file).expect("found");
            assert_eq!((found.bucket, found.key.as_ref()), (None, "tmp/a"), "{file}");
        }
        let other = places().find("gs://lake/a").expect_err("unknown").to_string();
        assert!(other.contains("gs://lake/a"), "{other}");
    }

    #[test]
    fn a_bucket_stays_open_and_new_credentials_open_it_again() {
        let places = places();
        let same = |a: &Place, b: &Place| Arc::ptr_eq(&a.store, &b.store);
        let first = places.find("s3://lake/a").expect("found");
        assert!(same(&first, &places.vended(&HashMap::new()).find("s3://lake/b").expect("found")));
        assert!(!same(&first, &places.find("s3://other/a").expect("found")));
        let lent = HashMap::from([("s3.region".to_owned(), "eu-central-1".to_owned())]);
        assert!(!same(&first, &places.vended(&lent).find("s3://lake/a").expect("found")));
        for n in 0..2 * OPEN_STORES_MAX {
            places.find(&format!("s3://lake-{n}/a")).expect("found");
        }
        assert_eq!(places.open.lock().expect("whole").len(), OPEN_STORES_MAX);
    }
}
