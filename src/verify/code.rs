//! What a patch makes of the code, whatever it is written like: a digest that two
//! patches share when they compute the same by the same syntax.
//!
//! Comments, layout and strings that stand alone are left out of the syntax tree that is
//! digested. Agreement is counted on these digests, both where trajectories are compared and
//! where a search stops because two of them agree. Self-consistency (Wang et al. 2022, arXiv
//! 2203.11171) is the source.
use super::VerifyError;
use super::bench::Bench;
use super::changed::changed_files;
use crate::lang::{self, LangError};
use crate::workspace::{Change, TreeId};
use sha2::{Digest, Sha256};
use std::path::Path;

impl Bench<'_> {
    /// A digest of how the code of `tree` differs from the base's, the files `aside`
    /// left out: empty where only comments, layout or documentation do.
    ///
    /// Each language compares its own files, by syntax trees or words; everything else is
    /// compared byte by byte. `None` where that cannot be told. Cost: two copies of the files
    /// that differ.
    pub fn code_of(&self, tree: &TreeId, aside: &[String]) -> Result<Option<String>, VerifyError> {
        let changes = self.shadow.changes(self.base, tree)?;
        let (base, dir) = (self.scratch.folder()?, self.scratch.folder()?);
        let paths = |is_there: fn(&Change) -> bool| -> Vec<&str> {
            let there = changes.iter().filter(|change| is_there(change));
            there.map(|change| change.path.as_str()).collect()
        };
        for (tree, paths, folder) in [
            (self.base, paths(|change| change.is_in_from), &base),
            (tree, paths(|change| change.is_in_to), &dir),
        ] {
            self.shadow.check_out_files(tree, &paths, folder.path())?;
        }
        let mut files = changed_files(dir.path(), &changes);
        let gone = changes.iter().filter(|change| !change.is_in_to);
        files.extend(gone.map(|change| change.path.clone()));
        files.retain(|file| !aside.contains(file));
        let digests = |dir: &Path| self.digests(dir, &files);
        let (before, after) = match (digests(base.path()), digests(dir.path())) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(LangError::Script { .. }), _) | (_, Err(LangError::Script { .. })) => {
                return Ok(None);
            }
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
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
    fn digests(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, LangError> {
        let mut found: Vec<Option<String>> = vec![None; files.len()];
        for language in lang::all() {
            let own: Vec<usize> = (0..files.len())
                .filter(|&at| lang::of_path(&files[at]).name() == language.name())
                .collect();
            let paths: Vec<String> = own.iter().map(|&at| files[at].clone()).collect();
            let digests = match paths.is_empty() {
                true => Vec::new(),
                false => language.code_digests(self.runner.sandbox(), dir, &paths)?,
            };
            for (at, digest) in own.into_iter().zip(digests) {
                found[at] = digest;
            }
        }
        let of_bytes = |file: &String| match std::fs::read(dir.join(file)) {
            Ok(bytes) => hex(&bytes),
            Err(_) => "gone".to_owned(),
        };
        let all = files.iter().zip(found);
        Ok(all
            .map(|(file, digest)| digest.unwrap_or_else(|| of_bytes(file)))
            .collect())
    }
}

/// The first half of a SHA-256.
fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..8].iter().map(|b| format!("{b:02x}")).collect()
}
