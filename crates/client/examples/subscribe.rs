//! Follows every trace event: `cargo run -p watershed-client --example subscribe`.

use futures::TryStreamExt as _;
use watershed_client::{Client, Filter, Start};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it gets")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect("http://127.0.0.1:4317").await?;
    let filter = Filter { topics: vec!["trace.**".into()], ..Filter::default() };
    let mut items = client.subscribe(filter, Start::Earliest);
    while let Some(item) = items.try_next().await? {
        for (seq, event) in item.events {
            println!("{}/{seq} {}", item.shard, event.event_name.unwrap_or_default());
        }
    }
    Ok(())
}
