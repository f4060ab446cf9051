//! A lock that one process at a time holds, and that ends with it.
use super::WorkspaceError;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// Held until it is dropped, or its process is gone.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The answer to who asks for a lock.
#[derive(Debug)]
pub enum Locked {
    Taken(Lock),
    /// By the process of this number, where it is known.
    Held(Option<u32>),
}

impl Lock {
    /// Takes the lock of the file at `path`, which is made where it is not there and stays.
    pub fn take(path: &Path) -> Result<Locked, WorkspaceError> {
        let io = |source| WorkspaceError::io("lock", path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).ok();
                return Ok(Locked::Held(holder.trim().parse().ok()));
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).map_err(io)?;
        write!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Locked::Taken(Self { _file: file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_at_a_time_and_says_which() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let Locked::Taken(first) = Lock::take(&path).unwrap() else {
            panic!("nobody held it");
        };
        let held = Lock::take(&path).unwrap();
        assert!(matches!(held, Locked::Held(Some(pid)) if pid == std::process::id()));
        drop(first);
        assert!(matches!(Lock::take(&path).unwrap(), Locked::Taken(_)));
        let nowhere = dir.path().join("no/lock");
        assert!(Lock::take(&nowhere).is_err());
    }
}
