//! Reads a whole trace: `cargo run -p watershed-client --example trace -- TRACE_ID`.

use watershed_client::Client;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it gets")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let trace_id = std::env::args().nth(1).ok_or("which trace?")?;
    for event in Client::connect("http://127.0.0.1:4317").await?.get_trace(&trace_id).await? {
        println!("{:?} {:?} {:?} ms", event.span_id, event.event_name, event.duration_ms);
    }
    Ok(())
}
