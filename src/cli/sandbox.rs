use std::io::{self, Write as _};

use anyhow::Context as _;
use rustix::io::Errno;
use rustix::process::Signal;
use serde::Serialize;
use worker_protocol::layer;

use super::Exit;
use super::args::SandboxArgs;
use crate::config::SandboxMode;
use crate::workers::{Engine, Options, ProbeKind, ProbeOutcome, SandboxReport, Workers};

/// What a run must not be able to do, and how that is told.
const PROBES: [(ProbeKind, &str); 11] = [
    (ProbeKind::OpenFile, "open a file"),
    (ProbeKind::CreateFile, "create a file"),
    (ProbeKind::Connect, "connect to a port"),
    (ProbeKind::Fork, "fork"),
    (ProbeKind::Exec, "start a program"),
    (ProbeKind::Ptrace, "trace the node"),
    (ProbeKind::ReadNodeProc, "read the node's environment"),
    (ProbeKind::SignalNode, "signal the node"),
    (ProbeKind::MapShared, "map shared memory"),
    (ProbeKind::MemfdCreate, "make an anonymous file"),
    (ProbeKind::RaiseLimit, "raise a resource limit"),
];

/// One attempt. The system call filter answers first to everything, so what stands behind it shows
/// only where it is left out.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Attempt {
    what: &'static str,
    /// What stopped it; nothing did when this is missing.
    stopped_by: Option<String>,
    /// The same with all layers but the system call filter.
    without_seccomp: Option<String>,
}

/// The layers and the attempts.
#[derive(Serialize)]
struct Report {
    mode: &'static str,
    v8_version: String,
    layers: Vec<Layer>,
    attempts: Vec<Attempt>,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    active: bool,
    detail: String,
}

/// Tries each thing that the sandbox must stop, from inside of a run, and tells what stopped it.
pub async fn sandbox(args: SandboxArgs) -> anyhow::Result<Exit> {
    let (found, with_all) = probe_all(args.sandbox, layer::ALL).await?;
    // `require` is about all layers, and here one is left out on purpose.
    let behind = match args.sandbox {
        SandboxMode::Off => SandboxMode::Off,
        SandboxMode::Require | SandboxMode::Auto => SandboxMode::Auto,
    };
    let (_, without_seccomp) = probe_all(behind, layer::ALL & !layer::SECCOMP).await?;
    let attempts: Vec<Attempt> = PROBES
        .into_iter()
        .zip(with_all.into_iter().zip(without_seccomp))
        .map(|((_, what), (stopped_by, without_seccomp))| Attempt {
            what,
            stopped_by,
            without_seccomp,
        })
        .collect();
    let layers = found.layers.into_iter();
    let report = Report {
        mode: found.mode.as_str(),
        v8_version: found.v8_version,
        layers: layers
            .map(|layer| Layer {
                name: layer.name,
                active: layer.active,
                detail: layer.detail,
            })
            .collect(),
        attempts,
    };
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, &mut out)?;
    }
    let all_stopped = report
        .attempts
        .iter()
        .all(|attempt| attempt.stopped_by.is_some());
    Ok(if all_stopped {
        Exit::Completed
    } else {
        Exit::Failed
    })
}

/// What stopped each of [`PROBES`], in processes with these layers.
async fn probe_all(
    sandbox: SandboxMode,
    layers: u32,
) -> anyhow::Result<(SandboxReport, Vec<Option<String>>)> {
    let mut options = Options::new(1, sandbox);
    options.layers = layers;
    let engine = Engine::embedded().context("can't load the engine")?;
    let workers = Workers::start(engine, options)
        .await
        .context("can't start V8")?;
    let mut stopped = Vec::new();
    for (kind, _) in PROBES {
        stopped.push(stopped_by(kind, workers.probe(kind).await?));
    }
    let report = workers.sandbox_report().clone();
    workers.shutdown().await;
    Ok((report, stopped))
}

/// What the kernel's answer gives away; `None` when nothing stood in the way.
fn stopped_by(kind: ProbeKind, outcome: ProbeOutcome) -> Option<String> {
    match outcome {
        ProbeOutcome::Killed(signal) if signal == Signal::SYS.as_raw() => {
            Some("killed by seccomp".into())
        }
        ProbeOutcome::Killed(signal) => Some(format!("killed by signal {signal}")),
        // A program that could be started takes the place of the run, and ends.
        ProbeOutcome::Ended if kind == ProbeKind::Exec => None,
        ProbeOutcome::Ended => Some("the process ended".into()),
        ProbeOutcome::Answered(0..) => None,
        ProbeOutcome::Answered(result) => {
            let errno = i32::try_from(-result).unwrap_or(i32::MAX);
            Some(match Errno::from_raw_os_error(errno) {
                Errno::ACCESS => "refused (EACCES)".into(),
                Errno::PERM => "refused (EPERM)".into(),
                // No descriptor may be opened beyond those of the start.
                Errno::MFILE => "no descriptor left (EMFILE)".into(),
                _ => io::Error::from_raw_os_error(errno).to_string(),
            })
        }
    }
}

fn print(report: &Report, out: &mut impl io::Write) -> io::Result<()> {
    writeln!(out, "V8 {}, --sandbox={}", report.v8_version, report.mode)?;
    writeln!(out, "\nLayers")?;
    for Layer {
        name,
        active,
        detail,
    } in &report.layers
    {
        let state = if *active { "active" } else { "MISSING" };
        writeln!(out, "  {name:<14} {state:<8} {detail}")?;
    }
    writeln!(
        out,
        "\n{:<28} {:<28} were there no seccomp",
        "Attempts from inside of a run", "stopped"
    )?;
    for attempt in &report.attempts {
        let stopped = attempt.stopped_by.as_deref().unwrap_or("NOT STOPPED");
        let behind = attempt.without_seccomp.as_deref().unwrap_or("not stopped");
        writeln!(out, "  {:<28} {stopped:<27} {behind}", attempt.what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_success_is_not_stopped() {
        let open = ProbeKind::OpenFile;
        assert_eq!(stopped_by(open, ProbeOutcome::Answered(7)), None);
        assert_eq!(stopped_by(ProbeKind::Exec, ProbeOutcome::Ended), None);
        let killed = stopped_by(open, ProbeOutcome::Killed(31));
        assert_eq!(killed.as_deref(), Some("killed by seccomp"));
        let refused = stopped_by(open, ProbeOutcome::Answered(-13));
        assert_eq!(refused.as_deref(), Some("refused (EACCES)"));
    }
}
