//! Workspaces as layers over one copy of the base: what one costs follows its changes, not the
//! repository.
//!
//! A workspace is an overlay over the copy of the base; the user's checkout is no layer.
//! `Shadow::restore` mounts one and writes what its tree has otherwise; `Shadow::snapshot`
//! reads the upper layer alone. Tree ids are the same as a copy's
//! (`tests/workspace/layers.rs` compares them after random changes), so that a record knows
//! no difference. Large ignored data is a layer of hard links below the copy: tests may write
//! to it, and each workspace gets its own changes. A folder of the base cannot be renamed in
//! an overlay by one system call (`EXDEV`); programs such as `mv` copy it then.
use super::tree_id::TreeId;
use super::walk::{self, is_bytecode, is_left_out, remove_tree};
use super::{WorkspaceError, existing_dir, git, namespace};
use crate::record::LargeData;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The folders that belong to a run's layers, below the folder of its workspaces.
const LAYERS_DIR: &str = "layers";

/// One copy of a base tree, and what is laid over it.
pub(super) struct Layers {
    /// Holds the workspaces.
    work: PathBuf,
    tree: TreeId,
    /// The copy of the base; never written again.
    base: PathBuf,
    /// Links to large data that is in no tree; may be empty.
    data: PathBuf,
    /// The base's files by their folders: names of files and of folders in each.
    children: HashMap<Vec<u8>, Children>,
    /// All of them, sorted by byte.
    files: Vec<Vec<u8>>,
    /// Workspaces that are mounted.
    mounted: Mutex<HashSet<PathBuf>>,
}

#[derive(Default)]
struct Children {
    files: BTreeSet<Vec<u8>>,
    folders: BTreeSet<Vec<u8>>,
}

/// The changes of a workspace to the base, as its upper layer holds them.
#[derive(Default)]
pub(super) struct Changed {
    /// Files and links that were written.
    pub written: Vec<Vec<u8>>,
    /// Files of the base that are gone.
    pub gone: Vec<Vec<u8>>,
}

impl Layers {
    /// Layers below `work`, a folder that exists, over `tree`, which `copy_to` writes into a
    /// folder. `Err`: a clause on why there can be no layers here.
    pub fn make(
        tree: &TreeId,
        work: &Path,
        copy_to: impl FnOnce(&Path) -> Result<(), WorkspaceError>,
    ) -> Result<Self, String> {
        if !namespace::is_entered() {
            return Err("this process has no namespace of its own".to_owned());
        }
        let told = |error: WorkspaceError| error.to_string();
        let work = existing_dir(work).map_err(told)?;
        let own = work.join(LAYERS_DIR);
        let (base, data) = (own.join("base"), own.join("data"));
        git::create_private_dir(&data).map_err(told)?;
        // File systems differ: it is tried before anything is copied.
        namespace::try_overlay(&own.join("probe"))?;
        copy_to(&base).map_err(told)?;
        let mut files = walk::files(&base).map_err(told)?;
        files.sort_unstable();
        let mut children: HashMap<Vec<u8>, Children> = HashMap::new();
        for file in &files {
            let (mut folder, name) = split(file);
            let held = children.entry(folder.to_vec()).or_default();
            held.files.insert(name.to_vec());
            while !folder.is_empty() {
                let (above, name) = split(folder);
                let is_new = children
                    .entry(above.to_vec())
                    .or_default()
                    .folders
                    .insert(name.to_vec());
                if !is_new {
                    break;
                }
                folder = above;
            }
        }
        Ok(Self {
            work,
            tree: tree.clone(),
            base,
            data,
            children,
            files,
            mounted: Mutex::default(),
        })
    }

    /// Links large data of the repository `repo` into the layers: each workspace may write to
    /// its own. What cannot be linked, on another disk for example, is given back.
    pub fn link_data(&self, repo: &Path, large_data: &[LargeData]) -> Vec<LargeData> {
        let mut left = Vec::new();
        for data in large_data {
            let path = Path::new(&data.path);
            if link_tree(&repo.join(path), &self.data.join(path)).is_err() {
                remove_tree(&self.data.join(path)).ok();
                left.push(data.clone());
            }
        }
        left
    }

    /// True for a folder that is a workspace of these layers.
    pub fn covers(&self, dir: &Path) -> bool {
        dir.starts_with(&self.work) && !dir.starts_with(self.work.join(LAYERS_DIR))
    }

    pub fn is_mounted(&self, dir: &Path) -> bool {
        let mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        mounted.contains(dir)
    }

    pub fn base_tree(&self) -> &TreeId {
        &self.tree
    }

    /// Makes `dir`, whatever it is, a workspace that holds the base.
    pub fn mount(&self, dir: &Path) -> Result<(), WorkspaceError> {
        let own = self.own(dir);
        namespace::unmount(dir);
        if own.exists() {
            remove_tree(&own)?;
        }
        let (upper, work) = (own.join("upper"), own.join("work"));
        for folder in [&upper, &work, &dir.to_path_buf()] {
            git::create_private_dir(folder)?;
        }
        namespace::mount_overlay(&[&self.base, &self.data], &upper, &work, dir).map_err(|why| {
            WorkspaceError::Git {
                what: format!("layer for {}", dir.display()),
                stderr: why,
            }
        })?;
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        mounted.insert(dir.to_owned());
        Ok(())
    }

    /// Removes a workspace.
    pub fn discard(&self, dir: &Path) {
        namespace::unmount(dir);
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        mounted.remove(dir);
        drop(mounted);
        remove_tree(&self.own(dir)).ok();
        remove_tree(dir).ok();
    }

    /// The changes in the workspace `dir`, by its upper layer; caches and the like left out, and
    /// `without`. Cost: the entries of the folders in which something changed.
    pub fn changes(&self, dir: &Path, without: &[PathBuf]) -> Result<Changed, WorkspaceError> {
        let mut changed = Changed::default();
        let without: HashSet<&[u8]> = without.iter().map(|p| p.as_os_str().as_bytes()).collect();
        let upper = self.own(dir).join("upper");
        let mut waiting: Vec<(PathBuf, Vec<u8>)> = vec![(upper, Vec::new())];
        while let Some((folder, prefix)) = waiting.pop() {
            let mut here: HashSet<Vec<u8>> = HashSet::new();
            for (name, path, kind) in walk::entries(&folder)? {
                let relative = joined(&prefix, &name);
                here.insert(name.clone());
                if name.eq_ignore_ascii_case(b".git") || without.contains(relative.as_slice()) {
                    continue;
                }
                let merged = dir.join(Path::new(std::ffi::OsStr::from_bytes(&relative)));
                if kind.is_dir() {
                    if is_left_out(&name, &merged) {
                        self.add_gone_below(&relative, &mut changed.gone);
                    } else {
                        waiting.push((path, relative));
                    }
                } else if kind.is_char_device() {
                    // The mark of something that was removed.
                    self.add_gone(&relative, &mut changed.gone);
                } else if (kind.is_file() || kind.is_symlink()) && !is_bytecode(&name) {
                    // It may stand where the base has a folder.
                    self.add_gone_below(&relative, &mut changed.gone);
                    changed.written.push(relative);
                }
            }
            // A folder that was made anew hides the base's.
            if let Some(children) = self.children.get(&prefix) {
                let names = children.files.iter().chain(&children.folders);
                for name in names.filter(|name| !here.contains(*name)) {
                    let relative = joined(&prefix, name);
                    let merged = dir.join(Path::new(std::ffi::OsStr::from_bytes(&relative)));
                    if merged.symlink_metadata().is_err() {
                        self.add_gone(&relative, &mut changed.gone);
                    }
                }
                // A folder that stands where the base has a file.
                for name in children.files.iter().filter(|name| here.contains(*name)) {
                    let relative = joined(&prefix, name);
                    let merged = dir.join(Path::new(std::ffi::OsStr::from_bytes(&relative)));
                    if merged.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                        changed.gone.push(relative);
                    }
                }
            }
        }
        changed.written.sort_unstable();
        changed.gone.sort_unstable();
        changed.gone.dedup();
        Ok(changed)
    }

    /// A file of the base, or all below a folder of it.
    fn add_gone(&self, path: &[u8], gone: &mut Vec<Vec<u8>>) {
        if self
            .files
            .binary_search_by(|file| file.as_slice().cmp(path))
            .is_ok()
        {
            gone.push(path.to_vec());
        }
        self.add_gone_below(path, gone);
    }

    fn add_gone_below(&self, folder: &[u8], gone: &mut Vec<Vec<u8>>) {
        let prefix = joined(folder, b"");
        let start = self
            .files
            .partition_point(|file| file.as_slice() < prefix.as_slice());
        let below = self.files[start..]
            .iter()
            .take_while(|file| file.starts_with(&prefix));
        gone.extend(below.cloned());
    }

    /// The folder of a workspace's own layers.
    fn own(&self, dir: &Path) -> PathBuf {
        let relative = dir.strip_prefix(&self.work).unwrap_or(dir);
        let name = relative.to_string_lossy().replace('/', "+");
        self.work.join(LAYERS_DIR).join(format!("of-{name}"))
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        let mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in mounted.iter() {
            namespace::unmount(dir);
        }
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder.is_empty() {
        true => name.to_vec(),
        false => [folder, b"/", name].concat(),
    }
}

/// Hard links to a file, or to all files below a folder.
fn link_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(above) = to.parent() {
        std::fs::create_dir_all(above)?;
    }
    let kind = from.symlink_metadata()?.file_type();
    if kind.is_dir() {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            link_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(std::fs::read_link(from)?, to);
    }
    match kind.is_file() {
        true => std::fs::hard_link(from, to),
        false => Ok(()),
    }
}
