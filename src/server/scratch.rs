//! Where a node without `--directory-path` keeps things while it runs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

const PREFIX: &str = "mcp-v8-";

/// A directory that goes with this value. One that a killed process left behind goes when the next node
/// starts: the kernel has let go of its lock.
pub(super) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one in the system's directory for temporary files or, where nobody may write there, in that
    /// for shared memory, which every container has.
    pub fn create() -> anyhow::Result<Self> {
        let parents = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
        let mut refused = None;
        for parent in parents {
            sweep(&parent);
            match Self::create_in(&parent) {
                Ok(scratch) => return Ok(scratch),
                Err(error) => refused = Some((parent, error)),
            }
        }
        let (parent, error) = refused.expect("two parents were tried");
        Err(error).with_context(|| {
            format!(
                "can't write to {}: --directory-path names a directory",
                parent.display()
            )
        })
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("{PREFIX}{:016x}", random()?));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::open(&path)?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "a directory stays behind");
        }
    }
}

fn random() -> io::Result<u64> {
    getrandom::u64().map_err(|error| io::Error::other(error.to_string()))
}

/// Removes what ended processes left behind. Whatever can't be removed is somebody else's.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .is_some_and(|rest| {
                rest.len() == 16 && rest.bytes().all(|digit| digit.is_ascii_hexdigit())
            });
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let left_over =
            File::open(entry.path()).is_ok_and(|directory| directory.try_lock().is_ok());
        if left_over {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_behind_is_removed_and_what_is_in_use_stays() {
        let parent = tempfile::tempdir().unwrap();
        let in_use = Scratch::create_in(parent.path()).unwrap();
        let left_over = parent.path().join("mcp-v8-0123456789abcdef");
        let foreign = parent.path().join("mcp-v8-of-somebody-else");
        for directory in [&left_over, &foreign] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(left_over.join("file"), "1").unwrap();
        sweep(parent.path());
        assert!(!left_over.exists() && foreign.exists() && in_use.path().exists());
        let path = in_use.path().to_owned();
        drop(in_use);
        assert!(!path.exists());
    }
}
