//! The life of a line of processes: each waits, and each that is forked takes one frame and either ends
//! or waits in its turn.

use worker_protocol::{
    ChildReady, Done, Fatal, FatalKind, FromWorker, Handoff, Probe, ProbeDone, ProbeKind, Resting,
    Role, Run, ToWorker, encode, from_worker, to_worker,
};

use crate::address_space::{clock, entry, heap, stack};
use crate::channel::ReadError;
use crate::isolate::Isolate;
use crate::{arch, channel, sandbox};

/// Waits for orders, in this process and in those forked from it.
pub fn live(isolate: &mut Isolate<'_, '_, '_>) -> ! {
    let mut reply = Vec::new();
    loop {
        clock::pause();
        stack::drop_unused();
        entry::rest(&reply);
        // From here on this is a child.
        wipe(std::mem::take(&mut reply));
        let handoff = begin();
        if handoff.role == Role::Enter {
            entry::become_image();
        }
        if handoff.role == Role::Line {
            heap::wipe_what_is_freed();
        }
        isolate.written_pages.fetch();
        reply = encode(&FromWorker {
            frame: Some(answer(isolate, handoff.role)),
        });
        if handoff.role == Role::Run {
            channel::send_bytes(&reply);
            channel::exit(0);
        }
    }
}

/// The life of a process that has nothing yet but a program: it becomes an image.
pub fn enter() -> ! {
    if begin().role != Role::Enter {
        channel::exit(1);
    }
    entry::become_image()
}

/// Takes the descriptors, locks the process in, and says that it is ready.
fn begin() -> Handoff {
    let Ok(handoff) = channel::adopt() else {
        channel::exit(1);
    };
    let mut locked = sandbox::enter_fork(handoff.layers);
    if handoff.role == Role::Run {
        locked = locked.and_then(|()| sandbox::enter_run(handoff.layers));
    }
    if locked.is_err() {
        channel::exit(1);
    }
    check_parent(handoff.node_pid);
    channel::send(from_worker::Frame::ChildReady(ChildReady {}));
    handoff
}

/// Takes one frame and does what it says.
fn answer(isolate: &mut Isolate<'_, '_, '_>, role: Role) -> from_worker::Frame {
    match channel::read_frame() {
        Ok(ToWorker {
            frame: Some(to_worker::Frame::Run(run)),
        }) => from_worker::Frame::Done(execute(isolate, run)),
        Ok(ToWorker {
            frame: Some(to_worker::Frame::Rest(_)),
        }) if role == Role::Line => from_worker::Frame::Resting(Resting {}),
        Ok(ToWorker {
            frame: Some(to_worker::Frame::Probe(probe)),
        }) => from_worker::Frame::ProbeDone(self::probe(&probe)),
        Ok(_) => fail("the frame is none that this process can take".to_owned()),
        Err(ReadError::Malformed(error)) => fail(error.to_string()),
        Err(ReadError::Closed) => channel::exit(0),
    }
}

fn fail(message: String) -> ! {
    channel::send(from_worker::Frame::Fatal(Fatal {
        kind: FatalKind::Internal as i32,
        message,
    }));
    channel::exit(1)
}

fn execute(isolate: &mut Isolate<'_, '_, '_>, mut run: Run) -> Done {
    let done = isolate.run(&run, run.language());
    wipe(std::mem::take(&mut run.code).into_bytes());
    wipe(run.input_json.take().unwrap_or_default().into_bytes());
    done
}

fn probe(probe: &Probe) -> ProbeDone {
    let result = match ProbeKind::try_from(probe.kind) {
        Ok(kind) => sandbox::probe(kind, probe.node_pid),
        Err(_) => -i64::from(libc::ENOSYS),
    };
    ProbeDone { result }
}

/// Frees bytes and leaves nothing of them: what is free is part of an image too.
fn wipe(mut bytes: Vec<u8>) {
    for byte in bytes.spare_capacity_mut() {
        byte.write(0);
    }
    bytes.fill(0);
    std::hint::black_box(&bytes);
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
