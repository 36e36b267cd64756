//! Messages from `proto/`, without protoc.

/// Messages that are read from JSON.
const REQUESTS: [&str; 5] = ["TrackRequest", "EventStep", "FunnelRequest", "CohortRequest", "RatioRequest"];
/// Messages that are written as JSON.
const ANSWERS: [&str; 12] = [
    "Progress",
    "TrackResponse",
    "TrackPoint",
    "FunnelResponse",
    "FunnelGroup",
    "FunnelStep",
    "CohortResponse",
    "Cohort",
    "CohortEntry",
    "RatioResponse",
    "Coverage",
    "ShardCoverage",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["event", "log", "control", "cluster", "peer", "ingest", "subscribe", "query", "lake", "analytics"]
        .map(|name| format!("watershed/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["../../proto"])?;
    std::fs::write(
        std::path::Path::new(&std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]).include_file("protos.rs");
    // What analytics say over gRPC is what they say in JSON.
    for message in REQUESTS {
        config.type_attribute(format!(".watershed.v1.{message}"), "#[derive(serde::Serialize, serde::Deserialize)]");
        config.type_attribute(format!(".watershed.v1.{message}"), "#[serde(default, deny_unknown_fields)]");
    }
    for message in ANSWERS {
        config.type_attribute(format!(".watershed.v1.{message}"), "#[derive(serde::Serialize)]");
    }
    config.compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=../../proto");
    Ok(())
}
