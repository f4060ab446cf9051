//! Many files in few lines.
use crate::base::LimitHit;
use crate::index::RepoFile;
use std::collections::BTreeMap;

/// The files below `folder` (`""`, or one with a slash at its end), a line each with their
/// lengths; sources first, then by their paths. Of more than `lines_max` the folders with the
/// files below each, as deep as there is room, then the folder's own files as far as there is.
///
/// The hit is of the limit called `limit`.
pub(crate) fn listing(
    files: &[&RepoFile],
    folder: &str,
    lines_max: usize,
    limit: &str,
) -> (String, Option<LimitHit>) {
    if files.len() <= lines_max {
        return (lines_of(files), None);
    }
    let is_own = |file: &&&RepoFile| !file.path[folder.len()..].contains('/');
    let own: Vec<&RepoFile> = files.iter().filter(is_own).copied().collect();
    let inner: Vec<&RepoFile> = files.iter().filter(|file| !is_own(file)).copied().collect();
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
    let mut shown: Vec<(String, Held)> = shown.into_iter().collect();
    shown.sort_by_key(|(_, held)| held.n_sources == 0);
    let mut lines: Vec<String> = shown
        .into_iter()
        .take(folders_max)
        .map(|(folder, held)| held.line(&folder))
        .collect();
    let n_own = own.len().min(lines_max.saturating_sub(lines.len()));
    if n_folders > folders_max {
        lines.push(format!("... and {} more folders", n_folders - folders_max));
    }
    if n_own > 0 {
        lines.push(lines_of(&own[..n_own]));
    }
    if n_own < own.len() {
        lines.push(format!("... and {} more files", own.len() - n_own));
    }
    let hit = LimitHit::new(limit, lines_max, files.len());
    (lines.join("\n"), Some(hit))
}

/// Levels below a folder that are told apart at most.
const DEPTH_MAX: usize = 12;

fn lines_of(files: &[&RepoFile]) -> String {
    let mut files = files.to_vec();
    files.sort_by_key(|file| !file.is_source());
    let lines = files.iter().map(|file| match &file.text {
        Some(_) => format!("{} ({})", file.path, counted(n_lines(file), "line")),
        None => format!("{} (no text)", file.path),
    });
    lines.collect::<Vec<String>>().join("\n")
}

/// The files below a folder.
#[derive(Clone, Copy, Default, PartialEq)]
struct Held {
    n_files: usize,
    n_sources: usize,
    /// Of code.
    n_lines: usize,
}

impl Held {
    fn line(self, folder: &str) -> String {
        let files = counted(self.n_files, "file");
        match self.n_lines {
            0 => format!("{folder} ({files})"),
            n => format!("{folder} ({files}, {} of code)", counted(n, "line")),
        }
    }
}

fn n_lines(file: &RepoFile) -> usize {
    file.text.as_deref().map_or(0, |text| text.lines().count())
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Folders of at most `depth` parts with what is below each, in order.
fn folders(files: &[&RepoFile], depth: usize) -> BTreeMap<String, Held> {
    let mut folders: BTreeMap<String, Held> = BTreeMap::new();
    for file in files {
        let parts: Vec<&str> = file.path.split('/').collect();
        let n = depth.min(parts.len() - 1);
        let held = folders.entry(parts[..n].join("/") + "/").or_default();
        held.n_files += 1;
        held.n_sources += usize::from(file.is_source());
        if file.language().is_code() {
            held.n_lines += n_lines(file);
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<RepoFile> {
        let file = |path: &&str| RepoFile {
            path: (*path).to_owned(),
            text: Some("x\n".into()),
        };
        paths.iter().map(file).collect()
    }

    fn listed(paths: &[&str], folder: &str, lines_max: usize) -> (String, Option<LimitHit>) {
        let files = files(paths);
        let files: Vec<&RepoFile> = files.iter().collect();
        listing(&files, folder, lines_max, "listed_files_max")
    }

    fn shown(paths: &[&str], folder: &str, lines_max: usize) -> String {
        listed(paths, folder, lines_max).0
    }

    #[test]
    fn few_files_are_listed_and_many_are_counted_by_folder() {
        let paths = ["README.md", "src/a/x.rs", "src/a/y.rs", "src/b/z.rs"];
        let all =
            "src/a/x.rs (1 line)\nsrc/a/y.rs (1 line)\nsrc/b/z.rs (1 line)\nREADME.md (1 line)";
        assert_eq!(listed(&paths, "", 4), (all.to_owned(), None));
        let (text, hit) = listed(&paths, "", 3);
        assert_eq!(
            text,
            "src/a/ (2 files, 2 lines of code)\nsrc/b/ (1 file, 1 line of code)\nREADME.md (1 line)"
        );
        assert_eq!(hit, Some(LimitHit::new("listed_files_max", 3, 4)));
        assert_eq!(
            shown(&paths, "", 2),
            "src/ (3 files, 3 lines of code)\nREADME.md (1 line)"
        );
        let chain = ["src/main/java/x/A.java", "src/main/java/x/B.java"];
        assert_eq!(
            shown(&chain, "", 1),
            "src/main/java/x/ (2 files, 2 lines of code)"
        );
        let text = shown(&["a/x", "b/x", "c/x"], "", 2);
        assert!(text.ends_with("... and 1 more folders"), "{text}");
    }

    /// Names that begin with a dot, and documentation, come first by the alphabet.
    #[test]
    fn folders_of_sources_come_first() {
        let paths = [
            ".github/a.yml",
            "docs/a.md",
            "docs/b.md",
            "src/a.rs",
            "src/b.rs",
        ];
        assert_eq!(
            shown(&paths, "", 3),
            "src/ (2 files, 2 lines of code)\n.github/ (1 file)\ndocs/ (2 files)"
        );
    }

    #[test]
    fn files_below_a_folder_are_named_from_the_root() {
        let paths = ["src/a/x.rs", "src/a/y.rs", "src/b.rs", "src/c.rs"];
        assert_eq!(
            shown(&paths, "src/", 3),
            "src/a/ (2 files, 2 lines of code)\nsrc/b.rs (1 line)\nsrc/c.rs (1 line)"
        );
        assert_eq!(
            shown(&paths, "src/", 2),
            "src/a/ (2 files, 2 lines of code)\nsrc/b.rs (1 line)\n... and 1 more files"
        );
        // A flat folder shows as many as there is room for.
        let flat = ["f/1", "f/2", "f/3"];
        assert_eq!(
            shown(&flat, "f/", 2),
            "f/1 (1 line)\nf/2 (1 line)\n... and 1 more files"
        );
    }
}
