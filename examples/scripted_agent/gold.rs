//! The reference solution as pieces of text: what is replaced, and by what.
use anyhow::bail;

/// One hunk of a patch.
#[derive(Clone, Debug)]
pub struct Change {
    /// Index of the file in the patch: changes of one file are made by one edit. Its path is not
    /// here, nor any line number.
    pub file: usize,
    /// The lines as they are, context included, by which the agent knows the place when it sees it.
    pub old: Vec<String>,
    pub new: Vec<String>,
}

/// The hunks of a patch. Errors: files that are made, removed or renamed.
pub fn changes(patch: &str) -> anyhow::Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    let mut n_files = 0;
    let mut is_hunk = false;
    for line in patch.lines() {
        if line.starts_with("diff --git ") {
            n_files += 1;
            is_hunk = false;
        } else if line.starts_with("@@ ") {
            is_hunk = true;
            changes.push(Change {
                file: n_files,
                old: Vec::new(),
                new: Vec::new(),
            });
        } else if !is_hunk {
            if line.contains("/dev/null") || line.starts_with("rename ") {
                bail!("it makes, removes or renames a file");
            }
        } else if let Some(change) = changes.last_mut() {
            let text = || line[1.min(line.len())..].to_owned();
            match line.as_bytes().first() {
                Some(b'-') => change.old.push(text()),
                Some(b'+') => change.new.push(text()),
                Some(b'\\') => {}
                _ => {
                    change.old.push(text());
                    change.new.push(text());
                }
            }
        }
    }
    Ok(changes)
}
