//! What a node is: empty, forming, joining, a member; and how members come and go.

mod adoption;
mod arrival;
mod change;
mod change_error;
mod directory;
mod discover;
mod home;
mod marker;
mod service;

pub(crate) use self::arrival::{Arrival, Arrived, unwritable};
pub use self::change::{Added, Members};
pub use self::change_error::ChangeError;
pub use self::directory::{Directory, DirectoryError};
pub(crate) use self::discover::{Identified, identify_all};
pub(crate) use self::home::Home;
pub use self::marker::{Marker, MarkerError, Plan, PlannedMember, Standing};
pub(crate) use self::service::PeerService;
