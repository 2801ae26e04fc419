//! Makes the clients of the two systems that the Raft benchmark compares, without a `protoc` to install.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Only the public protocol, not the cluster crate: the client builds without openraft and sled.
    for (root, file) in [
        (here.join("proto"), "etcd.proto"),
        (here.join("../../proto"), "mcp_v8/v1/tag.proto"),
    ] {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
        let descriptors = protox::compile([file], [&root])?;
        tonic_prost_build::configure()
            .build_server(false)
            .compile_fds(descriptors)?;
    }
    Ok(())
}
