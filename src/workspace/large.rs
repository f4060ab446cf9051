//! Data of a repository that is too large to be copied for every branch.
//!
//! Such data is in no tree. It is a layer of its own, or where that cannot be the sandbox
//! shows it read-only in its place (`Sandbox::with_data`). The record names it
//! (`record::Checkout`).
use super::checkout::ignored_among;
use super::walk::WalkedFile;
use crate::record::LargeData;
use std::collections::HashMap;
use std::path::Path;

/// An ignored file of this size is not copied.
const FILE_BYTES_MIN: u64 = 64 << 20;

/// An ignored folder whose other files have this size together is not copied.
const FOLDER_BYTES_MIN: u64 = 1 << 30;

/// The data among a repository's `files`: large files and large folders that git ignores, sorted
/// by path; none outside a checkout.
pub(super) fn large_data(dir: &Path, files: &[WalkedFile]) -> Vec<LargeData> {
    let is_large = |file: &&WalkedFile| file.bytes >= FILE_BYTES_MIN;
    let mut bytes_of: HashMap<&[u8], u64> = HashMap::new();
    for file in files.iter().filter(is_large) {
        bytes_of.insert(&file.path, file.bytes);
    }
    let mut folders: HashMap<&[u8], u64> = HashMap::new();
    for file in files.iter().filter(|file| !is_large(file)) {
        for at in (0..file.path.len()).filter(|&at| file.path[at] == b'/') {
            *folders.entry(&file.path[..at]).or_default() += file.bytes;
        }
    }
    folders.retain(|_, bytes| *bytes >= FOLDER_BYTES_MIN);
    bytes_of.extend(folders);
    if bytes_of.is_empty() {
        return Vec::new();
    }
    let candidates: Vec<Vec<u8>> = bytes_of.keys().map(|path| path.to_vec()).collect();
    let ignored = ignored_among(dir, &candidates);
    let mut data: Vec<LargeData> = ignored
        .iter()
        .filter_map(|path| {
            Some(LargeData {
                // A record holds text.
                path: String::from_utf8(path.clone()).ok()?,
                bytes: *bytes_of.get(path.as_slice())?,
            })
        })
        .collect();
    data.sort_by(|a, b| a.path.cmp(&b.path));
    // A folder covers what is in it, and stands before it.
    let mut outermost: Vec<LargeData> = Vec::new();
    for found in data {
        if !outermost
            .iter()
            .any(|data| is_within(found.path.as_bytes(), data))
        {
            outermost.push(found);
        }
    }
    outermost
}

/// The paths of `files` that are no such data.
pub(super) fn beside(files: Vec<WalkedFile>, data: &[LargeData]) -> Vec<Vec<u8>> {
    let paths = files.into_iter().map(|file| file.path);
    paths
        .filter(|path| !data.iter().any(|data| is_within(path, data)))
        .collect()
}

fn is_within(path: &[u8], data: &LargeData) -> bool {
    let rest = path.strip_prefix(data.path.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
