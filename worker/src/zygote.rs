//! A zygote's life, and that of the children forked from it.

use worker_protocol::{
    ChildReady, Fatal, FatalKind, Language, Probe, ProbeDone, ProbeKind, Run, ToWorker,
    ZygoteFailed, ZygoteReady, fd, from_worker, to_worker,
};

use crate::address_space::libc_state;
use crate::channel::ReadError;
use crate::isolate::Isolate;
use crate::{arch, channel, sandbox};

/// Runs on V8's thread; the process ends here.
pub fn main() -> ! {
    let start = match channel::receive_order() {
        Ok(ToWorker {
            frame: Some(to_worker::Frame::Start(start)),
        }) => start,
        Ok(_) => refuse("the first frame is no Start".to_owned()),
        Err(_) => channel::exit(0),
    };
    let missing = arch::missing_features();
    if !missing.is_empty() {
        refuse(format!(
            "this CPU lacks {} of {}",
            missing.join(", "),
            arch::BASELINE
        ));
    }
    Isolate::enter(|isolate| {
        libc_state::empty_environment();
        let report = match sandbox::enter_zygote(&start) {
            Ok(report) => report,
            Err(error) => refuse(error.to_string()),
        };
        let layers = report.layers_active();
        channel::send(from_worker::Frame::ZygoteReady(ZygoteReady {
            protocol_version: worker_protocol::PROTOCOL_VERSION,
            v8_version: v8::V8::get_version().to_owned(),
            layers: report.0,
        }));
        // SAFETY: this is V8's thread, no lock of libc is held, and the flags share nothing.
        unsafe { arch::park(fd::ORDERS, (libc::CLONE_PARENT | libc::SIGCHLD) as usize) };
        child(layers, isolate)
    })
}

fn refuse(reason: String) -> ! {
    channel::send(from_worker::Frame::ZygoteFailed(ZygoteFailed { reason }));
    channel::exit(1)
}

/// One forked child: it takes its channel, locks itself in, waits for one frame and ends with it.
fn child(layers: u32, isolate: &mut Isolate<'_, '_, '_>) -> ! {
    if channel::adopt().is_err() || sandbox::enter_run(layers).is_err() {
        channel::exit(1);
    }
    channel::send(from_worker::Frame::ChildReady(ChildReady {}));
    isolate.written_pages.fetch();
    match channel::read_frame() {
        Ok(ToWorker {
            frame: Some(to_worker::Frame::Run(run)),
        }) => {
            check_parent(run.node_pid);
            let language = run.language();
            execute(isolate, run, language);
        }
        Ok(ToWorker {
            frame: Some(to_worker::Frame::Probe(probe)),
        }) => self::probe(&probe),
        Ok(_) => fail("the frame is none that a run can take".to_owned()),
        Err(ReadError::Malformed(error)) => fail(error.to_string()),
        Err(ReadError::Closed) => {}
    }
    channel::exit(0)
}

fn fail(message: String) -> ! {
    channel::send(from_worker::Frame::Fatal(Fatal {
        kind: FatalKind::Internal as i32,
        message,
    }));
    channel::exit(1)
}

fn execute(isolate: &mut Isolate<'_, '_, '_>, run: Run, language: Language) {
    let done = isolate.run(run, language);
    channel::send(from_worker::Frame::Done(done));
}

fn probe(probe: &Probe) {
    if let Ok(kind) = ProbeKind::try_from(probe.kind) {
        let result = sandbox::probe(kind, probe.node_pid);
        channel::send(from_worker::Frame::ProbeDone(ProbeDone { result }));
    }
}

/// The signal for a dead parent is armed only after the fork: a node that died in between is found
/// here.
fn check_parent(node_pid: u32) {
    // SAFETY: asks for a number.
    let parent = unsafe { arch::syscall(libc::SYS_getppid, [0; 6]) };
    if parent != node_pid as isize {
        channel::exit(0);
    }
}
