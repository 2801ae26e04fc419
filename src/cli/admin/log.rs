//! The log of a node that does not run, for whoever wants to know what happened.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use cluster::log::{Inspected, Record, inspect};
use cluster::types::EntryPayload;
use serde::Serialize;

use super::args::{Form, LogArgs};
use super::error::AdminError;
use crate::cli::Exit;
use crate::wire::rfc3339;

/// A line; empty fields are left out.
#[derive(Default, Serialize)]
struct Line {
    segment: u64,
    offset: u64,
    record: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_node: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<String>,
}

/// Prints it, a line for each record, in the order in which they were written.
pub async fn log(form: Form, args: &LogArgs) -> Result<Exit, AdminError> {
    let (directory, values) = (args.directory.join("raft"), args.values);
    let range = args.from..=args.to.unwrap_or(u64::MAX);
    let printed = tokio::task::spawn_blocking(move || print(form, directory, range, values)).await;
    printed.expect("printing does not panic")
}

fn print(
    form: Form,
    directory: PathBuf,
    range: std::ops::RangeInclusive<u64>,
    values: bool,
) -> Result<Exit, AdminError> {
    let refused = |error: cluster::log::OpenError| AdminError::Refused {
        message: error.to_string(),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    for inspected in inspect(&directory).map_err(refused)? {
        let line = line(inspected.map_err(refused)?, values);
        if line.index.is_some_and(|index| !range.contains(&index)) {
            continue;
        }
        let written = match form {
            Form::Json => {
                let json = serde_json::to_string(&line).expect("plain data has a JSON form");
                writeln!(out, "{json}")
            }
            Form::Table => write_line(&line, &mut out),
        };
        match written {
            // Whoever reads has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Completed),
            written => written?,
        }
    }
    out.flush()?;
    Ok(Exit::Completed)
}

fn line(inspected: Inspected, values: bool) -> Line {
    let line = Line {
        segment: inspected.segment,
        offset: inspected.offset,
        ..Line::default()
    };
    let at = |line: Line, record, log_id: Option<cluster::types::LogId>| Line {
        record,
        index: log_id.map(|log_id| log_id.index),
        term: log_id.map(|log_id| log_id.leader_id.term),
        node: log_id.map(|log_id| log_id.leader_id.node_id),
        ..line
    };
    match inspected.record {
        Record::Entry(entry) => {
            let line = at(line, "entry", Some(entry.log_id));
            match entry.payload {
                EntryPayload::Blank => Line {
                    command: Some("a new leader".to_owned()),
                    ..line
                },
                EntryPayload::Membership(membership) => Line {
                    command: Some("Membership".to_owned()),
                    values: Some(membership.to_string()),
                    ..line
                },
                EntryPayload::Normal(command) => {
                    let bytes = Some(command.bytes().len());
                    let Ok(decoded) = command.decode() else {
                        return Line {
                            command: Some("of another version".to_owned()),
                            bytes,
                            ..line
                        };
                    };
                    let kind = decoded.kind.as_ref().map(|kind| format!("{kind:?}"));
                    let name = kind.as_deref().and_then(|kind| kind.split('(').next());
                    Line {
                        command: Some(name.unwrap_or("of another version").to_owned()),
                        bytes,
                        at: Some(rfc3339(decoded.time_ms)),
                        from_node: decoded.origin.as_ref().map(|origin| origin.node),
                        values: kind.filter(|_| values),
                        ..line
                    }
                }
            }
        }
        Record::Vote(vote) => Line {
            record: "vote",
            term: Some(vote.leader_id.term),
            node: Some(vote.leader_id.node_id),
            command: vote.committed.then(|| "won".to_owned()),
            ..line
        },
        Record::Committed(log_id) => at(line, "committed", log_id),
        Record::TruncateAfter(log_id) => at(line, "truncated behind", log_id),
        Record::Purge(log_id) => at(line, "purged", Some(log_id)),
        Record::LogEnd(log_id) => at(line, "log end", Some(log_id)),
    }
}

fn write_line(line: &Line, out: &mut impl io::Write) -> io::Result<()> {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |it| it.to_string());
    write!(
        out,
        "{:>10}  term {}, node {}  {}",
        number(line.index),
        number(line.term),
        number(line.node),
        line.record
    )?;
    for text in [&line.command, &line.at].into_iter().flatten() {
        write!(out, "  {text}")?;
    }
    if let Some(bytes) = line.bytes {
        write!(out, "  {bytes} bytes")?;
    }
    if let Some(node) = line.from_node {
        write!(out, "  of node {node}")?;
    }
    if let Some(values) = &line.values {
        write!(out, "  {values}")?;
    }
    writeln!(out)
}
