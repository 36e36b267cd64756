//! The name server: a hosts file that every pod sees, rewritten whenever a pod comes, goes, or becomes ready.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

/// A pod, as the name server sees it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether requests may come.
    pub is_ready: bool,
}

/// A service, as the name server sees it.
#[derive(Clone, Debug)]
pub struct Name {
    /// Its name.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Its address; none if it is headless, then it names its pods.
    pub address: Option<Ipv4Addr>,
    /// Whether it names pods that are not ready.
    pub publishes_unready: bool,
}

/// The file as it should be now.
#[must_use]
pub fn text(names: &[Name], pods: &[Entry]) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    for name in names {
        match name.address {
            Some(address) => line(&mut text, address, &forms(&name.service, &name.namespace)),
            None => {
                for pod in pods.iter().filter(|pod| pod.is_ready || name.publishes_unready) {
                    line(&mut text, pod.address, &forms(&format!("{}.{}", pod.name, name.service), &name.namespace));
                    line(&mut text, pod.address, &forms(&name.service, &name.namespace));
                }
            }
        }
    }
    text
}

fn forms(host: &str, namespace: &str) -> String {
    format!("{host} {host}.{namespace} {host}.{namespace}.svc {host}.{namespace}.svc.cluster.local")
}

fn line(text: &mut String, address: Ipv4Addr, names: &str) {
    writeln!(text, "{address} {names}").expect("invariant: a string takes everything");
}

/// Writes in place: pods hold a mount of this very file.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(u64::try_from(text.len()).expect("invariant: a hosts file is small"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headless_service_names_its_pods() {
        let name = |address, publishes_unready| Name {
            service: "peers".to_owned(),
            namespace: "ns".to_owned(),
            address,
            publishes_unready,
        };
        let pod = Entry { name: "w-0".to_owned(), address: Ipv4Addr::new(10, 0, 0, 2), is_ready: false };
        let unready = text(&[name(None, true)], std::slice::from_ref(&pod));
        assert!(unready.contains("10.0.0.2 w-0.peers w-0.peers.ns w-0.peers.ns.svc "), "{unready}");
        assert!(!text(&[name(None, false)], &[pod]).contains("10.0.0.2"));
        assert!(text(&[name(Some(Ipv4Addr::new(10, 0, 0, 9)), false)], &[]).contains("10.0.0.9 peers peers.ns "));
    }
}
