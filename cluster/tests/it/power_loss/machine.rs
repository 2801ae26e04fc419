//! A machine that loses its power: a directory that is its disk, and processes that run on it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use super::journal::Journal;
use super::undo::{Loss, Undone, undo};

/// Tells the test binary that it is a victim, and which one.
pub const VICTIM: &str = "POWER_LOSS_VICTIM";
/// Longer than any victim lives.
const LIFE_MAX: Duration = Duration::from_secs(120);
const SIGKILL: i32 = 9;

/// One life of a process.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Which victim.
    pub victim: &'static str,
    /// What it is to do, for the victim to read.
    pub seed: u64,
    /// At which change the power goes; 0 is never.
    pub crash_at: u64,
    /// `fdatasync` counts for nothing, as though the program didn't call it.
    pub ignore_fdatasync: bool,
    /// The longest that a sync takes, and twice the shortest; none is 200.
    pub sync_us_max: Option<u64>,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The power went.
    Crashed,
    /// Before that, the victim was through with its work.
    Finished,
}

/// Its files are gone when it is dropped.
pub struct Machine {
    root: tempfile::TempDir,
    lives: u32,
}

impl Machine {
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("there is a directory for temporary files");
        for name in ["disk", "desk"] {
            fs::create_dir(root.path().join(name)).expect("the directory is new");
        }
        Self { root, lives: 0 }
    }

    /// What is lost with the power unless it is synced.
    pub fn disk(&self) -> PathBuf {
        self.root.path().join("disk")
    }

    /// Beside the machine: what is written down here is never lost.
    pub fn desk(&self) -> PathBuf {
        self.root.path().join("desk")
    }

    /// Runs a victim to its end. Nothing is undone yet.
    pub fn run(&mut self, life: &Life) -> (End, Journal) {
        self.lives += 1;
        let journal = self.journal();
        fs::create_dir_all(journal.join("graveyard")).expect("the directory is new");
        let mut command = Command::new(std::env::current_exe().expect("/proc is there"));
        command
            .args(["power_loss::victim", "--exact", "--nocapture"])
            .env("LD_PRELOAD", library())
            .env("POWER_LOSS_DIRECTORY", self.disk())
            .env("POWER_LOSS_JOURNAL", &journal)
            .env("POWER_LOSS_CRASH_AT", life.crash_at.to_string())
            .env("POWER_LOSS_DRAWS", life.seed.to_string())
            .env(VICTIM, life.victim)
            .env("POWER_LOSS_VICTIM_SEED", life.seed.to_string())
            .env("POWER_LOSS_DESK", self.desk())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(us) = life.sync_us_max {
            command.env("POWER_LOSS_SYNC_US_MAX", us.to_string());
        }
        if life.ignore_fdatasync {
            command.env("POWER_LOSS_IGNORE_FDATASYNC", "1");
        }
        let child = command
            .spawn()
            .expect("this program can be started once more");
        let pid = child.id();
        let (sender, receiver) = mpsc::sync_channel(1);
        let waiter = thread::spawn(move || sender.send(child.wait_with_output()));
        let output = receiver
            .recv_timeout(LIFE_MAX)
            .unwrap_or_else(|_| panic!("process {pid} hangs: {life:?}"))
            .expect("the victim is our child");
        waiter
            .join()
            .expect("it only waits")
            .expect("somebody listens");
        let journal = Journal::read(&journal.join("journal"));
        let end = if journal.crashed() && output.status.signal() == Some(SIGKILL) {
            End::Crashed
        } else if output.status.success() {
            End::Finished
        } else {
            panic!(
                "the victim failed, {}: {life:?}\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
        };
        (end, journal)
    }

    /// The power is gone: what the last life didn't sync is lost.
    pub fn lose(&mut self, journal: &Journal, loss: Loss) -> Undone {
        let files = self.journal();
        let undone = undo(&self.disk(), &files.join("graveyard"), journal, loss);
        fs::remove_dir_all(&files).expect("nobody reads the journal any more");
        undone
    }

    fn journal(&self) -> PathBuf {
        self.root.path().join(format!("journal-{}", self.lives))
    }
}

/// What a victim knows of its machine.
pub struct Inside {
    pub disk: PathBuf,
    pub desk: PathBuf,
    /// What it is to do.
    pub seed: u64,
}

impl Inside {
    /// The victim to be, when this process is one.
    pub fn look() -> Option<(String, Self)> {
        let victim = std::env::var(VICTIM).ok()?;
        let variable = |name| std::env::var(name).expect("the machine sets it");
        let inside = Self {
            disk: variable("POWER_LOSS_DIRECTORY").into(),
            desk: variable("POWER_LOSS_DESK").into(),
            seed: variable("POWER_LOSS_VICTIM_SEED")
                .parse()
                .expect("it is a number"),
        };
        Some((victim, inside))
    }

    /// The library's journal of this life.
    pub fn journal(&self) -> PathBuf {
        Path::new(&std::env::var("POWER_LOSS_JOURNAL").expect("the machine sets it"))
            .join("journal")
    }
}

/// The library, compiled once for the whole run.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("power_loss.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power_loss/power_loss.c");
        // Another run may be using the one that is there.
        let new = library.with_extension(std::process::id().to_string());
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let output = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O2", "-pthread"])
            .args(["-Wall", "-Wextra", "-Werror", "-o"])
            .args([&new, Path::new(source)])
            .output()
            .unwrap_or_else(|error| panic!("{compiler} can't be run: {error}"));
        assert!(
            output.status.success(),
            "the library does not compile:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::rename(&new, &library).expect("both are in one directory");
        library
    })
}
