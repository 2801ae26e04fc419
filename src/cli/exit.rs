use std::process::ExitCode;

/// How the program ends; `exec --help` tells the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well; for `exec`: the execution completed.
    Completed,
    /// The script failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// The command could not be carried out.
    CouldNotRun,
    /// The execution was killed at its deadline.
    TimedOut,
    /// The execution was cancelled.
    Cancelled,
    /// The execution was killed over a memory bound.
    OutOfMemory,
    /// The execution's worker died.
    Crashed,
}

impl Exit {
    /// The exit of `exec` for an execution's status, by its name; `None` while it is not final.
    pub fn of_status(status: &str) -> Option<Self> {
        Some(match status {
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "timed_out" => Self::TimedOut,
            "cancelled" => Self::Cancelled,
            "out_of_memory" => Self::OutOfMemory,
            "crashed" => Self::Crashed,
            _ => return None,
        })
    }

    /// The code that the shell sees. The last four are those of `timeout`, an interrupt, a kill and a
    /// segmentation fault.
    pub fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::CouldNotRun => 3,
            Self::TimedOut => 124,
            Self::Cancelled => 130,
            Self::OutOfMemory => 137,
            Self::Crashed => 139,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
