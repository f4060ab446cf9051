//! Indices that are kept between runs: of a repository that was indexed before only the files
//! that changed are read again.
use super::entry::Entry;
use super::{Index, RepoView, terms};
use crate::base::keep_newest;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Changes with the form of an entry, and with anything that makes other entries of the same
/// file: older files are passed over.
const VERSION: u32 = 1;

/// The start of a file: the version, and a term that has another digest where the standard library
/// has another hash function.
fn mark() -> [u8; 12] {
    let mut mark = [0; 12];
    mark[..4].copy_from_slice(&VERSION.to_le_bytes());
    mark[4..].copy_from_slice(&terms::whole("mark").to_bytes());
    mark
}

/// Indices that are kept; the one that was used longest ago goes.
const KEPT_MAX: usize = 24;

impl Index {
    /// The index of a view, by the one that is kept in `folder` under `name`; it is kept there
    /// from now on. A folder that cannot be read or written costs time and nothing else.
    pub fn kept(view: &RepoView, folder: &Path, name: &str) -> Self {
        let place = folder.join(name);
        let old = read(&place).unwrap_or_default();
        let n_known = old.entries.len();
        let index = old.updated(view);
        let known: HashSet<*const Entry> = old.entries.iter().map(Arc::as_ptr).collect();
        let is_known = |entry: &Arc<Entry>| known.contains(&Arc::as_ptr(entry));
        let is_same = index.entries.len() == n_known && index.entries.iter().all(is_known);
        if !is_same && write(&index, folder, &place).is_some() {
            keep_newest(folder, KEPT_MAX);
        }
        index
    }
}

fn read(place: &Path) -> Option<Index> {
    let bytes = std::fs::read(place).ok()?;
    let entries: Vec<Entry> = postcard::from_bytes(bytes.strip_prefix(&mark())?).ok()?;
    // When it was used last.
    let file = std::fs::File::options().append(true).open(place).ok()?;
    file.set_modified(std::time::SystemTime::now()).ok();
    Some(Index {
        entries: entries.into_iter().map(Arc::new).collect(),
        ..Index::default()
    })
}

fn write(index: &Index, folder: &Path, place: &Path) -> Option<()> {
    std::fs::create_dir_all(folder).ok()?;
    let mut bytes = mark().to_vec();
    let entries: Vec<&Entry> = index.entries.iter().map(AsRef::as_ref).collect();
    bytes.extend(postcard::to_allocvec(&entries).ok()?);
    // Whole or not at all, whoever else writes it.
    let file = tempfile::NamedTempFile::new_in(folder).ok()?;
    std::fs::write(file.path(), bytes).ok()?;
    file.persist(place).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Weights;

    fn view(second: &str) -> RepoView {
        RepoView::of_texts(
            [
                ("a.py", "def total(xs):\n    return sum(xs)\n"),
                ("b.py", second),
            ]
            .into_iter(),
        )
    }

    #[test]
    fn a_kept_index_is_the_index_and_only_what_changed_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("index");
        let locate = |index: &Index, view: &RepoView| {
            index.locate(view, "`total` is off", &Weights::default())
        };
        let (one, two) = (view("x = 1\n"), view("def total(): pass\n"));
        for view in [&one, &one, &two, &one] {
            let kept = Index::kept(view, &folder, "repo");
            assert_eq!(locate(&kept, view), locate(&Index::of(view), view));
        }
        let known = read(&folder.join("repo")).unwrap();
        let again = known.updated(&two);
        let is_same: Vec<bool> = known
            .entries
            .iter()
            .zip(&again.entries)
            .map(|(a, b)| Arc::ptr_eq(a, b))
            .collect();
        assert_eq!(is_same, [true, false]);
        // One that is damaged is made anew.
        std::fs::write(folder.join("repo"), [&mark()[..], b"nonsense"].concat()).unwrap();
        let kept = Index::kept(&one, &folder, "repo");
        assert_eq!(locate(&kept, &one), locate(&Index::of(&one), &one));
        assert!(read(&folder.join("repo")).is_some());
    }
}
