//! Many paths in few lines.
use crate::base::LimitHit;
use std::collections::BTreeMap;

/// The paths below `folder` (`""`, or one with a slash at its end), a line each, in their
/// order. Of more than `lines_max` the folders with the number of files below each, as
/// deep as there is room, then the folder's own files as far as there is.
///
/// The hit is of the limit called `limit`.
pub(crate) fn listing(
    paths: &[&str],
    folder: &str,
    lines_max: usize,
    limit: &str,
) -> (String, Option<LimitHit>) {
    if paths.len() <= lines_max {
        return (paths.join("\n"), None);
    }
    let is_own = |path: &&&str| !path[folder.len()..].contains('/');
    let own: Vec<&str> = paths.iter().filter(is_own).copied().collect();
    let inner: Vec<&str> = paths.iter().filter(|p| !is_own(p)).copied().collect();
    // A folder of very many files leaves room for the folders in it.
    let folders_max = lines_max.saturating_sub(own.len()).max(lines_max / 2);
    let depth = folder.matches('/').count() + 1;
    let mut shown = folders(&inner, depth);
    for depth in depth + 1..depth + DEPTH_MAX {
        let deeper = folders(&inner, depth);
        if deeper.len() > folders_max || deeper == shown {
            break;
        }
        shown = deeper;
    }
    let n_folders = shown.len();
    let mut lines: Vec<String> = shown
        .into_iter()
        .take(folders_max)
        .map(|(folder, n)| match n {
            1 => format!("{folder} (1 file)"),
            n => format!("{folder} ({n} files)"),
        })
        .collect();
    let n_own = own.len().min(lines_max.saturating_sub(lines.len()));
    if n_folders > folders_max {
        lines.push(format!("... and {} more folders", n_folders - folders_max));
    }
    lines.extend(own[..n_own].iter().map(|path| (*path).to_owned()));
    if n_own < own.len() {
        lines.push(format!("... and {} more files", own.len() - n_own));
    }
    let hit = LimitHit::new(limit, lines_max, paths.len());
    (lines.join("\n"), Some(hit))
}

/// Levels below a folder that are told apart at most.
const DEPTH_MAX: usize = 12;

/// Folders of at most `depth` parts with the number of files below each, in order.
fn folders(paths: &[&str], depth: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for path in paths {
        let parts: Vec<&str> = path.split('/').collect();
        let n = depth.min(parts.len() - 1);
        *counts.entry(parts[..n].join("/") + "/").or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(paths: &[&str], folder: &str, lines_max: usize) -> String {
        listing(paths, folder, lines_max, "listed_files_max").0
    }

    #[test]
    fn few_paths_are_listed_and_many_are_counted_by_folder() {
        let paths = ["README.md", "src/a/x.rs", "src/a/y.rs", "src/b/z.rs"];
        assert_eq!(listing(&paths, "", 4, "m"), (paths.join("\n"), None));
        let (text, hit) = listing(&paths, "", 3, "listed_files_max");
        assert_eq!(text, "src/a/ (2 files)\nsrc/b/ (1 file)\nREADME.md");
        assert_eq!(hit, Some(LimitHit::new("listed_files_max", 3, 4)));
        assert_eq!(shown(&paths, "", 2), "src/ (3 files)\nREADME.md");
        let chain = ["src/main/java/x/A.java", "src/main/java/x/B.java"];
        assert_eq!(shown(&chain, "", 1), "src/main/java/x/ (2 files)");
        let text = shown(&["a/x", "b/x", "c/x"], "", 2);
        assert!(text.ends_with("... and 1 more folders"), "{text}");
    }

    #[test]
    fn paths_below_a_folder_are_named_from_the_root() {
        let paths = ["src/a/x.rs", "src/a/y.rs", "src/b.rs", "src/c.rs"];
        assert_eq!(
            shown(&paths, "src/", 3),
            "src/a/ (2 files)\nsrc/b.rs\nsrc/c.rs"
        );
        assert_eq!(
            shown(&paths, "src/", 2),
            "src/a/ (2 files)\nsrc/b.rs\n... and 1 more files"
        );
        // A flat folder shows as many as there is room for.
        let flat = ["f/1", "f/2", "f/3"];
        assert_eq!(shown(&flat, "f/", 2), "f/1\nf/2\n... and 1 more files");
    }
}
