//! What of a cluster is kept outside of it, and how another cluster begins with that.
//!
//! Kept are snapshots of the state, in the form in which nodes send them to each other, and pieces of the log
//! behind them. [`Restore`] makes an empty directory that of a cluster's first node from them: a cluster of its
//! own, whose log goes on where the old one's ended, and in which no old node is a member.

mod contents;
mod left;
mod piece;
mod restore;
mod restore_error;

pub use self::contents::Contents;
pub use self::left::Left;
pub use self::piece::{LogAfter, Piece, PieceError};
pub use self::restore::{Held, Restore, Restored};
pub use self::restore_error::RestoreError;
