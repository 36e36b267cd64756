//! Shows what a request becomes: `cargo run -p watershed-sources --example transform -- /v1/vitals < request`.
//!
//! Prints one event a line, then the rejects; fails if there are any. `/snippet.js` as path prints the script as it is served.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use watershed_schema::{Column, Row, TenantId, Value, payload};
use watershed_sources::{Context, Transformed, registry, snippet};

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: transform PATH < request")?;
    if path == "/snippet.js" {
        print!("{}", snippet::SCRIPT);
        return Ok(ExitCode::SUCCESS);
    }
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request)?;
    let received_at_us = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let context = Context { tenant: TenantId::new("example")?, received_at_us, batch_id: "example".to_owned() };
    let (_, endpoint) = registry::by_path(&path).ok_or("no such path")?;
    Ok(show(&endpoint.transform(&request, &context)?))
}

#[expect(clippy::print_stdout, reason = "what it is for")]
fn show(transformed: &Transformed) -> ExitCode {
    for row in transformed.batch.iter().flat_map(|batch| batch.rows()) {
        println!("{{{}}}", columns(&row).join(","));
    }
    println!("{} rejects: {}", transformed.rejects.count, transformed.rejects.summary());
    if transformed.rejects.count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn columns(row: &Row<'_>) -> Vec<String> {
    let json = |column: &Column| Some(format!("\"{}\":{}", column.name(), json(row.get(*column).ok()??)));
    Column::ALL.iter().filter_map(json).collect()
}

fn json(value: Value<'_>) -> String {
    let mut json = String::new();
    match value {
        Value::Text(text) => payload::quote(text, &mut json),
        Value::Int(number) => json = number.to_string(),
        Value::Float(number) => json = number.to_string(),
        Value::Bool(truth) => json = truth.to_string(),
        Value::Bytes(bytes) => payload::quote(&String::from_utf8_lossy(bytes), &mut json),
        Value::Payload(payload) => payload::to_json(payload, &mut json).unwrap_or_default(),
    }
    json
}
