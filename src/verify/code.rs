//! What a patch makes of the code, whatever it is written like: a digest that two
//! patches share when they compute the same by the same syntax.
use super::VerifyError;
use super::bench::Bench;
use super::changed::changed_files;
use super::repository::list_files;
use super::script::Script;
use crate::workspace::TreeId;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::Path;

const CODE: Script = Script {
    name: "code.py",
    text: include_str!("code.py"),
};

#[derive(Serialize)]
struct Request<'a> {
    files: &'a [String],
}

impl Bench<'_> {
    /// A digest of how the code of `tree` differs from the base's, the files `aside`
    /// left out: empty where only comments, layout or documentation do.
    ///
    /// Python is compared by its syntax trees, everything else byte by byte. `None` where
    /// that cannot be told. Cost: two copies of a tree and two starts of Python.
    pub fn code_of(&self, tree: &TreeId, aside: &[String]) -> Result<Option<String>, VerifyError> {
        let (base, dir) = (self.copy(self.base)?, self.copy(tree)?);
        let mut files = changed_files(base.path(), dir.path())?;
        let gone = list_files(base.path())?.into_iter();
        files.extend(gone.filter(|file| !dir.path().join(file).exists()));
        files.retain(|file| !aside.contains(file));
        let digests = |dir: &Path| self.digests(dir, &files);
        let (before, after) = match (digests(base.path()), digests(dir.path())) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(VerifyError::Script { .. }), _) | (_, Err(VerifyError::Script { .. })) => {
                return Ok(None);
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let mut changed: Vec<String> = files
            .iter()
            .zip(before.iter().zip(&after))
            .filter(|(_, (before, after))| before != after)
            .map(|(file, (_, after))| format!("{file} {after}\n"))
            .collect();
        changed.sort();
        match changed.is_empty() {
            true => Ok(Some(String::new())),
            false => Ok(Some(hex(changed.concat().as_bytes()))),
        }
    }

    /// A digest of each file of `dir`; of one that is not there a word.
    fn digests(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, VerifyError> {
        let python: Vec<String> = files
            .iter()
            .filter(|file| file.ends_with(".py"))
            .cloned()
            .collect();
        let parsed: Vec<Option<String>> = match python.is_empty() {
            true => Vec::new(),
            false => CODE.run(self.runner.sandbox(), dir, &Request { files: &python })?,
        };
        let of_file = |file: &String| {
            let at = python.iter().position(|other| other == file);
            let parsed = at.and_then(|at| parsed.get(at).cloned().flatten());
            parsed.unwrap_or_else(|| match std::fs::read(dir.join(file)) {
                Ok(bytes) => hex(&bytes),
                Err(_) => "gone".to_owned(),
            })
        };
        Ok(files.iter().map(of_file).collect())
    }
}

/// The first half of a SHA-256.
fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..8].iter().map(|b| format!("{b:02x}")).collect()
}
