//! Runs one statement: `cargo run -p watershed-client --example query`.

use watershed_client::Client;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it gets")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect("http://127.0.0.1:4317").await?;
    let batches = client.query("SELECT event_type, count(*) FROM events GROUP BY event_type").await?;
    println!("{}", arrow::util::pretty::pretty_format_batches(&batches)?);
    Ok(())
}
