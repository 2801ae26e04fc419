//! What every store of blobs must do.

use std::time::Duration;

use bytes::Bytes;

use super::{BlobId, BlobStore};

const KEPT: &[u8] = b"bytes";

/// On an empty store; it has one blob afterwards.
pub async fn blob_store(store: &impl BlobStore) {
    let id = BlobId::of(KEPT);
    let large = Bytes::from(vec![7; 3 << 20]);
    let large_id = BlobId::of(&large);
    assert_eq!(store.get(id).await.expect("read"), None);
    assert_eq!(store.list().await.expect("listed"), []);
    store.remove(id).await.expect("removed already");

    store.put(id, KEPT.into()).await.expect("kept");
    store.put(id, KEPT.into()).await.expect("kept again");
    store.put(large_id, large.clone()).await.expect("kept");
    let empty = BlobId::of(b"");
    store.put(empty, Bytes::new()).await.expect("kept");
    assert_eq!(store.get(id).await.expect("read").as_deref(), Some(KEPT));
    assert_eq!(store.get(large_id).await.expect("read"), Some(large));
    let got = store.get(empty).await.expect("read");
    assert_eq!(got, Some(Bytes::new()), "nothing is something, too");

    let mut listed = store.list().await.expect("listed");
    assert!(listed.iter().all(|one| one.age < Duration::from_secs(60)));
    listed.sort_by_key(|one| one.bytes);
    let found: Vec<_> = listed.iter().map(|one| (one.id, one.bytes)).collect();
    assert_eq!(found, [(empty, 0), (id, 5), (large_id, 3 << 20)]);

    let others = (0..20_u8).map(|n| Bytes::from(vec![n; 1 << 10]));
    let puts = others.map(async |bytes| store.put(BlobId::of(&bytes), bytes).await);
    for put in futures::future::join_all(puts).await {
        put.expect("kept, side by side");
    }
    for one in store.list().await.expect("listed") {
        if one.id != id {
            store.remove(one.id).await.expect("removed");
        }
    }
    assert_eq!(store.get(large_id).await.expect("read"), None);
}

/// After [`blob_store`], on the same store opened anew.
pub async fn after_a_restart(store: &impl BlobStore) {
    let got = store.get(BlobId::of(KEPT)).await.expect("read");
    assert_eq!(got.as_deref(), Some(KEPT));
    assert_eq!(store.list().await.expect("listed").len(), 1);
}
