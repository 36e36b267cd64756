//! Several `watershed serve` processes that form one cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use watershed_client::DescribeClusterResponse;

use crate::authority::Authority;
use crate::ports::free_port;
use crate::server::Server;
use crate::until;

/// Shards of a cluster that is told nothing else.
const SHARDS: usize = 4;

/// Nodes by place; `None` where one is down. All of them share a lake.
#[derive(Debug)]
pub struct Cluster {
    /// The processes.
    pub nodes: Vec<Option<Server>>,
    dir: PathBuf,
    addresses: Vec<String>,
    founders: String,
    environment: Vec<(&'static str, &'static str)>,
    /// What single nodes are told beside it, by place.
    told: BTreeMap<usize, (&'static str, String)>,
}

impl Cluster {
    /// Starts `count` nodes with their data under `dir`; returns when all of them are ready.
    ///
    /// # Panics
    /// When one does not start.
    #[must_use]
    pub fn start(dir: &Path, count: usize) -> Self {
        Self::start_with(dir, count, &[])
    }

    /// Every shard has three voters, and nothing is left to do, by what a node knows; what it says then.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn settled(&self, place: usize) -> DescribeClusterResponse {
        let (cluster, mut settled) = (self.node(place).client().await.cluster(), None);
        until("everything stands where it should", async || {
            let now = cluster.describe().await.expect("answers");
            let leaders: Vec<_> = now.replicas.iter().filter(|one| one.shard.is_some() && one.leader == one.node).collect();
            let stands = leaders.len() == SHARDS && leaders.iter().all(|one| one.voters.len() == 3);
            settled = (now.next_step.is_empty() && stands).then_some(now);
            settled.is_some()
        })
        .await;
        settled.expect("was waited for")
    }

    /// The same with more environment variables.
    ///
    /// # Panics
    /// When one does not start.
    #[must_use]
    pub fn start_with(dir: &Path, count: usize, environment: &[(&'static str, &'static str)]) -> Self {
        std::fs::write(dir.join("secret"), "a secret of a test").expect("a secret");
        Self::start_at(dir, free_addresses(count), environment, BTreeMap::new())
    }

    /// Nodes of which each has another value of one environment variable.
    ///
    /// # Panics
    /// When one does not start.
    #[must_use]
    pub fn start_each_with(
        dir: &Path,
        name: &'static str,
        values: &[&str],
        environment: &[(&'static str, &'static str)],
    ) -> Self {
        std::fs::write(dir.join("secret"), "a secret of a test").expect("a secret");
        let told = values.iter().map(|value| (name, (*value).to_owned())).enumerate().collect();
        Self::start_at(dir, free_addresses(values.len()), environment, told)
    }

    /// What a node has of [`Cluster::start_each_with`] from its next start on.
    pub fn tell(&mut self, place: usize, name: &'static str, value: &str) {
        self.told.insert(place, (name, value.to_owned()));
    }

    /// Nodes with certificates of `authority`, each at a host of its own.
    ///
    /// # Panics
    /// When one does not start.
    #[must_use]
    pub fn start_with_tls(dir: &Path, count: u16, authority: &Authority) -> Self {
        let host = |place: u16| format!("127.0.0.{}", 11 + place);
        (0..count).for_each(|place| authority.sign(&host(place), &dir.join(format!("tls-{place}"))));
        let addresses = (0..count).map(|place| format!("{}:{}", host(place), free_port())).collect();
        Self::start_at(dir, addresses, &[], BTreeMap::new())
    }

    fn start_at(
        dir: &Path,
        addresses: Vec<String>,
        environment: &[(&'static str, &'static str)],
        told: BTreeMap<usize, (&'static str, String)>,
    ) -> Self {
        let (dir, founders, environment) = (dir.to_owned(), addresses.join(","), environment.to_vec());
        let mut cluster = Self { nodes: Vec::new(), dir, addresses, founders, environment, told };
        let all: Vec<usize> = (0..cluster.addresses.len()).collect();
        cluster.nodes = cluster.start_all(&all);
        cluster
    }

    fn start_all(&self, places: &[usize]) -> Vec<Option<Server>> {
        std::thread::scope(|scope| {
            let starting: Vec<_> = places.iter().map(|place| scope.spawn(|| self.start_node(*place))).collect();
            starting.into_iter().map(|one| Some(one.join().expect("it starts"))).collect()
        })
    }

    fn start_node(&self, place: usize) -> Server {
        let (security, lake) = (self.security_of(place), self.dir.join("lake"));
        let mut settings = vec![
            ("WATERSHED_CLUSTER_ADDR", self.addresses[place].as_str()),
            ("WATERSHED_ADVERTISE_ADDR", &self.addresses[place]),
            ("WATERSHED_JOIN", &self.founders),
            ("WATERSHED_LAKE_DIR", lake.to_str().expect("UTF-8")),
            ("WATERSHED_FLUSH_INTERVAL", "2s"),
        ];
        settings.extend(security.iter().map(|(name, path)| (*name, path.to_str().expect("UTF-8"))));
        settings.extend(&self.environment);
        settings.extend(self.told.get(&place).map(|(name, value)| (*name, value.as_str())));
        let data_dir = self.dir.join(format!("node-{place}"));
        Server::start_with(&data_dir, &[], &settings).unwrap_or_else(|| panic!("node {place} does not start"))
    }

    fn security_of(&self, place: usize) -> Vec<(&'static str, PathBuf)> {
        let tls = self.dir.join(format!("tls-{place}"));
        if !tls.exists() {
            return vec![("WATERSHED_CLUSTER_SECRET_FILE", self.dir.join("secret"))];
        }
        vec![
            ("WATERSHED_CLUSTER_TLS_CERT_FILE", tls.join("cert.pem")),
            ("WATERSHED_CLUSTER_TLS_KEY_FILE", tls.join("key.pem")),
            ("WATERSHED_CLUSTER_TLS_CA_FILE", tls.join("ca.pem")),
        ]
    }

    /// Where the nodes reach each other.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Where a node keeps its replicas.
    #[must_use]
    pub fn replicas(&self, place: usize) -> PathBuf {
        self.dir.join(format!("node-{place}/shards"))
    }

    /// Gives a node that is down another address.
    pub fn move_away(&mut self, place: usize) {
        self.addresses[place] = free_addresses(1).remove(0);
    }

    /// One more node, which joins through the first ones; its place.
    pub fn add(&mut self) -> usize {
        self.addresses.extend(free_addresses(1));
        let place = self.nodes.len();
        self.nodes.push(Some(self.start_node(place)));
        place
    }

    /// SIGTERM, and its end.
    ///
    /// # Panics
    /// When it is down, or does not end well.
    pub fn end(&mut self, place: usize) {
        let node = self.nodes[place].take().expect("it is up");
        node.terminate();
        assert!(node.ended().success());
    }

    /// The node at a place.
    ///
    /// # Panics
    /// When it is down.
    #[must_use]
    pub fn node(&self, place: usize) -> &Server {
        self.nodes[place].as_ref().expect("it is up")
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it is down.
    pub fn kill(&mut self, place: usize) {
        self.nodes[place].take().expect("it is up").kill();
    }

    /// Starts those that are down, all at once; returns when they are ready.
    pub fn start_again(&mut self) {
        let down: Vec<usize> = (0..self.nodes.len()).filter(|place| self.nodes[*place].is_none()).collect();
        self.start_these(&down);
    }

    /// Starts those at these places, which are down.
    pub fn start_these(&mut self, places: &[usize]) {
        for (place, node) in places.iter().zip(self.start_all(places)) {
            self.nodes[*place] = node;
        }
    }

    /// Environment variables of nodes that are started from now on, beside what a cluster needs.
    pub fn set_environment(&mut self, environment: &[(&'static str, &'static str)]) {
        self.environment = environment.to_vec();
    }
}

fn free_addresses(count: usize) -> Vec<String> {
    (0..count).map(|_| format!("127.0.0.1:{}", free_port())).collect()
}
