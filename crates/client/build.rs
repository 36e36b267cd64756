//! Client stubs from `proto/`, without protoc; the messages are those of the schema crate.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["ingest", "subscribe", "query", "cluster", "lake", "analytics"].map(|name| format!("watershed/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["../../proto"])?;
    tonic_prost_build::configure()
        .extern_path(".watershed.v1", "::watershed_schema::proto")
        .extern_path(".opentelemetry.proto.common.v1", "::watershed_schema::wire_messages::opentelemetry::proto::common::v1")
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=../../proto");
    Ok(())
}
