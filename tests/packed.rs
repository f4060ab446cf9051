//! Packed weights as a user meets them: written at a model's first start, mapped from then on.
use assert_cmd::cargo::cargo_bin;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// A small model whose matrices are of several quantised types, and a folder for models.
struct Place {
    root: tempfile::TempDir,
    model: PathBuf,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let model = root.path().join("tiny.gguf");
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mixed-tiny");
        fs::copy(fixture.join("model.gguf"), &model).unwrap();
        Self { root, model }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut egss = Command::new(cargo_bin("egss"));
        egss.env("EGSS_MODELS_DIR", self.root.path().join("models"));
        let output = egss.args(args).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    }

    /// The generated JSON, and the lines on standard error.
    fn generate(&self, options: &[&str]) -> (Vec<u8>, String) {
        let model = self.model.to_str().unwrap();
        let args = ["generate", "--model", model, "--raw", "--kv-mem", "64"];
        let rest = ["--json", "--tokens", "16", "--temperature", "0.8", "once"];
        let output = self.run(&[&args[..], options, &rest].concat());
        let said = text(&output.stderr);
        (without_times(&output.stdout), said)
    }

    fn packed(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.root.path().join("models/packed"));
        let files = folder.into_iter().flatten().flatten();
        files.map(|entry| entry.path()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// JSON without the seconds that it took.
fn without_times(json: &[u8]) -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_slice(json).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.retain(|name, _| !name.ends_with("_s") && name != "seconds");
    serde_json::to_vec(&value).unwrap()
}

const FOUND: &str = "packed before";

#[test]
fn the_second_start_maps_what_the_first_one_packed_and_says_the_same() {
    let place = Place::new();
    let (first, said) = place.generate(&[]);
    assert!(!said.contains(FOUND), "{said}");
    assert_eq!(place.packed().len(), 1, "{said}");
    let (second, said) = place.generate(&[]);
    assert!(said.contains(FOUND), "{said}");
    assert_eq!(text(&first), text(&second));
    let (neither, said) = place.generate(&["--keep-packed", "no"]);
    assert!(!said.contains(FOUND), "{said}");
    assert_eq!(text(&first), text(&neither));

    let pruned = text(&place.run(&["models", "prune"]).stdout);
    assert!(pruned.starts_with("kept "), "{pruned}");
    assert!(pruned.contains("tiny.gguf"), "{pruned}");
}

#[test]
fn a_model_that_was_written_again_is_packed_again_and_its_old_file_goes() {
    let place = Place::new();
    place.generate(&[]);
    let old = place.packed();
    let file = File::options().write(true).open(&place.model).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let (_, said) = place.generate(&[]);
    assert!(!said.contains(FOUND), "{said}");
    let new = place.packed();
    assert!(new.len() == 1 && new != old, "{old:?}, {new:?}");
    let pruned = text(&place.run(&["models", "prune", "--all"]).stdout);
    assert!(pruned.contains("all were to go"), "{pruned}");
    assert!(place.packed().is_empty());
}

#[test]
fn nothing_is_kept_where_it_is_not_asked_for() {
    let place = Place::new();
    place.generate(&["--keep-packed", "no"]);
    assert!(place.packed().is_empty());
    let pruned = text(&place.run(&["models", "prune"]).stdout);
    assert_eq!(pruned, "there are no packed weights\n");
}

/// The folder is a file: packed weights are a convenience, and the command goes on.
#[test]
fn where_nothing_can_be_written_a_command_does_its_work_and_says_so() {
    let place = Place::new();
    fs::create_dir(place.root.path().join("models")).unwrap();
    fs::write(place.root.path().join("models/packed"), b"").unwrap();
    let (_, said) = place.generate(&[]);
    assert!(said.contains("packed weights are not kept"), "{said}");
    assert!(said.contains("--keep-packed no"), "{said}");
}

#[test]
fn a_user_without_a_home_keeps_nothing_and_is_told_nothing() {
    let place = Place::new();
    let mut egss = Command::new(cargo_bin("egss"));
    for variable in ["EGSS_MODELS_DIR", "XDG_DATA_HOME", "HOME"] {
        egss.env_remove(variable);
    }
    let model = place.model.to_str().unwrap();
    egss.args(["generate", "--model", model, "--raw", "--kv-mem", "64"]);
    let output = egss.args(["--tokens", "2", "once"]).output().unwrap();
    let said = text(&output.stderr);
    assert!(
        output.status.success() && !said.contains("packed"),
        "{said}"
    );
}
