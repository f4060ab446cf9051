//! Selected patches as SWE-bench's own harness takes them.
use super::EvalError;
use super::row::EvalRow;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One line of a predictions file: the fields that `swebench.harness.run_evaluation`
/// reads.
#[derive(Serialize)]
struct Prediction<'a> {
    instance_id: &'a str,
    model_name_or_path: String,
    model_patch: &'a str,
}

/// Writes `predictions/STRATEGY-seedN.jsonl` below `out`, a line a task; the files'
/// paths.
pub fn write_predictions(
    rows: &[EvalRow],
    model: &str,
    out: &Path,
) -> Result<Vec<PathBuf>, EvalError> {
    let folder = out.join("predictions");
    std::fs::create_dir_all(&folder).map_err(|e| EvalError::io("make the folder", &folder, e))?;
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    for row in rows {
        let prediction = Prediction {
            instance_id: &row.instance_id,
            model_name_or_path: format!("egss:{model}:{}", row.strategy),
            model_patch: row.patch(),
        };
        let name = format!("{}-seed{}.jsonl", row.strategy, row.seed);
        let text = files.entry(folder.join(name)).or_default();
        *text += &serde_json::to_string(&prediction).expect("plain data serialises");
        text.push('\n');
    }
    for (path, text) in &files {
        std::fs::write(path, text).map_err(|e| EvalError::io("write", path, e))?;
    }
    Ok(files.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{row, with_patch};
    use super::*;

    #[test]
    fn a_file_a_strategy_and_seed_holds_a_line_a_task() {
        let out = tempfile::tempdir().unwrap();
        let patched = with_patch(row("a__1", "egss", 0, true, 1), "diff --git a/x b/x\n");
        let rows = [
            patched,
            row("b__2", "egss", 0, false, 1),
            row("a__1", "egss", 1, false, 1),
        ];
        let paths = write_predictions(&rows, "qwen", out.path()).unwrap();
        let names = ["egss-seed0.jsonl", "egss-seed1.jsonl"]
            .map(|n| out.path().join("predictions").join(n));
        assert_eq!(paths, names);
        let text = std::fs::read_to_string(&paths[0]).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            lines[0],
            serde_json::json!({
                "instance_id": "a__1",
                "model_name_or_path": "egss:qwen:egss",
                "model_patch": "diff --git a/x b/x\n",
            })
        );
        assert_eq!(lines[1]["model_patch"], "");
        assert_eq!(lines.len(), 2);
    }
}
