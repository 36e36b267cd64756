//! Who signs the certificates of a test's nodes.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A certificate authority.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed"))
    }
}

impl Authority {
    /// Writes `cert.pem`, `key.pem` and `ca.pem` of the node at `host` into a folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn sign(&self, host: &str, folder: &Path) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        std::fs::create_dir_all(folder).expect("a folder");
        let files = [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem()), ("ca.pem", self.0.pem())];
        files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).expect("written"));
    }
}
