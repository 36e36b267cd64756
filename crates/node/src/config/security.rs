//! How nodes know each other.

use std::path::PathBuf;

use super::{Config, ConfigError, range};

impl Config {
    /// Nodes know each other by certificates or by a secret, never by both: who has only the secret would come in all the same.
    pub(super) fn cluster_security(&self) -> Result<(), ConfigError> {
        let given = |path: &PathBuf| !path.as_os_str().is_empty();
        let tls = [
            ("cluster_tls_cert_file", &self.cluster_tls_cert_file),
            ("cluster_tls_key_file", &self.cluster_tls_key_file),
            ("cluster_tls_ca_file", &self.cluster_tls_ca_file),
        ];
        let missing = tls.iter().find(|(_, path)| !given(path));
        match (tls.iter().any(|(_, path)| given(path)), missing, given(&self.cluster_secret_file)) {
            (true, Some((key, _)), _) => range(key, "must be given with the other two cluster_tls_*_file"),
            (true, None, true) => {
                range("cluster_secret_file", "must not be given with cluster_tls_cert_file: it is one or the other")
            }
            (false, _, false) if !self.join.is_empty() => {
                range("cluster_secret_file", "or cluster_tls_cert_file must be given with join: how nodes know each other")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with;

    #[test]
    fn nodes_know_each_other_in_one_way() {
        let joined = [("join", "a:1"), ("advertise_addr", "a:1"), ("lake_catalog", "none")];
        let tls = [("cluster_tls_cert_file", "c"), ("cluster_tls_key_file", "k"), ("cluster_tls_ca_file", "a")];
        let secret = [("cluster_secret_file", "s")];
        let message =
            |more: &[&[(&str, &str)]]| with(&[&joined[..], &more.concat()].concat(), &[]).map(drop).map_err(|e| e.to_string());
        assert!(message(&[]).unwrap_err().starts_with("cluster_secret_file: or cluster_tls_cert_file must be given"));
        assert!(message(&[&tls[..2]]).unwrap_err().starts_with("cluster_tls_ca_file: must be given"));
        assert!(message(&[&tls, &secret]).unwrap_err().starts_with("cluster_secret_file: must not be given"));
        assert_eq!((message(&[&tls]), message(&[&secret])), (Ok(()), Ok(())));
    }
}
