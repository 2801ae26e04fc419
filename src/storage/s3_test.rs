use std::path::Path;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};

use super::*;
use crate::storage::{BucketError, suite};

#[path = "../../tests/it/support/s3_server.rs"]
#[expect(dead_code, reason = "other tests need all of it")]
mod s3_server;
use s3_server::{BUCKET, KEY, S3Server, SECRET};

fn bucket(server: &S3Server, name: &str, secret: &str) -> Bucket {
    let credentials = Credentials::new(KEY, secret, None, None, "the test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(server.url())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    Bucket::new(&config, true, name.to_owned(), "a/".to_owned())
}

async fn served(directory: &Path) -> (S3Server, S3Blobs) {
    let server = S3Server::start(directory).await;
    let blobs = S3Blobs::new(Arc::new(bucket(&server, BUCKET, SECRET)));
    (server, blobs)
}

#[tokio::test]
async fn it_is_a_blob_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, blobs) = served(directory.path()).await;
    suite::blob_store(&blobs).await;
    drop(server);
    let (_server, blobs) = served(directory.path()).await;
    suite::after_a_restart(&blobs).await;
}

#[tokio::test]
async fn a_wrong_name_or_secret_is_told_and_is_for_good() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, _) = served(directory.path()).await;
    bucket(&server, BUCKET, SECRET).check().await.expect("good");
    let error = bucket(&server, "others", SECRET).check().await;
    let error = error.expect_err("no such bucket");
    assert!(matches!(error, BucketError::NoBucket { .. }), "{error}");
    assert!(error.is_for_good());
    let error = bucket(&server, BUCKET, "wrong").check().await;
    let error = error.expect_err("another secret");
    assert!(matches!(error, BucketError::Denied { .. }), "{error}");
    assert!(error.is_for_good());
}

#[tokio::test]
async fn what_fails_for_a_while_is_repeated() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, blobs) = served(directory.path()).await;
    let bytes = Bytes::from(vec![1; 1 << 20]);
    let id = BlobId::of(&bytes);
    server.refuse(2);
    blobs.put(id, bytes.clone()).await.expect("kept");
    server.refuse(2);
    assert_eq!(blobs.get(id).await.expect("read"), Some(bytes.clone()));
    server.cut(2);
    assert_eq!(blobs.get(id).await.expect("read"), Some(bytes));
    assert_eq!(server.hit(), 6);
    server.cut(u32::MAX);
    let error = blobs.get(id).await.expect_err("never whole");
    assert!(
        matches!(error, BlobError::Bucket(BucketError::Broken { .. })),
        "{error}"
    );
    server.refuse(u32::MAX);
    let error = blobs.get(id).await.expect_err("never answered");
    assert!(
        matches!(&error, BlobError::Bucket(BucketError::Unavailable { .. })),
        "{error}"
    );
    drop(server);
    let error = blobs.get(id).await.expect_err("nobody is there");
    assert!(
        matches!(&error, BlobError::Bucket(it @ BucketError::Unavailable { .. }) if !it.is_for_good()),
        "{error}"
    );
}

#[tokio::test]
async fn damage_in_the_bucket_is_seen() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, blobs) = served(directory.path()).await;
    let id = BlobId::of(b"bytes");
    blobs
        .put(id, b"bytes".as_slice().into())
        .await
        .expect("kept");
    let path = directory.path().join(BUCKET).join("a").join(key(id));
    std::fs::write(path, b"bytez").expect("written");
    let error = blobs.get(id).await.expect_err("damaged");
    assert!(matches!(error, BlobError::DamagedInBucket { .. }));
}
