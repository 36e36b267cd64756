//! A real node whose lake is a real S3 server and a real REST catalog, with a proxy before each.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use watershed_chaos::checker::{Moment, Read, Row};
use watershed_tests::server::Server;

use crate::proxy::{Asked, Fault, Proxy};
use crate::servers::{BUCKET, Moto, Rustberg, pyiceberg};

/// Longest time of one request; slow answers come later than that.
pub(crate) const REQUEST_MAX: Duration = Duration::from_millis(1_500);

pub(crate) struct World {
    moto: Moto,
    rustberg: Rustberg,
    pub(crate) s3: Proxy,
    pub(crate) rest: Proxy,
}

fn fine(_: &Asked) -> Option<Fault> {
    None
}

impl World {
    pub(crate) async fn start() -> Self {
        let moto = Moto::start();
        let rustberg = Rustberg::start(&moto);
        let s3 = Proxy::start(moto.address, fine).await;
        let rest = Proxy::start(rustberg.address, fine).await;
        Self { moto, rustberg, s3, rest }
    }

    /// A node that archives through the proxies.
    pub(crate) fn node(&self, dir: &Path, settings: &[(&str, &str)]) -> Server {
        let (uri, endpoint) = (format!("http://{}", self.rest.address), format!("http://{}", self.s3.address));
        let warehouse = format!("s3://{BUCKET}/rest");
        let ours = [
            ("WATERSHED_LAKE_CATALOG", "rest"),
            ("WATERSHED_LAKE_URI", uri.as_str()),
            ("WATERSHED_LAKE_WAREHOUSE", &warehouse),
            ("WATERSHED_LAKE_REQUEST_TIMEOUT", "1500ms"),
            ("WATERSHED_LAKE_CONNECT_TIMEOUT", "1500ms"),
            ("WATERSHED_LAKE_S3_ENDPOINT", &endpoint),
            ("WATERSHED_LAKE_S3_REGION", "us-east-1"),
            ("WATERSHED_LAKE_S3_ACCESS_KEY_ID", "test"),
            ("WATERSHED_LAKE_S3_SECRET_ACCESS_KEY", "test"),
            ("WATERSHED_LAKE_S3_REQUEST_TIMEOUT", "1500ms"),
            ("WATERSHED_LAKE_S3_RETRY_TIMEOUT", "20s"),
            ("WATERSHED_FLUSH_INTERVAL", "1s"),
        ];
        let all: Vec<_> = ours.into_iter().chain(settings.iter().copied()).collect();
        Server::start_with(dir, &[], &all).expect("the node starts")
    }

    pub(crate) fn calm(&self) {
        self.s3.plan(fine);
        self.rest.plan(fine);
    }

    /// How often each fault was injected.
    pub(crate) fn injected(&self) -> BTreeMap<String, usize> {
        let named = |place: &'static str, proxy: &Proxy| {
            proxy.injected().into_iter().map(move |(fault, count)| (format!("{place}: {fault}"), count))
        };
        named("s3", &self.s3).chain(named("rest", &self.rest)).collect()
    }

    /// What PyIceberg, which does not go through the proxies, finds of each tenant; whose table a row is in is checked.
    pub(crate) fn in_iceberg(&self) -> Vec<Read> {
        let seen = pyiceberg(json!({"type": "rest", "uri": format!("http://{}", self.rustberg.address)}), Some(&self.moto));
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let tables = seen["spans"].as_object().expect("tables");
        let all = tables.iter().flat_map(|(table, spans)| spans.as_array().expect("rows").iter().map(move |span| (table, span)));
        for (table, span) in all {
            let (tenant, row) = row(span);
            let is_own = tables.contains_key(&format!("events_{tenant}"));
            assert_eq!(*table, if is_own { format!("events_{tenant}") } else { "events".to_owned() }, "{tenant}'s {row:?}");
            rows.entry(tenant).or_default().push(row);
        }
        let read = |(tenant, rows)| Read { reader: "PyIceberg".to_owned(), tenant, moment: Moment::Final, rows };
        rows.into_iter().map(read).collect()
    }
}

fn row(span: &Value) -> (String, Row) {
    let number = |place: usize| span[place].as_u64().expect("a place");
    let id = u64::from_str_radix(span[1].as_str().expect("an id"), 16).expect("an id of ours") - 1;
    (span[0].as_str().expect("a tenant").to_owned(), Row { id, shard: u32::try_from(number(2)).expect("small"), seq: number(3) })
}
