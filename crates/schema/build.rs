//! Messages from `proto/`, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["event", "log", "control", "cluster", "peer", "ingest", "subscribe", "query", "lake"]
        .map(|name| format!("watershed/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["../../proto"])?;
    std::fs::write(
        std::path::Path::new(&std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    prost_build::Config::new().bytes(["."]).include_file("protos.rs").compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=../../proto");
    Ok(())
}
