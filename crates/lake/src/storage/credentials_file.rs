//! Keys from a file like `~/.aws/credentials`, read again when it changes: keys that are rotated need no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error, Result};

type Known = (SystemTime, Arc<AwsCredential>);

#[derive(Debug)]
pub(super) struct CredentialsFile {
    path: PathBuf,
    profile: String,
    known: Mutex<Option<Known>>,
}

impl CredentialsFile {
    pub(super) fn new(path: PathBuf, profile: String) -> Self {
        Self { path, profile, known: Mutex::default() }
    }

    fn known(&self, changed: SystemTime) -> Option<Arc<AwsCredential>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(at, _)| *at == changed).map(|(_, keys)| Arc::clone(keys))
    }
}

#[async_trait]
impl CredentialProvider for CredentialsFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let changed = tokio::fs::metadata(&self.path).await.and_then(|about| about.modified());
        let changed = changed.map_err(|error| failed(&self.path, error))?;
        if let Some(keys) = self.known(changed) {
            return Ok(keys);
        }
        let text = tokio::fs::read_to_string(&self.path).await.map_err(|error| failed(&self.path, error))?;
        let missing = || failed(&self.path, format!("no access key id and secret access key under [{}]", self.profile));
        let keys = Arc::new(parse(&text, &self.profile).ok_or_else(missing)?);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((changed, Arc::clone(&keys)));
        Ok(keys)
    }
}

fn failed(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let source: Box<dyn std::error::Error + Send + Sync> = error.into();
    Error::Generic { store: "S3", source: format!("credentials_file {}: {source}", path.display()).into() }
}

fn parse(text: &str, profile: &str) -> Option<AwsCredential> {
    let (mut inside, mut id, mut secret, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
            let slot = match key.trim() {
                "aws_access_key_id" => &mut id,
                "aws_secret_access_key" => &mut secret,
                "aws_session_token" => &mut token,
                _ => continue,
            };
            *slot = Some(value.trim().to_owned());
        }
    }
    Some(AwsCredential { key_id: id?, secret_key: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[default]\naws_access_key_id = A\naws_secret_access_key=B=\n# x\n[other]\naws_access_key_id=C\n";

    #[tokio::test]
    async fn a_section_is_read_and_read_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(&path, FILE).unwrap();
        let file = CredentialsFile::new(path.clone(), "default".to_owned());
        let keys = file.get_credential().await.unwrap();
        assert_eq!((keys.key_id.as_str(), keys.secret_key.as_str()), ("A", "B="));
        std::fs::write(&path, FILE.replace("= A", "= A2")).unwrap();
        std::fs::File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(file.get_credential().await.unwrap().key_id, "A2");
    }

    #[tokio::test]
    async fn half_a_section_names_the_file_and_the_section() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(&path, FILE).unwrap();
        let error = CredentialsFile::new(path, "other".to_owned()).get_credential().await.unwrap_err().to_string();
        assert!(error.contains("credentials_file") && error.contains("[other]"), "{error}");
    }
}
