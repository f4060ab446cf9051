//! How a build starts from an earlier one without trusting what a patch's code left.
use super::LangError;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;
use tempfile::TempDir;

/// The build that the first run left, which is the base's: the user's own code.
/// Later runs start from a copy each, so that none sees what another wrote.
#[derive(Default)]
pub(super) struct Seed {
    kept: Mutex<Option<TempDir>>,
}

impl Seed {
    /// Copies the seed to `target`; false where there is none yet.
    pub fn plant(&self, target: &Path) -> Result<bool, LangError> {
        let kept = self.kept.lock().expect("nothing panics with the lock");
        match kept.as_ref() {
            Some(seed) => copy_tree(seed.path(), target).map(|()| true),
            None => Ok(false),
        }
    }

    /// Keeps a copy of `target` if there is no seed yet.
    pub fn keep(&self, target: &Path) -> Result<(), LangError> {
        let mut kept = self.kept.lock().expect("nothing panics with the lock");
        if kept.is_none() && target.is_dir() {
            let seed = TempDir::new().map_err(|source| {
                LangError::io("make a folder in", &std::env::temp_dir(), source)
            })?;
            copy_tree(target, seed.path())?;
            *kept = Some(seed);
        }
        Ok(())
    }
}

/// Files and folders with their times, by which build tools know what is old; links
/// are left out.
fn copy_tree(from: &Path, to: &Path) -> Result<(), LangError> {
    fs::create_dir_all(to).map_err(|source| LangError::io("make", to, source))?;
    let entries = fs::read_dir(from).map_err(|source| LangError::io("list", from, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| LangError::io("list", from, source))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = entry
            .metadata()
            .map_err(|error| LangError::io("look at", &source, error))?;
        if meta.is_dir() {
            copy_tree(&source, &target)?;
        } else if meta.is_file() {
            fs::copy(&source, &target)
                .and_then(|_| meta.modified())
                .and_then(|time| set_time(&target, time))
                .map_err(|error| LangError::io("copy", &source, error))?;
        }
    }
    Ok(())
}

pub(super) fn set_time(path: &Path, time: SystemTime) -> std::io::Result<()> {
    File::options().write(true).open(path)?.set_modified(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_seed_keeps_its_times_and_is_a_copy() {
        let target = tempfile::tempdir().unwrap();
        let file = target.path().join("debug/lib.rlib");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "base").unwrap();
        let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        set_time(&file, old).unwrap();
        let seed = Seed::default();
        let planted = target.path().join("planted");
        assert!(!seed.plant(&planted).unwrap());
        seed.keep(target.path()).unwrap();
        fs::write(&file, "a patch's").unwrap();
        seed.keep(target.path()).unwrap();
        assert!(seed.plant(&planted).unwrap());
        let copy = planted.join("debug/lib.rlib");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "base");
        assert_eq!(fs::metadata(&copy).unwrap().modified().unwrap(), old);
    }
}
