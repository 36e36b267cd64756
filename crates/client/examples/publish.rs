//! Publishes one event: `cargo run -p watershed-client --example publish`.

use watershed_client::Client;
use watershed_schema::{BatchBuilder, Column, TenantId};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it gets")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect("http://127.0.0.1:4317").await?.with_tenant("shop")?;
    let mut batch = BatchBuilder::new(TenantId::new("shop")?, 1024);
    batch.row(None, |row| {
        row.str(Column::Id, "order-1-placed");
        row.str(Column::EventType, "track");
        row.str(Column::EventName, "order.placed");
        row.int(Column::Timestamp, 1_700_000_000_000_000);
    });
    println!("{:?}", client.publish(batch.finish()?).await?);
    Ok(())
}
