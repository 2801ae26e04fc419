//! Why the sandbox could not be entered.

use super::Errno;

/// The zygote must not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A required layer is not to be had.
    #[error("sandbox layer {layer} is required and not to be had: {cause}. {}", advice(.layer))]
    Layer {
        /// The layer's name.
        layer: &'static str,
        /// What stood in the way.
        cause: Cause,
    },
    /// Required layers that this worker does not know.
    #[error(
        "sandbox layers {bits:#x} are required and unknown to this worker. \
         Use a worker as new as the node"
    )]
    UnknownLayers {
        /// Their bits.
        bits: u32,
    },
    /// The parent is not the node: the node has ended, or the worker was started by another process.
    #[error("the parent is process {parent_pid}, not the node {node_pid}: the node has ended")]
    Orphan {
        /// The node, as the start frame names it.
        node_pid: u32,
        /// The parent that the kernel names.
        parent_pid: u32,
    },
}

/// Why a layer is not in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The kernel refused.
    #[error("{call}: {errno}")]
    System {
        /// The system call, and what it was about.
        call: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The kernel took a value and kept another one.
    #[error("{what} is still {found}")]
    NotTaken {
        /// What was set.
        what: &'static str,
        /// What it is.
        found: i64,
    },
    /// A thread could not take over the filter.
    #[error("thread {tid} can't take the filter")]
    Thread {
        /// The thread.
        tid: usize,
    },
    /// The process was started with variables, or still has some.
    #[error("the environment has {variables} variables")]
    Environment {
        /// How many.
        variables: usize,
    },
    /// Landlock answers with a version that no kernel has.
    #[error("landlock version {version} is none")]
    LandlockVersion {
        /// The answer.
        version: usize,
    },
    /// The layer is not known to this build.
    #[error("layers {bits:#x} are unknown to this worker")]
    Unknown {
        /// Their bits.
        bits: u32,
    },
}

/// What an operator can do about a layer that is not to be had.
fn advice(layer: &str) -> &'static str {
    match layer {
        "landlock" => {
            "Use a kernel of 5.13 or later with landlock in its `lsm=` list and a container \
             profile that allows it, or start with --sandbox=auto"
        }
        "seccomp" => {
            "Use a kernel with CONFIG_SECCOMP_FILTER and a container profile that allows \
             seccomp(2), or start with --sandbox=auto"
        }
        "clean_start" => {
            "Let the node start the worker, with an empty environment, where /dev/null is there"
        }
        "oom_score" => "Mount /proc so that /proc/self is writable, or start with --sandbox=auto",
        _ => "Start with --sandbox=auto to go on without it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_layer_the_reason_and_what_to_do() {
        let cause = Cause::System {
            call: "landlock_create_ruleset",
            errno: Errno(libc::ENOSYS),
        };
        let text = Error::Layer {
            layer: "landlock",
            cause,
        }
        .to_string();
        assert!(text.contains("layer landlock is required"), "{text}");
        assert!(
            text.contains("landlock_create_ruleset: Function not implemented"),
            "{text}"
        );
        assert!(text.contains("--sandbox=auto"), "{text}");
    }
}
