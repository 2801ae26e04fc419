//! The sandbox of a worker: what is left of the system once untrusted code may run.
//!
//! [`enter_zygote`] is called once, on the V8 thread of a warm zygote, before any untrusted code or
//! image byte. Everything that it sets is inherited by the forks; [`enter_fork`] adds in each fork
//! what a fork loses (the parent-death signal), and [`enter_run`] takes what only a run may lose
//! (`clone`).
//!
//! What the rest of the worker may rely on:
//!
//! 1. A layer that is reported active is in force for the V8 thread and for every later fork of it.
//!    The only other thread, which waits for the V8 thread to end, shares the seccomp filter
//!    (`TSYNC`), the limits and the descriptors, but not Landlock and the dropped capabilities;
//!    a fork has no such thread, nor has a process that enters an image, so untrusted code runs in
//!    these only.
//! 2. Nothing here can be taken back from inside: limits are hard limits, `no_new_privs`, Landlock
//!    and filters have no way out, and the filter lets the parent-death signal be armed, never
//!    cleared.
//! 3. The default of the filter is to kill. An error number is given only where a C library or V8
//!    asks out of habit and goes on without; see the table in `seccomp/x86_64.rs`.
//! 4. All state lives in the kernel. No static of this module changes, so a process image says
//!    nothing about the sandbox, and an image that is entered cannot loosen it.
//! 5. Descriptors 0, 1 and 2 are `/dev/null`, 3 to 6 as in [`worker_protocol::fd`], no other is
//!    open; at most [`rlimits::DESCRIPTORS_MAX`] can be.
//! 6. The process stays dumpable and of the node's user, because the node reads its pages.
//! 7. No thread is made, no variable of the environment is read, and one helper process is forked
//!    and reaped before [`enter_zygote`] returns (see [`clone_ban`]). The warm-up before it forked
//!    and reaped one too (`written_pages`).
//! 8. No layer needs a privilege, a user namespace or a writable file system.

mod clean_start;
mod clone_ban;
mod error;
mod landlock;
mod probe;
mod process;
mod rlimits;
mod seccomp;
mod sys;

pub use error::{Cause, Error};
pub use probe::probe;
pub use sys::Errno;

use worker_protocol::{LayerReport, Start, layer};

/// A layer's bit, its name, and how it is put in place.
struct Layer {
    bit: u32,
    name: &'static str,
    enter: fn() -> Result<String, Cause>,
}

/// The layers in the order in which they are put in place: each may still need what the later ones
/// forbid.
const LAYERS: [Layer; 7] = [
    Layer {
        bit: layer::CLEAN_START,
        name: "clean_start",
        enter: clean_start::enter,
    },
    Layer {
        bit: layer::RLIMITS,
        name: "rlimits",
        enter: rlimits::enter,
    },
    Layer {
        bit: layer::OOM_SCORE,
        name: "oom_score",
        enter: process::raise_oom_score,
    },
    Layer {
        bit: layer::PARENT_DEATH,
        name: "parent_death",
        enter: process::die_with_parent,
    },
    Layer {
        bit: layer::NO_NEW_PRIVS,
        name: "no_new_privs",
        enter: process::no_new_privs,
    },
    Layer {
        bit: layer::LANDLOCK,
        name: "landlock",
        enter: landlock::enter,
    },
    Layer {
        bit: layer::SECCOMP,
        name: "seccomp",
        enter: seccomp::enter,
    },
];

/// What became of each layer.
#[derive(Clone, Debug)]
pub struct Report(pub Vec<LayerReport>);

impl Report {
    /// The bits of the layers in force: what [`enter_run`] takes.
    pub fn layers_active(&self) -> u32 {
        let active = |layer: &&Layer| self.0.iter().any(|it| it.active && it.name == layer.name);
        LAYERS
            .iter()
            .filter(active)
            .fold(0, |bits, layer| bits | layer.bit)
    }

    fn push(&mut self, name: &str, outcome: Result<String, Cause>) {
        let active = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|cause| cause.to_string());
        self.0.push(LayerReport {
            name: name.to_owned(),
            active,
            detail,
        });
    }
}

/// Puts the layers of `start` in place: once in the zygote, on the V8 thread, after V8 is warm.
///
/// With `layers_required` the first layer that is not to be had is an error; else it is reported
/// inactive with the reason. The report has two entries more, neither ever required: `thp_off`
/// and, with `no_new_privs`, `capabilities`. Without any layer nothing is done.
pub fn enter_zygote(start: &Start) -> Result<Report, Error> {
    let mut report = Report(Vec::with_capacity(LAYERS.len() + 2));
    let unknown = start.layers & !layer::ALL;
    if unknown != 0 {
        // A newer node asks for what this build never heard of.
        if start.layers_required {
            return Err(Error::UnknownLayers { bits: unknown });
        }
        report.push("unknown", Err(Cause::Unknown { bits: unknown }));
    }
    if start.layers & layer::ALL == 0 {
        return Ok(report);
    }
    report.push("thp_off", process::huge_pages_off());
    for layer in LAYERS.iter().filter(|it| start.layers & it.bit != 0) {
        if layer.bit == layer::NO_NEW_PRIVS {
            report.push("capabilities", process::drop_capabilities());
        }
        match (layer.enter)() {
            Err(cause) if start.layers_required => {
                return Err(Error::Layer {
                    layer: layer.name,
                    cause,
                });
            }
            outcome => report.push(layer.name, outcome),
        }
        if layer.bit == layer::PARENT_DEATH {
            // Between its fork and the arming of the signal the node may have ended unnoticed.
            process::check_parent(start.node_pid)?;
        }
    }
    Ok(report)
}

/// Completes the sandbox in any fork, before its frame is read.
///
/// `layers` is [`Report::layers_active`]. The parent-death signal is armed again, because a fork
/// clears it; the caller must compare `getppid` with the node's process id *after* this call, since
/// a node that ended before it sends no signal. On an error the caller must end the process.
pub fn enter_fork(layers: u32) -> Result<(), Errno> {
    if layers & layer::PARENT_DEATH != 0 {
        process::arm_parent_death()?;
    }
    Ok(())
}

/// In a fork that runs one piece of untrusted code and ends: with seccomp, no process can be made from
/// here on. The processes of a line must fork, so they keep the one `clone` of the filter. On an error
/// the caller must end the process.
pub fn enter_run(layers: u32) -> Result<(), Errno> {
    if layers & layer::SECCOMP != 0 {
        clone_ban::enter()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
