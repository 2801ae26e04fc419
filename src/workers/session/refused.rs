use process_image::{ScanError, TableError};

use crate::error_code::ErrorCode;

/// Why a run is not kept. The session stands where it stood.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It did not come to its end: it was killed, or it died.
    #[error("the run did not come to its end")]
    NotDone,
    /// What it changed is too much.
    #[error("the run changed {bytes} bytes, more than {bytes_max}")]
    DeltaBytes {
        /// The length of the encoded delta.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Too many pages had to be looked at.
    #[error("the run touched more than {pages_max} pages")]
    Pages {
        /// The limit.
        pages_max: u64,
    },
    /// Too many separate mappings.
    #[error("the run has {mappings} mappings, more than {mappings_max}")]
    Mappings {
        /// How many there are.
        mappings: u64,
        /// The limit.
        mappings_max: usize,
    },
    /// Too many addresses in use.
    #[error("the run uses {bytes} bytes of addresses, more than {bytes_max}")]
    Addresses {
        /// How many there are.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Too much memory for page tables.
    #[error("the run has {bytes} bytes of page tables, more than {bytes_max}")]
    PageTables {
        /// How much there is.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// It answered and did not wait then, as a worker does.
    #[error("the process does not wait after its answer")]
    NotParked,
    /// It made a process that nobody asked for.
    #[error("the run made a process of its own")]
    Family,
    /// It could not be read in time.
    #[error("the process could not be read in time")]
    Deadline,
    /// It can't be read.
    #[error("the process can't be read")]
    Scan(#[source] ScanError),
    /// Its table of mappings is refused.
    #[error("the table of mappings is refused")]
    Table(#[source] TableError),
    /// Its memory is not what its delta says. That is a defect of this program.
    #[error("{count} pages differ from what the delta says, the first at {first:#x}")]
    Different {
        /// How many.
        count: usize,
        /// The address of the first.
        first: u64,
    },
}

impl Refused {
    /// What a caller is told. A run that did not come to its end has a reason of its own.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::NotDone => None,
            Self::DeltaBytes { .. } => Some(ErrorCode::DeltaLimit),
            Self::Pages { .. } => Some(ErrorCode::PagesLimit),
            Self::Mappings { .. } => Some(ErrorCode::MappingsLimit),
            Self::Addresses { .. } => Some(ErrorCode::AddressLimit),
            Self::PageTables { .. } => Some(ErrorCode::PageTablesLimit),
            Self::NotParked
            | Self::Family
            | Self::Deadline
            | Self::Scan(_)
            | Self::Table(_)
            | Self::Different { .. } => Some(ErrorCode::CaptureFailed),
        }
    }

    /// From an error of reading.
    pub(super) fn scan(error: ScanError) -> Self {
        match error {
            ScanError::TooManyPages { pages_max } => Self::Pages { pages_max },
            ScanError::Deadline => Self::Deadline,
            error => Self::Scan(error),
        }
    }
}
