//! Many paths in few lines.
use crate::base::LimitHit;
use std::collections::BTreeMap;

/// The paths, a line each, in their order; of more than `lines_max` the folders with the
/// number of files below each, as deep as that many lines reach.
///
/// The hit is of the limit called `limit`.
pub(crate) fn listing(paths: &[&str], lines_max: usize, limit: &str) -> (String, Option<LimitHit>) {
    if paths.len() <= lines_max {
        return (paths.join("\n"), None);
    }
    let mut shown = folders(paths, 1);
    for depth in 2..=DEPTH_MAX {
        let deeper = folders(paths, depth);
        if deeper.len() > lines_max || deeper == shown {
            break;
        }
        shown = deeper;
    }
    let n_folders = shown.len();
    let mut lines: Vec<String> = shown
        .into_iter()
        .take(lines_max)
        .map(|(folder, n)| match n {
            1 => format!("{folder} (1 file)"),
            n => format!("{folder} ({n} files)"),
        })
        .collect();
    if n_folders > lines_max {
        lines.push(format!("... and {} more folders", n_folders - lines_max));
    }
    let hit = LimitHit::new(limit, lines_max, paths.len());
    (lines.join("\n"), Some(hit))
}

/// Deeper folders are not told apart.
const DEPTH_MAX: usize = 12;

/// Folders of at most `depth` parts with the number of files below each, in order.
fn folders(paths: &[&str], depth: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for path in paths {
        let parts: Vec<&str> = path.split('/').collect();
        let n = depth.min(parts.len() - 1);
        let folder = match n {
            0 => "./".to_owned(),
            n => parts[..n].join("/") + "/",
        };
        *counts.entry(folder).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_paths_are_listed_and_many_are_counted_by_folder() {
        let paths = ["README.md", "src/a/x.rs", "src/a/y.rs", "src/b/z.rs"];
        assert_eq!(listing(&paths, 4, "m"), (paths.join("\n"), None));
        let (text, hit) = listing(&paths, 3, "listed_files_max");
        assert_eq!(text, "./ (1 file)\nsrc/a/ (2 files)\nsrc/b/ (1 file)");
        assert_eq!(hit, Some(LimitHit::new("listed_files_max", 3, 4)));
        let (text, _) = listing(&paths, 2, "m");
        assert_eq!(text, "./ (1 file)\nsrc/ (3 files)");
        let chain = ["src/main/java/x/A.java", "src/main/java/x/B.java"];
        assert_eq!(listing(&chain, 1, "m").0, "src/main/java/x/ (2 files)");
        let (text, _) = listing(&["a/x", "b/x", "c/x"], 2, "m");
        assert!(text.ends_with("... and 1 more folders"), "{text}");
    }
}
