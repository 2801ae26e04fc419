//! Which of the databases in `state/` is in force.
//!
//! Each has a directory with a number for its name. `CURRENT` has the number of the one in force; it is
//! replaced by renaming, so that it names a whole database at any time. The others are left over.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::base::Base;
use super::{OpenError, StoreError};

const CURRENT: &str = "CURRENT";
const CURRENT_NEW: &str = "CURRENT.new";
const UNFINISHED: &str = "unfinished";

/// `state/` of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens it, makes it where there is none, and removes what was left over. Answers the number in force.
    pub fn open(path: &Path) -> Result<(Self, u64), OpenError> {
        let directory = Self {
            path: path.to_owned(),
        };
        let number = directory.prepare()?;
        Ok((directory, number))
    }

    fn prepare(&self) -> Result<u64, OpenError> {
        if !self.path.try_exists().map_err(StoreError::from)? {
            fs::create_dir_all(&self.path).map_err(StoreError::from)?;
            if let Some(parent) = self.path.parent() {
                sync_directory(parent).map_err(StoreError::from)?;
            }
        }
        let current = match fs::read_to_string(self.path.join(CURRENT)) {
            Ok(text) => {
                let number = text.trim().parse::<u64>().ok();
                let number = number.filter(|number| self.database(*number).is_dir());
                let path = self.path.clone();
                number.ok_or(OpenError::CurrentMalformed { path })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_first()?;
                1
            }
            Err(error) => return Err(StoreError::from(error).into()),
        };
        self.clean(current).map_err(StoreError::from)?;
        Ok(current)
    }

    /// Makes the first database under another name, so that one with a number is whole.
    fn make_first(&self) -> Result<(), OpenError> {
        let first = self.database(1);
        for number in self.numbers().map_err(StoreError::from)? {
            // A first start that lost its power between the two names below.
            if number != 1 || !Base::open(&first)?.1.is_unused() {
                let path = self.path.clone();
                return Err(OpenError::CurrentMissing { path });
            }
            fs::remove_dir_all(&first).map_err(StoreError::from)?;
        }
        let unfinished = self.path.join(UNFINISHED);
        if unfinished.try_exists().map_err(StoreError::from)? {
            fs::remove_dir_all(&unfinished).map_err(StoreError::from)?;
        }
        Base::make(&unfinished)?;
        fs::rename(&unfinished, &first).map_err(StoreError::from)?;
        Ok(self.switch(1).map_err(StoreError::from)?)
    }

    fn clean(&self, current: u64) -> io::Result<()> {
        for number in self.numbers()? {
            if number != current {
                fs::remove_dir_all(self.database(number))?;
            }
        }
        match fs::remove_file(self.path.join(CURRENT_NEW)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        sync_directory(&self.path)
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        Ok(numbers)
    }

    /// Where a database is.
    pub fn database(&self, number: u64) -> PathBuf {
        self.path.join(number.to_string())
    }

    /// An empty directory for a database that is not in force.
    pub fn create_next(&self) -> io::Result<u64> {
        let last = self.numbers()?.into_iter().max().unwrap_or(0);
        let next = last + 1;
        fs::create_dir(self.database(next))?;
        Ok(next)
    }

    /// Puts a database in force.
    pub fn switch(&self, number: u64) -> io::Result<()> {
        sync_directory(&self.path)?;
        let new = self.path.join(CURRENT_NEW);
        let mut file = File::create(&new)?;
        writeln!(file, "{number}")?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(CURRENT))?;
        sync_directory(&self.path)
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
