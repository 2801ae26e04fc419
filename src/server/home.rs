//! Where a node keeps things when nobody has said where.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::scratch::Scratch;
use crate::config::Config;

/// In the system's directory for temporary files.
const DEFAULT: &str = "mcp-v8-heaps";

/// The directory of a node.
pub(super) enum Home {
    /// An operator named it, or it is the one of this user and machine.
    Kept(PathBuf),
    /// It goes with the node.
    Scratch(Scratch),
}

impl Home {
    /// The directory that the configuration asks for. Without one: a node with sessions uses the one of this
    /// user, so that they are there at the next start; and where another node has that, or it can't be used,
    /// one that goes with the node.
    pub fn choose(config: &Config) -> anyhow::Result<Self> {
        if let Some(directory) = &config.cluster.directory {
            return Ok(Self::Kept(directory.clone()));
        }
        if config.sessions.off {
            return Ok(Self::Scratch(Scratch::create()?));
        }
        let path = std::env::temp_dir().join(DEFAULT);
        match usable(&path) {
            Ok(()) => Ok(Self::Kept(path)),
            Err(error) => {
                let scratch = Scratch::create()?;
                tracing::warn!(
                    path = %path.display(),
                    %error,
                    "sessions of this node end with it: --directory-path names a directory of its own"
                );
                Ok(Self::Scratch(scratch))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Scratch(scratch) => scratch.path(),
        }
    }

    /// Whether it is there at the next start.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

/// Whether the directory is this user's alone, and no other node has it.
fn usable(path: &Path) -> anyhow::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let metadata = fs::symlink_metadata(path)?;
    let own = metadata.is_dir() && metadata.uid() == rustix::process::getuid().as_raw();
    anyhow::ensure!(own, "it is somebody else's");
    let lock = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("LOCK"))?;
    // Let go of again at once: the node takes it for itself. Two that start in the same moment are told.
    lock.try_lock().context("another node uses it")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_in_use_or_no_directory_is_not_taken() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("heaps");
        usable(&path).expect("made");
        usable(&path).expect("free again");
        let held = fs::File::open(path.join("LOCK")).unwrap();
        held.lock().unwrap();
        assert!(
            usable(&path)
                .unwrap_err()
                .to_string()
                .contains("another node")
        );
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(usable(&file).is_err());
    }
}
