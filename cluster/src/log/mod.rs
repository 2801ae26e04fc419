//! Log, vote and committed index, in append-only segments.
use crate::types::*;
#[derive(Clone)]
pub struct LogStore;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct OpenError;
pub struct LogOptions;
impl LogOptions { pub fn new(_: std::path::PathBuf) -> Self { Self } }
impl LogStore {
 pub fn open(_: LogOptions) -> Result<Self, OpenError> { Ok(Self) }
 pub fn bytes_after(&self, _: u64) -> u64 { 0 }
 pub fn disk_bytes(&self) -> u64 { 0 }
}
impl openraft::storage::RaftLogReader<TypeConfig> for LogStore {
  async fn try_get_log_entries<RB: std::ops::RangeBounds<u64> + Clone + std::fmt::Debug + Send>(&mut self, _: RB) -> std::io::Result<Vec<Entry>> { Ok(vec![]) }
  async fn read_vote(&mut self) -> std::io::Result<Option<Vote>> { Ok(None) }
}
impl openraft::storage::RaftLogStorage<TypeConfig> for LogStore {
  type LogReader = Self;
  async fn get_log_state(&mut self) -> std::io::Result<openraft::storage::LogState<TypeConfig>> { Err(std::io::ErrorKind::Other.into()) }
  async fn get_log_reader(&mut self) -> Self { self.clone() }
  async fn save_vote(&mut self, _: &Vote) -> std::io::Result<()> { Ok(()) }
  async fn append<I>(&mut self, _: I, _: openraft::storage::IOFlushed<TypeConfig>) -> std::io::Result<()> where I: IntoIterator<Item=Entry>+Send, I::IntoIter: Send { Ok(()) }
  async fn truncate_after(&mut self, _: Option<LogId>) -> std::io::Result<()> { Ok(()) }
  async fn purge(&mut self, _: LogId) -> std::io::Result<()> { Ok(()) }
}
