//! The replicated state: what `apply` computes, in sled, and how it is read, copied and replaced.
//!
//! `apply` has the rules, pure and alike on all nodes. `store` has the rows: sled as of one place in the
//! log, and the changes after it in memory. `machine` is what openraft drives, `reader` what everybody else
//! sees; `snapshot` has the form in which a whole state travels.

mod apply;
mod hash;
mod machine;
mod options;
mod raft_impl;
mod reader;
mod snapshot;
mod snapshot_file;
mod store;
mod table;

pub use self::apply::{
    CODE_BYTES_MAX, DELTA_BYTES_MAX, ID_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, REPLY_BYTES_MAX,
    REPORT_BYTES_MAX, SETTING_VALUE_BYTES_MAX, TAG_VALUE_BYTES_MAX, TASK_INPUT_BYTES_MAX,
    TASK_OPTIONS_BYTES_MAX, TASK_REQUEST_BYTES_MAX, are_labels, is_name,
};
pub use self::hash::{MalformedHash, StateHash};
pub use self::machine::{SnapshotBuilder, StateMachine};
pub use self::options::{LEVEL, StateOptions};
pub use self::reader::{LiveTask, PAGE_ROWS_MAX, Page, StateReader};
pub(crate) use self::snapshot::read_snapshot;
pub use self::snapshot_file::{SnapshotFile, SnapshotWriter};
pub use self::store::{Compacted, OpenError, SnapshotFault, StoreError};
pub use self::table::Table;
