//! Hubs that ask for a token, send elsewhere, say nothing, or have another file.
use super::{FILE_BYTES, REPO, contents, manifest, names};
use egss::base::{ModelManifest, ModelSource};
use egss::checkpoint::{CheckpointError, HubSettings, pull};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TOKEN: &str = "hf_secret";

/// Shorter than a person would wait, longer than a loopback takes.
const STALL: Duration = Duration::from_millis(300);

/// A request that came in.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    authorization: Option<String>,
    /// From which byte on.
    from: usize,
}

/// A server that notes what it is asked and answers as it is told to.
struct Server {
    endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new(answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                // A silent answer must not hold up the next request.
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if let Some(request) = read_request(&stream) {
                        noted.lock().unwrap().push(request.clone());
                        answer(&request, &mut stream);
                    }
                });
            }
        });
        Self { endpoint, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn settings(&self) -> HubSettings {
        HubSettings {
            token: Some(TOKEN.into()),
            ..HubSettings::at(&self.endpoint)
        }
    }

    /// For a server that falls silent.
    fn impatient(&self) -> HubSettings {
        HubSettings {
            stall_max: STALL,
            ..self.settings()
        }
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let request = lines.next()?.ok()?;
    let mut asked = Asked {
        path: request.split(' ').nth(1)?.to_owned(),
        authorization: None,
        from: 0,
    };
    for line in lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(": ")?;
        match &*name.to_ascii_lowercase() {
            "authorization" => asked.authorization = Some(value.to_owned()),
            "range" => {
                let from = value.strip_prefix("bytes=")?.strip_suffix('-')?;
                asked.from = from.parse().ok()?;
            }
            _ => {}
        }
    }
    Some(asked)
}

fn send_head(stream: &mut TcpStream, status: &str, headers: &str) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n");
    // A client that goes away is part of some tests.
    let _ = stream.write_all(head.as_bytes());
}

fn send_status(stream: &mut TcpStream, status: &str) {
    send_head(stream, status, "Content-Length: 0\r\n");
}

fn redirect(stream: &mut TcpStream, to: &str) {
    send_head(
        stream,
        "302 Found",
        &format!("Location: {to}\r\nContent-Length: 0\r\n"),
    );
}

/// The rest of a file, as a hub sends it, or the beginning of that.
fn send_rest(stream: &mut TcpStream, file: &[u8], from: usize, bytes_max: usize) {
    if from >= file.len() {
        let range = format!(
            "Content-Range: bytes */{}\r\nContent-Length: 0\r\n",
            file.len()
        );
        return send_head(stream, "416 Range Not Satisfiable", &range);
    }
    let rest = &file[from..];
    let range = format!(
        "Content-Range: bytes {from}-{}/{}\r\nContent-Length: {}\r\n",
        file.len() - 1,
        file.len(),
        rest.len()
    );
    send_head(stream, "206 Partial Content", &range);
    let _ = stream.write_all(&rest[..rest.len().min(bytes_max)]);
}

fn pull_into(
    dir: &Path,
    manifest: &ModelManifest,
    settings: &HubSettings,
) -> Result<Vec<u8>, CheckpointError> {
    let path = pull(manifest, dir, settings, &mut |_, _| {})?;
    Ok(std::fs::read(path).unwrap())
}

fn refusal(settings: &HubSettings) -> String {
    let dir = tempfile::tempdir().unwrap();
    let error = pull_into(dir.path(), &manifest(&contents()), settings);
    let error = error.expect_err("a refusal").to_string();
    assert!(!error.contains(TOKEN) && !error.contains('\n'), "{error}");
    error
}

/// sglang#38715, mistral.rs#2107.
#[test]
fn the_token_is_shown_to_the_hub_and_the_advice_knows_of_it() {
    let server = Server::new(|_, stream| send_status(stream, "401 Unauthorized"));
    let error = refusal(&server.settings());
    assert!(error.contains("renew HF_TOKEN"), "{error}");
    let asked = server.asked();
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].authorization.as_deref(), Some(&*bearer));
    let error = refusal(&HubSettings {
        token: None,
        ..server.settings()
    });
    assert!(error.contains("set HF_TOKEN"), "{error}");
    assert_eq!(server.asked()[1].authorization, None);
}

/// hf_transfer#42.
#[test]
fn the_token_goes_along_within_the_hub_and_to_no_other_host() {
    let file = contents();
    let sent = file.clone();
    let store = Server::new(move |asked, stream| send_rest(stream, &sent, asked.from, usize::MAX));
    let elsewhere = format!("{}/blob?signed=1", store.endpoint);
    let hub = Server::new(
        move |asked, stream| match asked.path.starts_with("/renamed") {
            true => redirect(stream, &elsewhere),
            false => redirect(stream, "/renamed/model.gguf"),
        },
    );
    let dir = tempfile::tempdir().unwrap();
    let pulled = pull_into(dir.path(), &manifest(&file), &hub.settings()).unwrap();
    assert!(pulled == file);
    let with_token = |asked: Vec<Asked>| -> Vec<(String, bool)> {
        let shown = asked.into_iter();
        shown.map(|a| (a.path, a.authorization.is_some())).collect()
    };
    let at_hub = [
        (format!("/{REPO}/resolve/main/model.gguf"), true),
        ("/renamed/model.gguf".to_owned(), true),
    ];
    assert_eq!(with_token(hub.asked()), at_hub);
    assert_eq!(
        with_token(store.asked()),
        [("/blob?signed=1".to_owned(), false)]
    );
}

/// unsloth#11000.
#[test]
fn a_connection_that_falls_silent_is_tried_again_a_few_times_and_then_named() {
    let file = contents();
    let server = Server::new(move |asked, stream| {
        send_rest(stream, &file, asked.from, 1_000);
        std::thread::sleep(STALL * 20);
    });
    let began = Instant::now();
    let error = refusal(&server.impatient());
    assert!(error.contains("nothing came for 0.3 s"), "{error}");
    let starts: Vec<usize> = server.asked().iter().map(|asked| asked.from).collect();
    assert_eq!(starts, [0, 1_000, 2_000]);
    assert!(began.elapsed() < STALL * 15, "{:?}", began.elapsed());
}

#[test]
fn a_hub_that_never_answers_is_given_up_too() {
    let server = Server::new(|_, _| std::thread::sleep(STALL * 20));
    let error = refusal(&server.impatient());
    assert!(error.contains("nothing came for 0.3 s"), "{error}");
    assert_eq!(server.asked().len(), 3);
    // So is one that falls silent over the list of a repository's files.
    let dir = tempfile::tempdir().unwrap();
    let settings = server.impatient();
    let error = pull_into(dir.path(), &super::repository(), &settings).unwrap_err();
    assert!(
        matches!(error, CheckpointError::HubUnreachable { .. }),
        "{error}"
    );
    assert_eq!(server.asked().len(), 6);
}

#[test]
fn a_pull_that_fell_silent_goes_on_where_it_stopped() {
    let file = contents();
    let sent = file.clone();
    let server = Server::new(move |asked, stream| {
        let bytes_max = if asked.from == 0 { 1_000 } else { usize::MAX };
        send_rest(stream, &sent, asked.from, bytes_max);
        if asked.from == 0 {
            std::thread::sleep(STALL * 4);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let pulled = pull_into(dir.path(), &manifest(&file), &server.impatient()).unwrap();
    assert!(pulled == file);
    assert_eq!(names(dir.path()), ["model.gguf"]);
}

/// ollama#8632.
#[test]
fn a_redirect_to_itself_is_followed_ten_times() {
    let server = Server::new(|asked, stream| redirect(stream, &asked.path));
    let error = refusal(&server.settings());
    assert!(error.contains("redirects more than 10 times"), "{error}");
    assert_eq!(server.asked().len(), 11);
}

#[test]
fn a_redirect_to_nowhere_is_no_hub() {
    for headers in [
        "",
        "Location: file:///etc/passwd\r\n",
        "Location: http://\r\n",
    ] {
        let headers = format!("{headers}Content-Length: 0\r\n");
        let server = Server::new(move |_, stream| send_head(stream, "302 Found", &headers));
        let error = refusal(&server.settings());
        assert!(
            error.contains("does not answer as a model hub does"),
            "{error}"
        );
    }
}

/// ollama#330: a shorter file ended in "status 416".
#[test]
fn a_file_of_another_length_is_said_in_bytes() {
    let file = contents();
    let longer = [&file[..], b"more"].concat();
    for (of_hub, found) in [
        (
            file[..600].to_vec(),
            "of 600 bytes where 3,145,728 are expected",
        ),
        (Vec::new(), "of 0 bytes where 3,145,728 are expected"),
        (longer, "of 3,145,732 bytes where 3,145,728 are expected"),
    ] {
        let server =
            Server::new(move |asked, stream| send_rest(stream, &of_hub, asked.from, usize::MAX));
        let error = refusal(&server.settings());
        assert!(error.contains(found), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_part_that_is_longer_than_the_hubs_file_is_no_status_416() {
    let file = contents();
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join(".hub/models--owner--name-GGUF/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let part = blobs.join(format!("{}.part", super::sha256(&file)));
    std::fs::write(part, &file[..1_000]).unwrap();
    let server = Server::new(|asked, stream| send_rest(stream, &[7; 600], asked.from, usize::MAX));
    let error = pull_into(dir.path(), &manifest(&file), &server.settings()).unwrap_err();
    assert!(
        matches!(
            error,
            CheckpointError::WrongSize {
                found: Some(600),
                ..
            }
        ),
        "{error}"
    );
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_hub_without_ranges_or_lengths_is_read_from_the_start() {
    let file = contents();
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join(".hub/models--owner--name-GGUF/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let part = blobs.join(format!("{}.part", super::sha256(&file)));
    std::fs::write(part, &file[..1_000]).unwrap();
    let sent = file.clone();
    let server = Server::new(move |_, stream| {
        send_head(stream, "200 OK", "");
        let _ = stream.write_all(&sent);
    });
    let pulled = pull_into(dir.path(), &manifest(&file), &server.settings()).unwrap();
    assert!(pulled == file);
    assert_eq!(server.asked()[0].from, 1_000);
}

#[test]
fn every_refusal_of_a_hub_is_a_sentence_that_says_what_to_do() {
    for (status, advice, n_asked) in [
        ("401 Unauthorized", "renew HF_TOKEN", 1),
        ("403 Forbidden", "ask for access", 1),
        ("404 Not Found", "look at the manifest's hub_repo", 1),
        ("429 Too Many Requests", "try again later", 3),
        ("503 Service Unavailable", "the hub is in trouble", 3),
        ("204 No Content", "check HF_ENDPOINT", 1),
    ] {
        let server = Server::new(move |_, stream| send_status(stream, status));
        let error = refusal(&server.settings());
        assert!(error.contains(advice), "{status}: {error}");
        assert!(error.contains(&status[..3]), "{status}: {error}");
        assert_eq!(server.asked().len(), n_asked, "{status}");
    }
}

#[test]
fn a_busy_hub_is_asked_again_when_it_says_but_not_after_an_hour() {
    let file = contents();
    let busy = |stream: &mut TcpStream, wait: &str| {
        let headers = format!("Retry-After: {wait}\r\nContent-Length: 0\r\n");
        send_head(stream, "429 Too Many Requests", &headers);
    };
    let (sent, began) = (file.clone(), Instant::now());
    let first = Mutex::new(true);
    let server =
        Server::new(
            move |asked, stream| match std::mem::take(&mut *first.lock().unwrap()) {
                true => busy(stream, "2"),
                false => send_rest(stream, &sent, asked.from, usize::MAX),
            },
        );
    let dir = tempfile::tempdir().unwrap();
    let pulled = pull_into(dir.path(), &manifest(&file), &server.settings()).unwrap();
    assert!(pulled == file);
    assert!(began.elapsed() >= Duration::from_secs(2));
    let server = Server::new(move |_, stream| busy(stream, "3600"));
    assert!(refusal(&server.settings()).contains("try again later"));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn offline_the_hub_is_not_asked_but_a_file_that_is_there_is_found() {
    let file = contents();
    let server = Server::new(|_, stream| send_status(stream, "404 Not Found"));
    let offline = HubSettings {
        is_offline: true,
        ..server.settings()
    };
    assert!(refusal(&offline).contains("HF_HUB_OFFLINE is set"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.gguf"), &file).unwrap();
    let found = pull_into(dir.path(), &manifest(&file), &offline).unwrap();
    assert_eq!(found.len(), FILE_BYTES);
    assert!(server.asked().is_empty());
}

#[test]
fn two_pulls_of_one_file_do_not_write_into_each_other() {
    let file = contents();
    let sent = file.clone();
    let server = Server::new(move |asked, stream| {
        std::thread::sleep(STALL / 2);
        send_rest(stream, &sent, asked.from, usize::MAX);
    });
    let (dir, settings) = (tempfile::tempdir().unwrap(), server.settings());
    let results: Vec<_> = std::thread::scope(|scope| {
        let pull = || pull_into(dir.path(), &manifest(&file), &settings);
        let both = [scope.spawn(pull), scope.spawn(pull)];
        both.map(|one| one.join().unwrap()).into()
    });
    let n_pulled = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(n_pulled, 1);
    let refused = results.into_iter().find_map(Result::err).unwrap();
    assert!(
        matches!(refused, CheckpointError::PullUnderWay { .. }),
        "{refused}"
    );
}

#[test]
fn parts_of_other_files_of_a_repository_stay() {
    let file = contents();
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join(".hub/models--owner--name-GGUF/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let other = blobs.join("0123.part");
    std::fs::write(&other, b"another file's beginning").unwrap();
    let sent = file.clone();
    let server = Server::new(move |asked, stream| send_rest(stream, &sent, asked.from, usize::MAX));
    let manifest = manifest(&file);
    assert!(matches!(manifest.source, ModelSource::File(_)));
    assert!(pull_into(dir.path(), &manifest, &server.settings()).unwrap() == file);
    assert_eq!(server.asked()[0].from, 0);
    assert!(other.exists());
}
