//! The compiler's errors about changed files.
use super::package::{Folder, modules};
use super::session::Session;
use crate::lang::{LangError, list_files};
use std::collections::{BTreeMap, BTreeSet};

impl Session<'_> {
    /// The first fault of each of `files` that the compiler sees.
    pub fn build_faults(&self, files: &[String]) -> Result<Vec<String>, LangError> {
        let modules = modules(&list_files(self.dir)?);
        let mut by_module: BTreeMap<String, BTreeSet<Folder>> = BTreeMap::new();
        for folder in files.iter().filter_map(|file| Folder::of(file, &modules)) {
            by_module
                .entry(folder.module.clone())
                .or_default()
                .insert(folder);
        }
        let mut faults = Vec::new();
        for (module, folders) in by_module {
            let folders: Vec<String> = folders.iter().map(Folder::argument).collect();
            let mut arguments = vec!["build", "-o", "/dev/null"];
            arguments.extend(folders.iter().map(String::as_str));
            let (_, _, stderr) = self.go(&module, &arguments)?;
            for file in files {
                let inside = match module.as_str() {
                    "" => Some(file.as_str()),
                    module => file
                        .strip_prefix(module)
                        .and_then(|rest| rest.strip_prefix('/')),
                };
                let mut lines = stderr.lines().filter_map(|line| place_of(line, inside?));
                faults.extend(
                    lines
                        .next()
                        .map(|fault| format!("{file} does not compile: {fault}")),
                );
            }
        }
        Ok(faults)
    }
}

/// `line 3: undefined: x` of a compiler's `quiet/quiet.go:3:5: undefined: x`, if it is
/// of `file`. `None` for a missing module: the file is not at fault.
fn place_of(line: &str, file: &str) -> Option<String> {
    let line = line.strip_prefix("./").unwrap_or(line);
    let rest = line.strip_prefix(file)?.strip_prefix(':')?;
    let (number, rest) = rest.split_once(':')?;
    let (_, said) = rest.split_once(": ")?;
    number.parse::<u32>().ok()?;
    (!said.contains("module") && !said.contains("is not in "))
        .then(|| format!("line {number}: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilers_line_is_laid_to_its_file() {
        let place = |line| place_of(line, "quiet/quiet.go");
        assert_eq!(
            place("quiet/quiet.go:3:23: undefined: x").as_deref(),
            Some("line 3: undefined: x")
        );
        assert_eq!(
            place("./quiet/quiet.go:3:1: no").as_deref(),
            Some("line 3: no")
        );
        assert_eq!(place("other/quiet.go:3:23: undefined: x"), None);
        assert_eq!(
            place("quiet/quiet.go:3:2: no required module provides package y"),
            None
        );
        assert_eq!(place("# example.org/quiet"), None);
    }
}
