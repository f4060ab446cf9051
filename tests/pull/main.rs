//! Pulling a model from a hub on the loopback interface.
mod limits;

use egss::base::{Gates, ModelFile, ModelManifest, ModelSource};
use egss::checkpoint::{Checkpoint, CheckpointError, HubSettings, pull, sha256_of};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Larger than any buffer on the way, so that a cut falls in the middle of it.
const FILE_BYTES: usize = 3 << 20;
const REPO: &str = "owner/name-GGUF";
/// What the hub's newest revision is.
const COMMIT: &str = "0123456789";

/// Files by name.
type Files = Vec<(String, Vec<u8>)>;

/// A hub with one repository, which notes what it is asked for.
struct Hub {
    endpoint: String,
    asked: Arc<Mutex<Vec<(String, usize)>>>,
}

/// What a hub has, and how it serves it.
struct Shelf {
    files: Files,
    /// What it says of them, by name.
    listing: serde_json::Value,
    /// Of so many first downloads only half of what was asked arrives before the
    /// connection closes.
    cuts: usize,
}

impl Hub {
    /// Serves one file; the first `cuts` downloads are cut.
    fn new(file: Vec<u8>, cuts: usize) -> Self {
        Self::of(Shelf {
            files: vec![("model.gguf".into(), file)],
            listing: serde_json::Value::Null,
            cuts,
        })
    }

    /// Serves a whole repository, with its list of files.
    fn of_repository(files: &Files) -> Self {
        Self::of(Shelf {
            listing: listing(files),
            files: files.clone(),
            cuts: 0,
        })
    }

    fn of(shelf: Shelf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away in the middle is part of the test.
                let _ = serve(stream.unwrap(), &shelf, &noted);
            }
        });
        Self { endpoint, asked }
    }

    fn settings(&self) -> HubSettings {
        HubSettings::at(&self.endpoint)
    }

    /// Each download's file, and where in it it began.
    fn asked(&self) -> Vec<(String, usize)> {
        self.asked.lock().unwrap().clone()
    }

    /// Where each download began.
    fn starts(&self) -> Vec<usize> {
        self.asked().into_iter().map(|(_, start)| start).collect()
    }
}

/// What a hub answers when it is asked for a repository's files.
fn listing(files: &Files) -> serde_json::Value {
    let entry = |(name, data): &(String, Vec<u8>)| {
        let mut entry = serde_json::json!({
            "rfilename": name,
            "size": data.len(),
            "blobId": etag(name, data),
        });
        if name.ends_with(".safetensors") {
            entry["lfs"] = serde_json::json!({"sha256": sha256(data), "size": data.len()});
        }
        entry
    };
    let siblings: Vec<_> = files.iter().map(entry).collect();
    serde_json::json!({"sha": COMMIT, "siblings": siblings})
}

/// The hub's mark of a file: the SHA-256 of large ones.
fn etag(name: &str, data: &[u8]) -> String {
    match name.rsplit_once('.') {
        Some((_, "gguf")) => "abc".into(),
        Some((_, "safetensors")) => sha256(data),
        _ => format!("blob-{}", data.len()),
    }
}

fn sha256(data: &[u8]) -> String {
    let scratch = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(scratch.path(), data).unwrap();
    sha256_of(scratch.path()).unwrap()
}

fn serve(
    mut stream: TcpStream,
    shelf: &Shelf,
    asked: &Mutex<Vec<(String, usize)>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut range = String::new();
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("range: bytes=") {
            range = value.to_owned();
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path == format!("/api/models/{REPO}/revision/main?blobs=true") {
        let body = shelf.listing.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        return stream.write_all((head + &body).as_bytes());
    }
    // A repository is fetched at one commit, whatever comes after it.
    let revision = if shelf.listing.is_null() {
        "main"
    } else {
        COMMIT
    };
    let at_revision = format!("/{REPO}/resolve/{revision}/");
    let name = path.strip_prefix(&at_revision).unwrap_or_default();
    let Some((name, file)) = shelf.files.iter().find(|(known, _)| known == name) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let (start, end) = range.split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    let end = end.parse().map_or(file.len(), |last: usize| last + 1);
    if start >= file.len() {
        return stream.write_all(
            b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let mut body = &file[start..end];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\n\
         ETag: \"{}\"\r\nx-repo-commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        body.len(),
        end - 1,
        file.len(),
        etag(name, file),
    );
    let mut asked = asked.lock().unwrap();
    asked.push((name.clone(), start));
    if asked.len() <= shelf.cuts {
        body = &body[..body.len() / 2];
    }
    drop(asked);
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn contents() -> Vec<u8> {
    (0..FILE_BYTES as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn manifest(file: &[u8]) -> ModelManifest {
    ModelManifest {
        source: ModelSource::File(ModelFile {
            file: "model.gguf".into(),
            bytes: file.len() as u64,
            sha256: sha256(file),
            package: None,
        }),
        ..repository()
    }
}

/// A manifest of a whole repository.
fn repository() -> ModelManifest {
    ModelManifest {
        name: "model".into(),
        architecture: "qwen2".into(),
        params_b: 0.0,
        active_params_b: None,
        licence: "Apache-2.0".into(),
        hub_repo: REPO.into(),
        precision: Some("bf16".into()),
        source: ModelSource::Repository { revision: None },
        config: None,
        gates: Gates::default(),
        agent: None,
    }
}

/// Two shards, and what lies beside them.
fn shards() -> Files {
    let whole = contents();
    let (first, second) = whole.split_at(FILE_BYTES / 3);
    let file = |name: &str, data: &[u8]| (name.to_owned(), data.to_vec());
    vec![
        file(".gitattributes", b"*.safetensors filter=lfs"),
        file("README.md", b"# A model"),
        file("config.json", b"{\"model_type\": \"qwen2\"}"),
        file("model-00001-of-00002.safetensors", first),
        file("model-00002-of-00002.safetensors", second),
        file("original/model.safetensors", b"something else"),
        file("tokenizer.json", b"{}"),
    ]
}

/// Those of [`shards`] that a checkpoint is opened with.
const SHARDS: [&str; 4] = [
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "tokenizer.json",
];

fn pull_from(hub: &Hub, dir: &Path) -> Result<PathBuf, CheckpointError> {
    pull(&repository(), dir, &hub.settings(), &mut |_, _| {})
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_pull_puts_the_file_in_place_and_asks_no_second_time() {
    let file = contents();
    let (hub, dir) = (Hub::new(file.clone(), 0), tempfile::tempdir().unwrap());
    let mut last = (0, 0);
    let mut seen = |done, total| last = (done, total);
    let path = pull(&manifest(&file), dir.path(), &hub.settings(), &mut seen).unwrap();
    assert_eq!(last, (file.len() as u64, file.len() as u64));
    assert!(std::fs::read(path).unwrap() == file);
    assert_eq!(names(dir.path()), ["model.gguf"]);
    pull(
        &manifest(&file),
        dir.path(),
        &hub.settings(),
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!(hub.starts(), [0]);
}

#[test]
fn a_pull_goes_on_where_the_connection_was_cut() {
    let file = contents();
    let (hub, dir) = (Hub::new(file.clone(), 2), tempfile::tempdir().unwrap());
    let path = pull(
        &manifest(&file),
        dir.path(),
        &hub.settings(),
        &mut |_, _| {},
    )
    .unwrap();
    assert!(std::fs::read(path).unwrap() == file);
    assert_eq!(hub.starts(), [0, FILE_BYTES / 2, FILE_BYTES / 4 * 3]);
}

#[test]
fn a_later_pull_takes_up_the_part_of_one_that_gave_up() {
    let file = contents();
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join(".hub/models--owner--name-GGUF/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    for kept in [1_000, file.len()] {
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{}.part", sha256(&file))), &file[..kept]).unwrap();
        let hub = Hub::new(file.clone(), 0);
        let path = pull(
            &manifest(&file),
            dir.path(),
            &hub.settings(),
            &mut |_, _| {},
        )
        .unwrap();
        assert!(std::fs::read(&path).unwrap() == file);
        let rest = if kept < file.len() {
            vec![kept]
        } else {
            vec![]
        };
        assert_eq!(hub.starts(), rest);
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_of_the_wrong_checksum_never_gets_the_name() {
    let file = contents();
    let mut other = file.clone();
    other[FILE_BYTES / 2] ^= 1;
    let (hub, dir) = (Hub::new(other, 0), tempfile::tempdir().unwrap());
    let error = pull(
        &manifest(&file),
        dir.path(),
        &hub.settings(),
        &mut |_, _| {},
    )
    .unwrap_err();
    assert!(
        matches!(error, CheckpointError::WrongFile { .. }),
        "{error}"
    );
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_hub_without_the_file_or_without_a_network_is_told_apart() {
    let file = contents();
    let (hub, dir) = (Hub::new(file.clone(), 0), tempfile::tempdir().unwrap());
    let mut absent = manifest(&file);
    absent.hub_repo = "owner/other".into();
    let error = pull(&absent, dir.path(), &hub.settings(), &mut |_, _| {}).unwrap_err();
    assert!(
        matches!(error, CheckpointError::HubStatus { status: 404, .. }),
        "{error}"
    );
    // A port that was free a moment ago: nobody answers there.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = pull(
        &absent,
        dir.path(),
        &HubSettings::at(&format!("http://{nobody}")),
        &mut |_, _| {},
    )
    .unwrap_err();
    assert!(
        matches!(error, CheckpointError::HubUnreachable { .. }),
        "{error}"
    );
}

#[test]
fn a_full_disk_is_told_before_anything_is_fetched() {
    let file = contents();
    let (hub, dir) = (Hub::new(file.clone(), 0), tempfile::tempdir().unwrap());
    let mut huge = manifest(&file);
    let ModelSource::File(known) = &mut huge.source else {
        unreachable!("a manifest of one file");
    };
    known.bytes = 1 << 60;
    let error = pull(&huge, dir.path(), &hub.settings(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, CheckpointError::DiskFull { .. }), "{error}");
    assert_eq!(hub.starts(), [0; 0]);
}

#[test]
fn a_repository_comes_into_a_directory_of_the_models_name_and_is_asked_for_once() {
    let files = shards();
    let (hub, dir) = (Hub::of_repository(&files), tempfile::tempdir().unwrap());
    let mut last = (0, 0);
    let mut seen = |done, total| last = (done, total);
    let path = pull(&repository(), dir.path(), &hub.settings(), &mut seen).unwrap();
    assert_eq!(path, dir.path().join("model"));
    assert_eq!(names(dir.path()), ["model"]);
    assert_eq!(names(&path), SHARDS);
    for (name, data) in files.iter().filter(|(name, _)| SHARDS.contains(&&**name)) {
        assert!(std::fs::read(path.join(name)).unwrap() == *data, "{name}");
    }
    let total: usize = SHARDS
        .iter()
        .map(|name| path.join(name).metadata().unwrap().len() as usize)
        .sum();
    assert_eq!(last, (total as u64, total as u64));
    assert_eq!(hub.asked().len(), SHARDS.len());
    pull_from(&hub, dir.path()).unwrap();
    assert_eq!(hub.asked().len(), SHARDS.len());
}

#[test]
fn a_repository_that_was_pulled_opens_as_a_checkpoint() {
    let fixture = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/qwen3-tiny"
    ));
    let in_fixture = names(fixture);
    let read = |name: &String| (name.clone(), std::fs::read(fixture.join(name)).unwrap());
    let mut files: Files = in_fixture.iter().map(read).collect();
    // A template of another name lies in a folder.
    let template = "additional_chat_templates/tool_use.jinja";
    files.push((template.into(), b"{{ tools }}".to_vec()));
    let (hub, dir) = (Hub::of_repository(&files), tempfile::tempdir().unwrap());
    let path = pull_from(&hub, dir.path()).unwrap();
    assert_eq!(std::fs::read(path.join(template)).unwrap(), b"{{ tools }}");
    let pulled = Checkpoint::open(&path).unwrap();
    let original = Checkpoint::open(fixture).unwrap();
    assert_eq!(pulled.config(), original.config());
    assert_eq!(pulled.weight_bytes(), original.weight_bytes());
}

#[test]
fn half_a_repository_has_no_name_and_the_next_pull_takes_the_rest() {
    let files = shards();
    let dir = tempfile::tempdir().unwrap();
    let mut damaged = files.clone();
    damaged[4].1[FILE_BYTES / 2] ^= 1;
    // The list is of the right files, what comes is not.
    let hub = Hub::of(Shelf {
        listing: listing(&files),
        files: damaged,
        cuts: 0,
    });
    let error = pull_from(&hub, dir.path()).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::WrongFile { file, .. } if file == SHARDS[2]),
        "{error}"
    );
    assert_eq!(names(dir.path()), ["model.part"]);
    let hub = Hub::of_repository(&files);
    let path = pull_from(&hub, dir.path()).unwrap();
    assert_eq!(hub.asked(), [(SHARDS[2].to_owned(), 0)]);
    assert_eq!(names(dir.path()), ["model"]);
    assert_eq!(names(&path), SHARDS);
}

#[test]
fn a_shard_goes_on_where_it_was_cut_and_not_in_another_files_part() {
    let files = shards();
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join(".hub/models--owner--name-GGUF/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let (name, shard) = &files[3];
    let part = blobs.join(format!("{}.part", sha256(shard)));
    let under_way = dir.path().join("model.part");
    std::fs::create_dir_all(&under_way).unwrap();
    for name in ["config.json", "tokenizer.json"] {
        let (_, data) = files.iter().find(|(known, _)| known == name).unwrap();
        std::fs::write(under_way.join(name), data).unwrap();
    }
    std::fs::write(part, &shard[..1_000]).unwrap();
    std::fs::write(blobs.join("of-an-older-commit.part"), &shard[..2_000]).unwrap();
    let hub = Hub::of_repository(&files);
    let path = pull_from(&hub, dir.path()).unwrap();
    assert_eq!(
        hub.asked(),
        [(name.clone(), 1_000), (SHARDS[2].to_owned(), 0)]
    );
    assert!(std::fs::read(path.join(name)).unwrap() == *shard);
}

#[test]
fn a_shard_that_went_bad_is_fetched_again_alone() {
    let files = shards();
    let (hub, dir) = (Hub::of_repository(&files), tempfile::tempdir().unwrap());
    let path = pull_from(&hub, dir.path()).unwrap();
    let shard = path.join(SHARDS[1]);
    let mut bad = files[3].1.clone();
    bad[77] ^= 1;
    std::fs::write(&shard, bad).unwrap();
    let before = hub.asked().len();
    pull_from(&hub, dir.path()).unwrap();
    assert_eq!(hub.asked()[before..], [(SHARDS[1].to_owned(), 0)]);
    assert!(std::fs::read(shard).unwrap() == files[3].1);
    assert_eq!(names(dir.path()), ["model"]);
}

#[test]
fn a_hub_that_gives_no_checksum_or_no_checkpoint_is_refused() {
    let files = shards();
    let refusal = |listing: serde_json::Value| {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf {
            files: files.clone(),
            listing,
            cuts: 0,
        };
        let error = pull_from(&Hub::of(shelf), dir.path()).unwrap_err();
        assert!(names(dir.path()).is_empty());
        error
    };
    let mut without = listing(&files);
    without["siblings"][3]["lfs"] = serde_json::Value::Null;
    let error = refusal(without).to_string();
    assert!(
        error.contains("it gives no SHA-256 of model-00001"),
        "{error}"
    );
    let error = refusal(listing(&files[..3].to_vec()));
    assert!(
        matches!(
            error,
            CheckpointError::NoCheckpoint {
                missing: "*.safetensors",
                ..
            }
        ),
        "{error}"
    );
    let error = refusal(serde_json::json!({"models": []}));
    assert!(matches!(error, CheckpointError::NotAHub { .. }), "{error}");
}
