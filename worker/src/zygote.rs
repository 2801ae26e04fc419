//! How the first process of all comes to wait for orders: by starting V8, or by entering an image.

use worker_protocol::{Start, ToWorker, ZygoteFailed, ZygoteReady, from_worker, to_worker};

use crate::address_space::{libc_state, program_pages};
use crate::isolate::{self, Isolate};
use crate::{arch, channel, line, sandbox};

/// The node's first word.
pub fn receive_start() -> Start {
    match channel::read_frame() {
        Ok(ToWorker {
            frame: Some(to_worker::Frame::Start(start)),
        }) => start,
        Ok(_) => refuse("the first frame is no Start".to_owned()),
        Err(_) => channel::exit(0),
    }
}

/// Starts V8 and waits. Runs on V8's thread.
pub fn start_v8(start: &Start) -> ! {
    check_cpu();
    let flags = isolate::flags(&start.more_v8_flags);
    Isolate::enter(&flags, |isolate| {
        if let Err(other) = arch::check_choices() {
            refuse(other);
        }
        libc_state::empty_environment();
        libc_state::forget_brk();
        lock_in(start, &flags, isolate.constants_used.clone());
        line::live(isolate)
    })
}

/// Enters an image. Runs on the thread that the program was started with: there is no other, before
/// and after.
pub fn enter(start: &Start) -> ! {
    check_cpu();
    libc_state::forget_thread();
    libc_state::empty_environment();
    program_pages::share_with_forks(&start.constants_used);
    lock_in(start, "", Vec::new());
    line::enter()
}

fn check_cpu() {
    let missing = arch::missing_features();
    if !missing.is_empty() {
        refuse(format!(
            "this CPU lacks {} of {}",
            missing.join(", "),
            arch::BASELINE
        ));
    }
}

fn lock_in(start: &Start, v8_flags: &str, constants_used: Vec<u64>) {
    let report = match sandbox::enter_zygote(start) {
        Ok(report) => report,
        Err(error) => refuse(error.to_string()),
    };
    channel::send(from_worker::Frame::ZygoteReady(ZygoteReady {
        protocol_version: worker_protocol::PROTOCOL_VERSION,
        v8_version: v8::V8::get_version().to_owned(),
        layers_active: report.layers_active(),
        layers: report.0,
        constants_used,
        v8_flags: v8_flags.to_owned(),
        cpu_baseline: arch::BASELINE.to_owned(),
    }));
}

fn refuse(reason: String) -> ! {
    channel::send(from_worker::Frame::ZygoteFailed(ZygoteFailed { reason }));
    channel::exit(1)
}
