//! Reading a log that nobody has open, for the operator.

use std::path::{Path, PathBuf};
use std::vec;

use super::error::OpenError;
use super::format::{Parsed, Record, SEGMENT_HEADER_BYTES, parse_batch};
use super::recovery::load;
use super::segment;

/// A record and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspected {
    /// The number of its segment.
    pub segment: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// What it says.
    pub record: Record,
}

/// All records of a directory in the order in which they were written, whether they still count or not.
/// The torn tail of the last segment is left out, if there is one.
pub struct Inspection {
    directory: PathBuf,
    segments: vec::IntoIter<u64>,
    records: vec::IntoIter<Inspected>,
}

/// Begins to read a log. It changes nothing and takes no lock: while a node runs, the end of what it
/// shows may be half a batch behind.
///
/// # Errors
/// The directory can't be listed.
pub fn inspect(directory: &Path) -> Result<Inspection, OpenError> {
    Ok(Inspection {
        directory: directory.to_owned(),
        segments: segment::list(directory)?.into_iter(),
        records: Vec::new().into_iter(),
    })
}

impl Inspection {
    fn load(&self, sequence: u64) -> Result<Vec<Inspected>, OpenError> {
        let path = segment::segment_path(&self.directory, sequence);
        let (header, data) = load(&path, sequence)?;
        let mut inspected = Vec::new();
        let mut offset = SEGMENT_HEADER_BYTES;
        loop {
            match parse_batch(&data, offset, &header) {
                Parsed::Nothing => return Ok(inspected),
                Parsed::Senseless { offset } => {
                    return Err(OpenError::Corrupt {
                        segment: path,
                        offset,
                    });
                }
                Parsed::Batch(batch) => {
                    offset = batch.next;
                    inspected.extend(batch.records.into_iter().map(|(offset, record)| Inspected {
                        segment: sequence,
                        offset,
                        record,
                    }));
                }
            }
        }
    }
}

impl Iterator for Inspection {
    type Item = Result<Inspected, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(inspected) = self.records.next() {
                return Some(Ok(inspected));
            }
            let sequence = self.segments.next()?;
            match self.load(sequence) {
                Ok(records) => self.records = records.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
