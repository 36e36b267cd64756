//! Certificates: the right ones, another node's, another authority's, none.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::child::{ECHO, WHO};
use crate::node::{Node, SECRET};
use crate::wire;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("key")).expect("signed")
}

/// Every node has a host of its own.
fn host(id: u64) -> String {
    format!("127.0.0.{id}")
}

/// Writes the files of a node whose certificate is for `name`.
fn files(folder: &Path, name: &str, authority: &Authority) -> String {
    let key = KeyPair::generate().expect("key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("name");
    let certificate = params.signed_by(&key, authority).expect("signed");
    fs::create_dir_all(folder).expect("folder");
    fs::write(folder.join("cert.pem"), certificate.pem()).expect("written");
    fs::write(folder.join("key.pem"), key.serialize_pem()).expect("written");
    fs::write(folder.join("ca.pem"), authority.pem()).expect("written");
    format!("mtls:{}", folder.display())
}

fn node(id: u64, root: &Path, authority: &Authority) -> Node {
    let security = files(&root.join(format!("n{id}")), &host(id), authority);
    Node::with(id, "east", &format!("{}:0", host(id)), &security)
}

#[test]
fn nodes_know_each_other_by_their_certificates() {
    let (folder, authority) = (tempfile::tempdir().expect("folder"), authority());
    let (one, two) = (node(1, folder.path(), &authority), node(2, folder.path(), &authority));
    assert_eq!(two.ask(&format!("seed {}", one.address())), "ok NodeId(1)");
    assert!(two.expect(&format!("call 1 {WHO} 0 0 2000 100"), "ok").ends_with(" 2"));
    one.expect_connected(2, 5000);
    one.expect(&format!("call 2 {ECHO} 0 200000 5000 200000"), "ok");
}

#[test]
fn certificates_can_be_replaced_in_place() {
    let (folder, authority) = (tempfile::tempdir().expect("folder"), authority());
    let (one, two) = (node(1, folder.path(), &authority), node(2, folder.path(), &authority));
    files(&folder.path().join("n1"), &host(7), &authority);
    one.knows(&two);
    one.expect_log("the certificate is not for 127.0.0.1");
    files(&folder.path().join("n1"), &host(1), &authority);
    one.expect_connected(2, 10_000);
}

#[test]
fn a_node_does_not_start_with_the_certificate_of_another() {
    let (folder, authority) = (tempfile::tempdir().expect("folder"), authority());
    let security = files(folder.path(), &host(3), &authority);
    let started = &Node::with(2, "east", "127.0.0.2:0", &security).started;
    assert!(started.contains("cert.pem: the certificate is not for 127.0.0.2"), "{started}");
    fs::remove_file(folder.path().join("ca.pem")).expect("removed");
    let started = &Node::with(3, "east", "127.0.0.3:0", &security).started;
    assert!(started.contains("ca.pem: No such file"), "{started}");
}

#[test]
fn another_authority_is_refused_on_both_sides() {
    let folder = tempfile::tempdir().expect("folder");
    let (one, two) = (node(1, folder.path(), &authority()), node(2, folder.path(), &authority()));
    one.knows(&two);
    one.expect_log("TLS: invalid peer certificate");
    two.expect_log("no connection: ");
}

#[test]
fn tls_and_secret_do_not_mix_and_say_so() {
    let (folder, authority) = (tempfile::tempdir().expect("folder"), authority());
    let (one, two) = (node(1, folder.path(), &authority), Node::with(2, "east", "127.0.0.1:0", SECRET));
    two.knows(&one);
    two.expect_log("the peer speaks TLS, this node uses a shared secret");
    one.expect_log("no connection: TLS:");
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

/// Dials a node with the certificate in `folder`.
async fn connect(node: &Node, folder: &Path) -> Tls {
    let file = |name: &str| folder.join(name);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).expect("pem")).expect("root");
    let chain = vec![CertificateDer::from_pem_file(file("cert.pem")).expect("pem")];
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("pem");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(roots).with_client_auth_cert(chain, key).expect("certificate");
    let tcp = TcpStream::connect(node.address()).await.expect("connects");
    let name = ServerName::try_from(host(node.id)).expect("name");
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS")
}

/// Says that it is node `node` at `host`.
async fn claim(tls: &mut Tls, node: u64, host: &str) -> (u8, String) {
    let hello = wire::hello(node, 9, &format!("{host}:9"), 0);
    tls.write_all(&wire::message(wire::HELLO, &hello)).await.expect("sent");
    answer(tls).await
}

/// The kind of an answer and its text.
async fn answer(tls: &mut Tls) -> (u8, String) {
    let mut head = [0; wire::HEAD_BYTES];
    tls.read_exact(&mut head).await.expect("an answer");
    let (kind, bytes) = wire::announced(&head);
    let mut body = vec![0; bytes];
    tls.read_exact(&mut body).await.expect("an answer");
    (kind, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused() {
    let (folder, authority) = (tempfile::tempdir().expect("folder"), authority());
    let one = node(1, folder.path(), &authority);
    let three = folder.path().join("n3");
    files(&three, &host(3), &authority);
    let (kind, text) = claim(&mut connect(&one, &three).await, 3, &host(2)).await;
    assert_eq!(kind, wire::REFUSED, "refused: {text}");
    assert!(text.contains("the certificate is not for 127.0.0.2"), "{text}");
    one.expect_log("refused: the certificate is not for 127.0.0.2");
    let (kind, _) = claim(&mut connect(&one, &three).await, 3, &host(3)).await;
    assert_eq!(kind, wire::HELLO, "its own host is welcome");
}

#[tokio::test]
async fn nobody_takes_the_number_of_a_node_at_another_host() {
    let (folder, authority) = (tempfile::tempdir().expect("folder"), authority());
    let one = node(1, folder.path(), &authority);
    one.expect(&format!("set 2 {}:9", host(2)), "ok");
    let three = folder.path().join("n3");
    files(&three, &host(3), &authority);
    let mut tls = connect(&one, &three).await;
    assert_eq!(claim(&mut tls, 2, &host(3)).await.0, wire::HELLO, "the certificate is its own");
    assert_eq!(answer(&mut tls).await.0, wire::PROOF);
    tls.write_all(&wire::message(wire::PROOF, b"")).await.expect("sent");
    let (kind, text) = answer(&mut tls).await;
    assert_eq!(kind, wire::REFUSED, "refused: {text}");
    assert!(text.contains("node 2 is known at 127.0.0.2:9"), "{text}");
}
