//! Descriptors of OTLP for server reflection, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = |signal| format!("opentelemetry/proto/collector/{signal}/v1/{signal}_service.proto");
    let descriptors = protox::compile(["trace", "metrics", "logs"].map(file), ["../../proto/otlp"])?;
    let folder = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    std::fs::write(std::path::Path::new(&folder).join("otlp.bin"), prost::Message::encode_to_vec(&descriptors))?;
    println!("cargo:rerun-if-changed=../../proto/otlp");
    Ok(())
}
