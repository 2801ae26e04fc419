//! What a node is: empty, forming, joining, a member; and how members come and go.

mod directory;
mod marker;

pub use self::directory::{Directory, DirectoryError};
pub use self::marker::{Marker, MarkerError, Plan, PlannedMember, Standing};
