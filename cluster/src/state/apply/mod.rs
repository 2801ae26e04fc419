//! The state machine itself: from the rows and one command, the answer and the changed rows.
//!
//! Pure and total. There is no clock, no randomness, no IO and no float here, and no bytes in a command
//! make it panic: all nodes compute the same from the same log. Errors come from the view alone (a row
//! that can't be read or is damaged) and end the process.
//!
//! Each family of records has a file, with what its commands do to it. They check first and write then;
//! what a refused command has written is dropped.

mod blobs;
mod commits;
mod engines;
mod garbage;
mod idempotency;
mod limits;
mod nodes;
mod quorum;
mod schedules;
mod sessions;
mod settings;
mod settlement;
mod tags;
mod task_rows;
mod tasks;
mod transaction;

use bytes::Bytes;
use prost::Message as _;

use crate::command::Command;
use crate::proto::command::Kind;
use crate::proto::reply::Outcome;
use crate::proto::{self, Reason, Refused, Reply};
use crate::state::table;
use crate::types::StoredMembership;

pub use self::limits::{
    CODE_BYTES_MAX, DELTA_BYTES_MAX, ID_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, REPLY_BYTES_MAX,
    REPORT_BYTES_MAX, SETTING_VALUE_BYTES_MAX, TAG_VALUE_BYTES_MAX, TASK_INPUT_BYTES_MAX,
    TASK_OPTIONS_BYTES_MAX, TASK_REQUEST_BYTES_MAX, labels as are_labels, name as is_name,
};
pub(super) use self::transaction::{Change, Transaction, View};
use super::StoreError;

/// What an entry of the log did.
pub(super) struct Applied {
    /// The answer.
    pub reply: Reply,
    /// The rows that are others now.
    pub changes: Vec<Change>,
}

/// What all commands have in common.
struct Context<'a> {
    index: u64,
    time_ms: u64,
    principal: &'a str,
}

/// Why a command stops.
enum Stop {
    /// It is refused; the state is as it was.
    Refused(Refused),
    /// A row can't be read.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn refused(reason: Reason, actual: u64) -> Refused {
    Refused {
        reason: reason.into(),
        actual,
    }
}

fn refuse<T>(reason: Reason) -> Result<T, Stop> {
    refuse_as(reason, 0)
}

/// Refuses, and tells what stands there instead.
fn refuse_as<T>(reason: Reason, actual: u64) -> Result<T, Stop> {
    Err(Stop::Refused(refused(reason, actual)))
}

/// Goes on only where a condition holds.
fn require(holds: bool, reason: Reason) -> Result<(), Stop> {
    if holds { Ok(()) } else { refuse(reason) }
}

fn done() -> Outcome {
    Outcome::Done(proto::Done {})
}

impl Reply {
    fn refused(reason: Reason, actual: u64) -> Self {
        Outcome::Refused(refused(reason, actual)).into()
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome: Some(outcome),
        }
    }
}

/// Applies a command that stands at a place in the log. One of a higher level than this is an error: whoever does
/// not know what it means stops.
pub(super) fn apply<V: View>(
    view: &V,
    index: u64,
    command: &Command,
    level: u32,
) -> Result<Applied, StoreError> {
    let mut transaction = Transaction::new(view);
    let reply = answer(&mut transaction, index, command, level)?;
    Ok(Applied {
        reply,
        changes: transaction.finish(),
    })
}

fn answer<V: View>(
    transaction: &mut Transaction<V>,
    index: u64,
    command: &Command,
    level: u32,
) -> Result<Reply, StoreError> {
    let Ok(command) = command.decode() else {
        return Ok(Reply::refused(Reason::UnknownCommand, 0));
    };
    if command.level > level {
        return Err(StoreError::Newer {
            found: command.level,
            known: level,
        });
    }
    let Some(kind) = command.kind else {
        return Ok(Reply::refused(Reason::UnknownCommand, 0));
    };
    if !limits::principal(&command.principal) {
        return Ok(Reply::refused(Reason::Invalid, 0));
    }
    let context = Context {
        index,
        time_ms: command.time_ms,
        principal: &command.principal,
    };
    raise(transaction, command.level)?;
    let admission = match &command.origin {
        None => settlement::Admission::WithoutMemory,
        Some(origin) => settlement::admit(transaction, origin, &kind)?,
    };
    match admission {
        settlement::Admission::Answered(reply) => Ok(reply),
        settlement::Admission::WithoutMemory => run(transaction, &context, kind),
        settlement::Admission::Proposal(proposal) => {
            let reply = run(transaction, &context, kind)?;
            settlement::remember(transaction, &proposal, &reply)?;
            Ok(reply)
        }
    }
}

/// From now on who opens the state has to know this level.
fn raise<V: View>(transaction: &mut Transaction<V>, level: u32) -> Result<(), StoreError> {
    // The first level is that of all programs.
    if level <= 1 {
        return Ok(());
    }
    let key = table::level();
    let known = transaction.get(&key)?;
    if level_of(known)? < level {
        transaction.put_bytes(key, u64::from(level).encode_to_vec().into())?;
    }
    Ok(())
}

/// What the row says.
pub(super) fn level_of(row: Option<Bytes>) -> Result<u32, StoreError> {
    let Some(row) = row else { return Ok(1) };
    let level =
        u64::decode(row).map_err(|source| StoreError::malformed(&table::level(), source))?;
    Ok(u32::try_from(level).unwrap_or(u32::MAX))
}

fn run<V: View>(
    transaction: &mut Transaction<V>,
    context: &Context<'_>,
    kind: Kind,
) -> Result<Reply, StoreError> {
    match dispatch(transaction, context, kind) {
        Ok(outcome) => Ok(outcome.into()),
        Err(Stop::Refused(refused)) => {
            transaction.discard_writes();
            Ok(Outcome::Refused(refused).into())
        }
        Err(Stop::Store(error)) => Err(error),
    }
}

fn dispatch<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    kind: Kind,
) -> Result<Outcome, Stop> {
    match kind {
        Kind::RegisterNode(command) => nodes::register(rows, context, command),
        Kind::NodeUp(command) => nodes::up(rows, context, command),
        Kind::NodeDown(command) => nodes::down(rows, context, &command),
        Kind::SetNodeDraining(command) => nodes::set_draining(rows, context, &command),
        Kind::RemoveNode(command) => nodes::remove(rows, &command),
        Kind::SetSetting(command) => settings::set(rows, context, command),
        Kind::PutTag(command) => tags::put(rows, context, command),
        Kind::DeleteTag(command) => tags::delete(rows, context, &command),
        Kind::PutEngine(command) => engines::put(rows, context, command),
        Kind::SetEngineState(command) => engines::set_state(rows, &command),
        Kind::PutBlob(command) => blobs::put(rows, context, command),
        Kind::DeleteBlob(command) => blobs::delete(rows, &command),
        Kind::ClaimSession(command) => sessions::claim(rows, context, command),
        Kind::CommitHeap(command) => commits::commit(rows, context, command),
        Kind::DeleteSession(command) => sessions::delete(rows, context, &command),
        Kind::PutImage(command) => commits::put_image(rows, context, command),
        Kind::CreateSession(command) => sessions::create(rows, context, command),
        Kind::MoveSession(command) => sessions::move_to(rows, context, command),
        Kind::RenameSession(command) => sessions::rename(rows, context, command),
        Kind::CreateTask(command) => tasks::create(rows, context, command),
        Kind::AssignTask(command) => tasks::assign(rows, context, &command),
        Kind::FinishTask(command) => tasks::finish(rows, context, command, &[]),
        Kind::CancelTask(command) => tasks::cancel(rows, context, &command),
        Kind::DeleteTask(command) => tasks::delete(rows, context, &command),
        Kind::FireTask(command) => schedules::fire(rows, context, command),
        Kind::ExpireTasks(command) => schedules::expire(rows, context, &command),
        Kind::ExpireIdempotencyKeys(command) => idempotency::expire(rows, &command),
        Kind::CollectGarbage(command) => garbage::collect(rows, context, &command),
    }
}

/// Applies an entry that sets the members.
pub(super) fn apply_membership<V: View>(
    view: &V,
    stored: &StoredMembership,
) -> Result<Vec<Change>, StoreError> {
    let mut transaction = Transaction::new(view);
    quorum::put_membership(&mut transaction, stored)?;
    Ok(transaction.finish())
}
