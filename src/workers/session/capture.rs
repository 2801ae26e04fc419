use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use process_image::capture::{self, Child, Parent};
use process_image::{MappingError, MappingTable, Shadow, StateId, TableError};
use rustix::process::Pid;

use super::refused::Refused;
use super::{Living, Ready, StateLimits, Successor, family};
use crate::workers::engine::Engine;
use crate::workers::{memory, proc_file};

/// How long a process may take from the last byte of its answer to the call in which it waits.
const PARK_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two looks at a process that should wait.
const PARK_LOOK: Duration = Duration::from_micros(20);

/// What the session becomes by the run of `ready`, whose answer has been read. It blocks.
pub fn successor(
    engine: &Engine,
    state: StateId,
    parent: &Living,
    ready: Ready,
    limits: &StateLimits,
    shadow: Option<&Shadow>,
) -> Result<Successor, Refused> {
    let deadline = Instant::now() + limits.capture_timeout;
    let pid = ready.child.process().pid();
    parked(pid)?;
    if family::kill_unheld(pid).unwrap_or(false) {
        return Err(Refused::Family);
    }
    let table = table(engine, &ready, limits)?;
    let scan = ready
        .memory
        .scan(
            &table,
            limits.pages_max.max(present_max(parent, limits)),
            deadline,
        )
        .map_err(Refused::scan)?;
    let before = Parent {
        state,
        memory: &parent.memory,
        table: &parent.table,
        present: &parent.present,
        known: &parent.known,
    };
    let after = Child {
        memory: &ready.memory,
        table: &table,
        scan: &scan,
    };
    let (delta, known) = capture::delta(engine.id(), before, after, limits.pages_max, deadline)
        .map_err(Refused::scan)?;
    let encoded = delta.encode();
    let (bytes, bytes_max) = (encoded.len() as u64, limits.delta_bytes_max);
    if bytes > bytes_max {
        return Err(Refused::DeltaBytes { bytes, bytes_max });
    }
    let (bytes, bytes_max) = (memory::page_table_bytes(pid), limits.page_table_bytes_max);
    if bytes > bytes_max {
        return Err(Refused::PageTables { bytes, bytes_max });
    }
    // What was read is what the process was all the time, if it still waits.
    parked(pid)?;
    if family::kill_unheld(pid).unwrap_or(false) {
        return Err(Refused::Family);
    }
    if let Some(shadow) = shadow {
        let deadline = deadline + Duration::from_secs(60);
        let different = shadow
            .differences(Some(&delta), &ready.memory, &table, deadline)
            .map_err(Refused::scan)?;
        if let Some(first) = different.first() {
            return Err(Refused::Different {
                count: different.len(),
                first: first * process_image::layout::PAGE as u64,
            });
        }
    }
    let present = parent
        .present
        .difference(&delta.dropped)
        .union(&delta.changed);
    let line = ready
        .child
        .try_map(super::LineChild::into_line)
        .map_err(|error| Refused::Scan(error.into()))?;
    Ok(Successor {
        living: Arc::new(Living {
            line,
            memory: ready.memory,
            table,
            present,
            known,
        }),
        delta,
        encoded,
    })
}

/// Pages that the process shares with its parent are not looked at, only counted.
fn present_max(parent: &Living, limits: &StateLimits) -> u64 {
    parent.present.count().saturating_add(limits.pages_max)
}

fn table(engine: &Engine, ready: &Ready, limits: &StateLimits) -> Result<MappingTable, Refused> {
    let mut bounds = engine.bounds().clone();
    bounds.mappings_max = limits.mappings_max;
    let table = match ready.memory.table(&bounds) {
        Ok(table) => table,
        Err(TableError::Mappings(MappingError::TooMany {
            count,
            mappings_max,
        })) => {
            return Err(Refused::Mappings {
                mappings: count,
                mappings_max,
            });
        }
        Err(error) => return Err(Refused::Table(error)),
    };
    let mappings = table.mappings().iter();
    let bytes = mappings.map(|mapping| mapping.end - mapping.start).sum();
    let bytes_max = limits.address_bytes_max;
    if bytes > bytes_max {
        return Err(Refused::Addresses { bytes, bytes_max });
    }
    Ok(table)
}

/// Proves that a process waits: it sleeps, in the one call in which workers wait, and is one thread.
fn parked(pid: Pid) -> Result<(), Refused> {
    let until = Instant::now() + PARK_TIMEOUT;
    loop {
        match is_parked(pid) {
            Ok(true) => return Ok(()),
            Ok(false) if Instant::now() < until => std::thread::sleep(PARK_LOOK),
            _ => return Err(Refused::NotParked),
        }
    }
}

fn is_parked(pid: Pid) -> io::Result<bool> {
    let pid = pid.as_raw_nonzero();
    let stat = proc_file::read(&format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything, so the fields are those after the last one.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = fields.split_whitespace();
    let (state, threads) = (fields.next(), fields.nth(16));
    if matches!(state, Some("Z" | "X")) {
        // It answered and ended: there is nothing to wait for.
        return Err(io::ErrorKind::NotFound.into());
    }
    if state != Some("S") || threads != Some("1") {
        return Ok(false);
    }
    match proc_file::read(&format!("/proc/{pid}/syscall")) {
        Ok(call) => Ok(call.starts_with(WAITING_CALL)),
        // Not every kernel tells, nor every container.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(true),
        Err(error) => Err(error),
    }
}

/// `recvfrom` on the socket of orders, as the kernel writes it.
const WAITING_CALL: &str = "45 0x5 ";

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn pid(child: &Child) -> Pid {
        Pid::from_child(child)
    }

    /// Rule 18: whoever answers and goes on is found, and in time.
    #[test]
    fn who_does_not_wait_where_workers_wait_is_not_believed() {
        for (program, arguments) in [
            ("sh", &["-c", "while :; do :; done"][..]),
            ("sleep", &["60"][..]),
        ] {
            let mut child = Command::new(program)
                .args(arguments)
                .spawn()
                .expect("it can be run");
            let begun = Instant::now();
            let parked = parked(pid(&child));
            assert!(matches!(parked, Err(Refused::NotParked)), "{program}");
            assert!(begun.elapsed() < PARK_TIMEOUT * 10);
            child.kill().expect("it can be killed");
            child.wait().expect("it can be reaped");
        }
    }

    #[test]
    fn who_is_gone_does_not_wait() {
        let mut child = Command::new("true").spawn().expect("it can be run");
        let gone = pid(&child);
        child.wait().expect("it can be reaped");
        assert!(matches!(parked(gone), Err(Refused::NotParked)));
    }
}
