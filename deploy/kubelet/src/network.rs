//! One bridge, and a network namespace with an address for each pod. An address is never given twice, as in Kubernetes.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::shell::run;

const BRIDGE: &str = "pods0";
const HOST: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// The network of all pods.
#[derive(Debug)]
pub struct Network {
    next_pod: AtomicU8,
    next_service: AtomicU8,
}

impl Network {
    /// Makes the bridge.
    ///
    /// # Errors
    /// When it is not allowed.
    pub fn create() -> anyhow::Result<Self> {
        run(&format!("ip link add {BRIDGE} type bridge"))?;
        run(&format!("ip addr add {HOST}/24 dev {BRIDGE}"))?;
        run(&format!("ip link set {BRIDGE} up"))?;
        Ok(Self { next_pod: AtomicU8::new(10), next_service: AtomicU8::new(10) })
    }

    /// Makes the namespace of a pod; returns its address.
    ///
    /// # Errors
    /// When there is one of that name, or all addresses were given.
    pub fn join(&self, pod: &str) -> anyhow::Result<Ipv4Addr> {
        let number = self.next_pod.fetch_add(1, Ordering::Relaxed);
        anyhow::ensure!((10..255).contains(&number), "more than 244 pods were started");
        let (address, link) = (Ipv4Addr::new(10, 244, 0, number), format!("pod{number}"));
        run(&format!("ip netns add {pod}"))?;
        run(&format!("ip link add {link} type veth peer name eth0 netns {pod}"))?;
        run(&format!("ip link set {link} master {BRIDGE} up"))?;
        run(&format!("ip -n {pod} addr add {address}/24 dev eth0"))?;
        run(&format!("ip -n {pod} link set lo up"))?;
        run(&format!("ip -n {pod} link set eth0 up"))?;
        run(&format!("ip -n {pod} route add default via {HOST}"))?;
        Ok(address)
    }

    /// Takes a pod off the network; its connections end without a word.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn leave(&self, pod: &str) -> anyhow::Result<()> {
        run(&format!("ip netns delete {pod}"))
    }

    /// An address for a service, on this side of the bridge.
    ///
    /// # Errors
    /// When all were given.
    pub fn service(&self) -> anyhow::Result<Ipv4Addr> {
        let number = self.next_service.fetch_add(1, Ordering::Relaxed);
        anyhow::ensure!(number < 255, "more than 244 services");
        let address = Ipv4Addr::new(10, 96, 0, number);
        run(&format!("ip addr add {address}/32 dev {BRIDGE}"))?;
        Ok(address)
    }
}
