//! Pulling a model from a hub on the loopback interface.
use egss::base::ModelManifest;
use egss::checkpoint::{CheckpointError, pull, sha256_of};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Larger than any buffer on the way, so that a cut falls in the middle of it.
const FILE_BYTES: usize = 3 << 20;
const REPO: &str = "owner/name-GGUF";

/// A hub with one file, which notes each range that it is asked for.
struct Hub {
    endpoint: String,
    ranges: Arc<Mutex<Vec<usize>>>,
}

impl Hub {
    /// Serves `file`; of the first `cuts` downloads only half of what was asked
    /// arrives before the connection closes.
    fn new(file: Vec<u8>, cuts: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&ranges);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away in the middle is part of the test.
                let _ = serve(stream.unwrap(), &file, &asked, cuts);
            }
        });
        Self { endpoint, ranges }
    }

    /// Where each download began.
    fn starts(&self) -> Vec<usize> {
        self.ranges.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    file: &[u8],
    asked: &Mutex<Vec<usize>>,
    cuts: usize,
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
    let path = format!("/{REPO}/resolve/main/model.gguf");
    if request.split(' ').nth(1) != Some(&path) {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
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
         ETag: \"abc\"\r\nx-repo-commit: 0123456789\r\nConnection: close\r\n\r\n",
        body.len(),
        end - 1,
        file.len()
    );
    // A range of one byte is hf-hub's question after the file's size.
    if body.len() > 1 {
        let mut asked = asked.lock().unwrap();
        asked.push(start);
        if asked.len() <= cuts {
            body = &body[..body.len() / 2];
        }
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn contents() -> Vec<u8> {
    (0..FILE_BYTES as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn manifest(file: &[u8]) -> ModelManifest {
    let scratch = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(scratch.path(), file).unwrap();
    ModelManifest {
        name: "model".into(),
        architecture: "qwen2".into(),
        params_b: 0.0,
        licence: "Apache-2.0".into(),
        hub_repo: REPO.into(),
        file: "model.gguf".into(),
        bytes: file.len() as u64,
        sha256: sha256_of(scratch.path()).unwrap(),
        package: None,
        gate: None,
    }
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
    let path = pull(&manifest(&file), dir.path(), Some(&hub.endpoint), &mut seen).unwrap();
    assert_eq!(last, (file.len() as u64, file.len() as u64));
    assert!(std::fs::read(path).unwrap() == file);
    assert_eq!(names(dir.path()), ["model.gguf"]);
    pull(
        &manifest(&file),
        dir.path(),
        Some(&hub.endpoint),
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
        Some(&hub.endpoint),
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
        std::fs::write(blobs.join("abc.part"), &file[..kept]).unwrap();
        let hub = Hub::new(file.clone(), 0);
        let path = pull(
            &manifest(&file),
            dir.path(),
            Some(&hub.endpoint),
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
        Some(&hub.endpoint),
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
    let error = pull(&absent, dir.path(), Some(&hub.endpoint), &mut |_, _| {}).unwrap_err();
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
        Some(&format!("http://{nobody}")),
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
    huge.bytes = 1 << 60;
    let error = pull(&huge, dir.path(), Some(&hub.endpoint), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, CheckpointError::DiskFull { .. }), "{error}");
    assert_eq!(hub.starts(), [0; 0]);
}
