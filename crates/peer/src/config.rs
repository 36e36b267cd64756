//! What a node has to know before it can speak with others, and what is wrong with it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use watershed_schema::NodeId;

use crate::StartError;
use crate::limits::{ADDRESS_BYTES_MAX, CLUSTER_BYTES_MAX, SECRET_BYTES_MIN};

/// How nodes know each other.
#[derive(Clone)]
pub enum Security {
    /// Everybody who knows the secret is a node. Nothing is encrypted: for development, or inside a trusted network.
    Secret(String),
    /// TLS 1.3 on both sides. A node's certificate is for the host that it advertises (a DNS name or an IP address in the
    /// subject alternative names), and its number stays with that host. The files are read again at each handshake, so
    /// certificates can be replaced in place.
    Mtls {
        /// This node's certificate chain, PEM.
        cert: PathBuf,
        /// Its private key, PEM.
        key: PathBuf,
        /// Who signs the nodes' certificates, PEM.
        ca: PathBuf,
    },
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(..)"),
            Self::Mtls { cert, key, ca } => write!(f, "Mtls {{ cert: {cert:?}, key: {key:?}, ca: {ca:?} }}"),
        }
    }
}

/// Who this node is and where it listens.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node; no other node that is alive may have the same number.
    pub me: NodeId,
    /// Name of the cluster; nodes of other clusters are refused.
    pub cluster: String,
    /// The cluster's random name, as this node's data folder knows it; empty when it belongs to none yet. Nodes of another
    /// one are refused.
    pub cluster_id: String,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `host:port` under which others reach this node. `None`: the address that it listens at.
    pub advertise: Option<String>,
    /// How nodes know each other.
    pub security: Security,
}

impl Config {
    /// Under which address others reach this node, which listens at `bound`.
    pub(crate) fn advertised(&self, bound: SocketAddr) -> String {
        self.advertise.clone().unwrap_or_else(|| bound.to_string())
    }

    pub(crate) fn check(&self) -> Result<(), StartError> {
        let invalid = |field, fault: String| Err(StartError::Invalid { field, fault });
        if self.cluster.is_empty() || self.cluster.len() > CLUSTER_BYTES_MAX {
            return invalid("cluster", format!("{} bytes, must be 1 to {CLUSTER_BYTES_MAX}", self.cluster.len()));
        }
        if let Some(address) = &self.advertise {
            check_address(address).or_else(|fault| invalid("advertise", fault))?;
        } else if self.listen.ip().is_unspecified() {
            return invalid("advertise", format!("must be given when listening at {}", self.listen));
        }
        match &self.security {
            Security::Secret(secret) if secret.len() < SECRET_BYTES_MIN => {
                invalid("secret", format!("{} bytes, must be at least {SECRET_BYTES_MIN}", secret.len()))
            }
            Security::Secret(_) | Security::Mtls { .. } => Ok(()),
        }
    }
}

/// Whether a text can be an address `host:port`.
pub(crate) fn check_address(address: &str) -> Result<(), String> {
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(format!("{} bytes, limit {ADDRESS_BYTES_MAX}", address.len()));
    }
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    match port {
        Some(port) if port > 0 => Ok(()),
        _ => Err(format!("{address:?} is not host:port")),
    }
}

/// The host of an address `host:port`, without the brackets of IPv6.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            me: NodeId(1),
            cluster: "test".to_owned(),
            cluster_id: String::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            security: Security::Secret("0123456789abcdef".to_owned()),
        }
    }

    fn fault(config: &Config) -> String {
        config.check().expect_err("invalid").to_string()
    }

    #[test]
    fn a_fault_names_the_field_and_the_limit() {
        assert!(config().check().is_ok());
        assert_eq!(fault(&Config { cluster: String::new(), ..config() }), "cluster: 0 bytes, must be 1 to 128");
        assert_eq!(
            fault(&Config { security: Security::Secret("short".to_owned()), ..config() }),
            "secret: 5 bytes, must be at least 16"
        );
        assert_eq!(
            fault(&Config { advertise: Some("nowhere".to_owned()), ..config() }),
            "advertise: \"nowhere\" is not host:port"
        );
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 4319));
        assert!(fault(&Config { listen: everywhere, ..config() }).starts_with("advertise: must be given"));
    }

    #[test]
    fn the_host_of_an_address_is_what_a_certificate_can_name() {
        let hosts = ["w-0.w.ns.svc:4319", "10.0.0.7:1", "[::1]:4319"].map(host_of);
        assert_eq!(hosts, ["w-0.w.ns.svc", "10.0.0.7", "::1"]);
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert!(!format!("{:?}", config()).contains("0123456789abcdef"));
    }
}
