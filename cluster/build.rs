//! Makes the code of `proto/`, without a `protoc` to install.

use std::error::Error;
use std::path::Path;

const FILES: [&str; 10] = [
    "log",
    "record",
    "raft",
    "peer",
    "forward",
    "blob",
    "tag",
    "admin",
    "session_file",
    "backup",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = FILES.map(|name| format!("mcp_v8/v1/{name}.proto"));
    let descriptors = protox::compile(files, [&root])?;
    tonic_prost_build::configure()
        // Maps in key order: the same value has the same bytes.
        .btree_map(".")
        // Entries and values pass through without being copied.
        .bytes(".mcp_v8.v1.Entry.command")
        .bytes(".mcp_v8.v1.ProposeRequest.command")
        .bytes(".mcp_v8.v1.SnapshotChunk.data")
        .bytes(".mcp_v8.v1.BlobChunk.data")
        .bytes(".mcp_v8.v1.SaveBackupReply.data")
        .bytes(".mcp_v8.v1.BackupRecord.state")
        .bytes(".mcp_v8.v1.BackupRecord.data")
        .compile_fds(descriptors)?;
    Ok(())
}
