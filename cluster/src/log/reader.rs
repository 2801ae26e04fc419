//! Reading entries that are in files only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;

use super::error::LogError;
use super::format::{RECORD_HEADER_BYTES, parse_entry, record_bytes};
use super::memory::{OnDisk, entry_bytes};
use crate::types::Entry;

/// Read at once: neighbours come along.
const WINDOW_BYTES: usize = 128 << 10;

/// A piece of a file.
struct Window {
    file: Arc<File>,
    offset: u64,
    data: Bytes,
}

impl Window {
    fn read(file: &Arc<File>, offset: u64, bytes: usize) -> io::Result<Self> {
        let mut data = vec![0; bytes];
        let mut filled = 0;
        while filled < bytes {
            match file.read_at(&mut data[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        data.truncate(filled);
        Ok(Self {
            file: file.clone(),
            offset,
            data: data.into(),
        })
    }

    /// The whole record at a place, if it lies in here.
    fn record(&self, place: &OnDisk) -> Option<Bytes> {
        if !Arc::ptr_eq(&self.file, &place.file) {
            return None;
        }
        let start = usize::try_from(place.offset.checked_sub(self.offset)?).ok()?;
        let size = record_bytes(self.data.get(start..)?)?;
        let end = start.checked_add(size)?;
        (end <= self.data.len()).then(|| self.data.slice(start..end))
    }
}

/// Reads the entries in order, until the limit is reached, but at least one. Blocks.
pub(super) fn read(places: &[OnDisk], bytes_max: u64) -> Result<Vec<Entry>, LogError> {
    let mut entries = Vec::with_capacity(places.len());
    let mut window: Option<Window> = None;
    let mut bytes = 0;
    for place in places {
        let entry = read_one(place, &mut window)?;
        bytes += entry_bytes(&entry);
        if bytes > bytes_max && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn read_one(place: &OnDisk, window: &mut Option<Window>) -> Result<Entry, LogError> {
    let index = place.index;
    let unreadable = |error| LogError::Unreadable {
        index,
        source: Arc::new(error),
    };
    let damaged = LogError::Damaged { index };
    let known = window.as_ref().and_then(|window| window.record(place));
    let record = match known {
        Some(record) => record,
        None => {
            let mut fresh =
                Window::read(&place.file, place.offset, WINDOW_BYTES).map_err(unreadable)?;
            // A damaged length must not make us ask for gigabytes: the file ends the record.
            let size = record_bytes(&fresh.data).unwrap_or(RECORD_HEADER_BYTES);
            let rest = (place.file.metadata().map_err(unreadable)?.len()) - place.offset;
            if size > WINDOW_BYTES && size as u64 <= rest {
                fresh = Window::read(&place.file, place.offset, size).map_err(unreadable)?;
            }
            let record = fresh.record(place).ok_or(damaged.clone())?;
            *window = Some(fresh);
            record
        }
    };
    match parse_entry(&record) {
        Some(entry) if entry.log_id.index == index => Ok(entry),
        _ => Err(damaged),
    }
}
