//! TLS with the node's identity in the certificate: the host that it advertises.
//!
//! A node has no number before it has joined, but it has a name that others dial. The chain is verified in the TLS
//! handshake, the name when the peer's Hello has said who it is; which number belongs to which host the control log knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::host_of;
use crate::{CertificateError, Refusal, RefusalCode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme, version};

/// Both sides' settings, read from the files.
pub(crate) struct Identity {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

/// What the certificate of the node at `address` (`host:port`) is for: a DNS name or an IP address.
pub(crate) fn name_of(address: &str) -> Result<ServerName<'static>, String> {
    let host = host_of(address);
    ServerName::try_from(host.to_owned()).map_err(|_invalid| format!("{host:?} is no name that a certificate can be for"))
}

impl Identity {
    /// Reads certificate, key and authority; the certificate must be for the host of the address `me`.
    pub(crate) fn read(me: &str, cert: &Path, key: &Path, ca: &Path) -> Result<Self, CertificateError> {
        let chain = certificates(cert)?;
        let fault = |file: &Path, fault: String| CertificateError::File { file: PathBuf::from(file), fault };
        is_of(&chain, me).map_err(|refusal| fault(cert, refusal.reason))?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| fault(key, format!("private key: {error}")))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(ca)? {
            roots.add(root).map_err(|error| fault(ca, error.to_string()))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(aws_lc_rs::default_provider()));
        Ok(Self {
            server: Arc::new(server(&provider, &roots, chain.clone(), secret.clone_key())?),
            client: Arc::new(client(provider, roots, chain, secret)?),
        })
    }
}

/// Whether a certificate chain is that of the node at an address.
pub(crate) fn is_of(chain: &[CertificateDer<'_>], address: &str) -> Result<(), Refusal> {
    let refuse = |reason: String| Refusal::new(RefusalCode::Identity, reason);
    let leaf = chain.first().ok_or_else(|| refuse("no certificate".to_owned()))?;
    let certificate = ParsedCertificate::try_from(leaf).map_err(|error| refuse(error.to_string()))?;
    let name = name_of(address).map_err(refuse)?;
    verify_server_name(&certificate, &name)
        .map_err(|error| refuse(format!("the certificate is not for {}: {error}", name.to_str())))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let fault = |fault: String| CertificateError::File { file: PathBuf::from(file), fault };
    let pem = fs::read(file).map_err(|error| fault(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| fault(error.to_string()))?;
    if found.is_empty() { Err(fault("no certificate in it".to_owned())) } else { Ok(found) }
}

fn server(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    // Each session proves anew who it is.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Error> {
    let verifier = Arc::new(AnyNode { roots, provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes every certificate of our authority; [`is_of`] checks the name later.
#[derive(Debug)]
struct AnyNode {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyNode {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A server that has no certificate and so takes nobody: for the listener of the actor library, which cannot be
/// left out and would accept connections past our handshake.
pub(crate) fn closed_door() -> Result<Arc<ServerConfig>, Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoCertificate));
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(name: &str) -> Vec<CertificateDer<'static>> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        vec![params.self_signed(&key).expect("signed").der().clone()]
    }

    #[test]
    fn a_certificate_is_for_hosts_whatever_the_port() {
        let is = |name: &str, address: &str| is_of(&chain(name), address).is_ok();
        assert!(is("w-0.w.ns.svc", "w-0.w.ns.svc:4319") && !is("w-0.w.ns.svc", "w-1.w.ns.svc:4319"));
        assert!(is("*.w.ns.svc", "w-1.w.ns.svc:4319") && !is("*.w.ns.svc", "w-1.other.ns.svc:4319"));
        assert!(is("10.0.0.7", "10.0.0.7:1") && !is("10.0.0.7", "10.0.0.8:1"));
        assert!(is("::1", "[::1]:4319"));
        assert!(is_of(&chain("a"), "_:1").is_err());
    }
}
