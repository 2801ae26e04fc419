use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cluster::archive::Contents;
use cluster::proto::backup_record::Record;
use cluster::proto::{BackupBlob, BackupEnd, BackupHeader, BackupRecord};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::file::{MAGIC, PIECE_BYTES};
use super::{Backups, Error};
use crate::record_file::Encoder;
use crate::storage::BlobId;

type Out = mpsc::Sender<Result<Bytes, Error>>;

/// Sends a backup piece by piece; it stops early when nobody listens.
pub(super) async fn save(
    backups: &Backups,
    have: &BTreeSet<BlobId>,
    out: &Out,
) -> Result<(), Error> {
    let cluster_id = backups.cluster.cluster_id().ok_or(Error::NotMember)?;
    let (index, file) = backups.cluster.state().export().await?;
    let read = file.clone();
    let contents = spawn_blocking(move || Contents::of(&read)).await;
    let contents = contents.expect("reading a snapshot does not panic")?;
    let mut writer = Writer {
        encoder: Encoder::new(MAGIC),
        out,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let header = BackupHeader {
        cluster_id: cluster_id.to_vec(),
        index,
        created_ms: now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state_bytes: file.size(),
        blobs: contents.blobs.len() as u64,
    };
    if !writer.write(Record::Header(header)).await {
        return Ok(());
    }
    let at = |source| Error::Io {
        path: file.path().to_owned(),
        source,
    };
    let mut state = tokio::fs::File::open(file.path()).await.map_err(at)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let bytes = state.read(&mut piece).await.map_err(at)?;
        if bytes == 0 {
            break;
        }
        let state = Bytes::copy_from_slice(&piece[..bytes]);
        if !writer.write(Record::State(state)).await {
            return Ok(());
        }
    }
    for record in contents.blobs {
        let id = BlobId::try_from(&record.hash[..]).map_err(|_| {
            let fault = cluster::state::SnapshotFault::Row;
            Error::State(fault.into())
        })?;
        let beside = have.contains(&id);
        let blob = BackupBlob {
            hash: record.hash,
            size: record.size,
            beside,
        };
        if !writer.write(Record::Blob(blob)).await {
            return Ok(());
        }
        if beside {
            continue;
        }
        let bytes = backups.blobs.get(id).await?;
        for start in (0..bytes.len()).step_by(PIECE_BYTES) {
            let data = bytes.slice(start..bytes.len().min(start + PIECE_BYTES));
            if !writer.write(Record::Data(data)).await {
                return Ok(());
            }
        }
    }
    let sha256 = writer.encoder.sha256();
    writer.write(Record::End(BackupEnd { sha256 })).await;
    Ok(())
}

struct Writer<'a> {
    encoder: Encoder,
    out: &'a Out,
}

impl Writer<'_> {
    /// Whether anybody takes it.
    async fn write(&mut self, record: Record) -> bool {
        let bytes = self.encoder.record(&BackupRecord {
            record: Some(record),
        });
        self.out.send(Ok(bytes)).await.is_ok()
    }
}
