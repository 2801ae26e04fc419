//! An S3 server that keeps its objects in a directory, for trying a bucket without an account anywhere.
//!
//! ```sh
//! AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret cargo run --example s3_server -- 127.0.0.1:9000 /tmp/objects heaps
//! ```

use std::path::PathBuf;

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, directory, bucket] = &arguments[..] else {
        anyhow::bail!("s3_server ADDRESS DIRECTORY BUCKET");
    };
    let variable = |name: &str| std::env::var(name).with_context(|| name.to_owned());
    let (key, secret) = (
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
    );
    let directory = PathBuf::from(directory);
    std::fs::create_dir_all(directory.join(bucket))?;
    let files = s3s_fs::FileSystem::new(&directory);
    let files = files.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(key, secret));
    let service = service.build();
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            // Who hangs up is gone.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
