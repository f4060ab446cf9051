//! Fetches models from a hub: the one thing here that uses a network,
//! and only when a person asks for it by name.
//!
//! hf-hub 0.5 finds a file and writes it to a `.part` that it takes up again.
//! Around it stands what it leaves open: it appends to the wrong place when it
//! retries by itself after a resumed start, asks for an empty range when the
//! part is already whole, and checks neither length nor checksum.
use super::{CheckpointError, repository};
use crate::base::{ModelManifest, ModelSource};
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Repo, RepoType};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts in a row that bring nothing before a pull gives up.
const BARREN_ATTEMPTS_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What a repository is fetched at where nothing is said of it.
const NEWEST: &str = "main";

/// Fetches what the manifest names into `dir` and gives its path: that of the one file,
/// or of a directory of the model's name with all files of the repository.
///
/// A pull that was cut off goes on where it stopped. A file gets its place
/// only once its size and SHA-256 are right: the manifest's, or for a repository the
/// hub's; a directory gets its name only once it is whole. `endpoint` is the hub's
/// URL; `None` takes `HF_ENDPOINT`, else hf-hub's own. `on_progress(bytes done,
/// bytes in all)` is called as bytes arrive, and as files of a pull before are found.
///
/// Errors: `HubUnreachable`, `HubStatus`, `NotAHub`, `NoCheckpoint`, `WrongFile`,
/// `DiskFull`, `PullUnderWay`, `Io`.
pub fn pull(
    manifest: &ModelManifest,
    dir: &Path,
    endpoint: Option<&str>,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf, CheckpointError> {
    let target = dir.join(manifest.kept_as());
    let hub = |revision| {
        std::fs::create_dir_all(dir).map_err(io("create", dir))?;
        Hub::new(&manifest.hub_repo, revision, dir, endpoint)
    };
    match &manifest.source {
        ModelSource::File(known) => {
            let file = HubFile {
                name: known.file.clone(),
                bytes: known.bytes,
                sha256: Some(known.sha256.clone()),
                etag: None,
            };
            if !file.is_at(&target)? {
                let progress = &mut |done| on_progress(done, file.bytes);
                hub(NEWEST)?.fetch(&file, &target, progress)?;
            }
        }
        ModelSource::Repository { revision } => {
            let hub = hub(revision.as_deref().unwrap_or(NEWEST))?;
            repository::pull(&hub, &target, on_progress)?;
        }
    }
    Ok(target)
}

/// SHA-256 of a file, lower-case hex. Cost: reads the file once, 1 MiB at a time.
pub fn sha256_of(path: &Path) -> Result<String, CheckpointError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).map_err(io("read", path))? {
            0 => break,
            n => digest.update(&block[..n]),
        }
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect())
}

/// A file of a repository, and what it has to be.
pub(super) struct HubFile {
    /// Within the repository.
    pub name: String,
    pub bytes: u64,
    /// SHA-256, lower-case hex; `None` where the hub gives none: of small text files.
    pub sha256: Option<String>,
    /// The hub's mark of the contents, by which a `.part` is known; `None` takes any.
    pub etag: Option<String>,
}

impl HubFile {
    /// True where the file lies at `path`, whole and right.
    pub fn is_at(&self, path: &Path) -> Result<bool, CheckpointError> {
        Ok(path.exists() && self.misfit(path)?.is_none())
    }

    /// What makes the file at `path` another one, if anything. Cost: reads it once.
    fn misfit(&self, path: &Path) -> Result<Option<String>, CheckpointError> {
        let bytes = path.metadata().map_err(io("read", path))?.len();
        if bytes != self.bytes {
            return Ok(Some(format!("{bytes} bytes, not {}", self.bytes)));
        }
        let Some(expected) = &self.sha256 else {
            return Ok(None);
        };
        let found = sha256_of(path)?;
        Ok((found != *expected).then(|| format!("SHA-256 {found}, not {expected}")))
    }
}

/// A repository of a hub, and where its files lie while they are on their way.
pub(super) struct Hub {
    api: Api,
    /// `owner/name`.
    pub repo: String,
    at_revision: ApiRepo,
    endpoint: String,
    /// hf-hub's cache, kept for this pull alone: `DIR/.hub`.
    cache: PathBuf,
    /// The repository's directory within it.
    repo_dir: PathBuf,
}

impl Hub {
    fn new(
        repo: &str,
        revision: &str,
        dir: &Path,
        endpoint: Option<&str>,
    ) -> Result<Self, CheckpointError> {
        let cache = dir.join(".hub");
        let mut builder = ApiBuilder::from_env()
            .with_cache_dir(cache.clone())
            .with_retries(0);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.to_owned());
        }
        let named = endpoint.map(str::to_owned);
        let endpoint = named
            .or_else(|| std::env::var("HF_ENDPOINT").ok())
            .unwrap_or_else(|| "its usual address".into());
        let api = builder
            .build()
            .map_err(|e| CheckpointError::HubUnreachable {
                endpoint: endpoint.clone(),
                reason: e.to_string(),
            })?;
        let folder = Repo::model(repo.to_owned()).folder_name();
        Ok(Self {
            at_revision: api.repo(at_revision(repo, revision)),
            api,
            repo: repo.to_owned(),
            endpoint,
            repo_dir: cache.join(folder),
            cache,
        })
    }

    /// The same repository at another revision.
    pub fn at(&self, revision: &str) -> Self {
        Self {
            api: self.api.clone(),
            repo: self.repo.clone(),
            at_revision: self.api.repo(at_revision(&self.repo, revision)),
            endpoint: self.endpoint.clone(),
            cache: self.cache.clone(),
            repo_dir: self.repo_dir.clone(),
        }
    }

    /// What the hub says of the repository at its revision: the commit, and each file
    /// with its size and checksum.
    pub fn listing(&self) -> Result<serde_json::Value, CheckpointError> {
        let explained = |error| self.explained("the list of files", error);
        let request = self.at_revision.info_request().query("blobs", "true");
        let mut response = request
            .call()
            .map_err(|error| explained(ApiError::RequestError(Box::new(error))))?;
        let listing = response.body_mut().read_json();
        listing.map_err(|error| self.not_a_hub(error.to_string()))
    }

    /// Fetches one file to `target`, where it comes only if it is right.
    /// `on_progress(bytes done)`.
    pub fn fetch(
        &self,
        file: &HubFile,
        target: &Path,
        on_progress: &mut dyn FnMut(u64),
    ) -> Result<(), CheckpointError> {
        let fetched = self.fetch_unchecked(file, on_progress)?;
        if let Some(what) = file.misfit(&fetched)? {
            self.throw_away()?;
            return Err(CheckpointError::WrongFile {
                file: file.name.clone(),
                what,
            });
        }
        std::fs::rename(&fetched, target).map_err(io("rename", &fetched))?;
        self.throw_away()
    }

    /// Fetches until the file is whole; gives where it lies. Its bytes are not
    /// checked yet.
    fn fetch_unchecked(
        &self,
        file: &HubFile,
        on_progress: &mut dyn FnMut(u64),
    ) -> Result<PathBuf, CheckpointError> {
        let mut barren = 0;
        loop {
            let (part, before) = self.part(file)?;
            if let Some(part) = part
                && before >= file.bytes
            {
                return Ok(part);
            }
            self.check_disk(file.bytes - before)?;
            let error = match self.attempt(file, on_progress) {
                Ok(path) => return Ok(path),
                Err(error) => error,
            };
            let (_, after) = self.part(file)?;
            barren = if after > before { 0 } else { barren + 1 };
            let error = self.explained(&file.name, error);
            let worth_another = matches!(
                error,
                CheckpointError::HubUnreachable { .. }
                    | CheckpointError::HubStatus { status: 500.., .. }
            );
            if !worth_another || barren >= BARREN_ATTEMPTS_MAX {
                return Err(error);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// One download by hf-hub, from where the `.part` ends.
    fn attempt(
        &self,
        file: &HubFile,
        on_progress: &mut dyn FnMut(u64),
    ) -> Result<PathBuf, ApiError> {
        // What a killed run may have left of hf-hub's links would stop it.
        let _ = std::fs::remove_dir_all(self.repo_dir.join("snapshots"));
        let progress = Bytes {
            done: 0,
            on_progress,
        };
        let link = self
            .at_revision
            .download_with_progress(&file.name, progress)?;
        let blob = std::fs::canonicalize(link)?;
        if blob.metadata()?.len() < file.bytes {
            // The connection was closed early and hf-hub took it for the end.
            std::fs::rename(&blob, blob.with_extension("part"))?;
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        Ok(blob)
    }

    /// The `.part` of an attempt before, and its bytes; 0 if there is none.
    pub fn part(&self, file: &HubFile) -> Result<(Option<PathBuf>, u64), CheckpointError> {
        let Ok(entries) = std::fs::read_dir(self.repo_dir.join("blobs")) else {
            return Ok((None, 0));
        };
        let is_of_file = |path: &PathBuf| {
            let etag = path.file_stem().and_then(|stem| stem.to_str());
            path.extension().is_some_and(|e| e == "part")
                && (file.etag.is_none() || file.etag.as_deref() == etag)
        };
        let part = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(is_of_file);
        match part {
            None => Ok((None, 0)),
            Some(path) => {
                let bytes = path.metadata().map_err(io("read", &path))?.len();
                Ok((Some(path), bytes))
            }
        }
    }

    /// Refuses what there is no room for.
    pub fn check_disk(&self, need: u64) -> Result<(), CheckpointError> {
        let dir = self.cache.parent().unwrap_or(&self.cache);
        match free_bytes(dir) {
            Some(free) if free < need => Err(CheckpointError::DiskFull {
                dir: dir.to_owned(),
                free,
                need,
            }),
            _ => Ok(()),
        }
    }

    fn throw_away(&self) -> Result<(), CheckpointError> {
        std::fs::remove_dir_all(&self.repo_dir).map_err(io("remove", &self.repo_dir))?;
        // Other repositories' parts may still lie there; then it stays.
        let _ = std::fs::remove_dir(&self.cache);
        Ok(())
    }

    /// An answer that no hub gives.
    pub fn not_a_hub(&self, reason: String) -> CheckpointError {
        CheckpointError::NotAHub {
            endpoint: self.endpoint.clone(),
            reason,
        }
    }

    /// hf-hub's error in our words; `what` was asked for.
    fn explained(&self, what: &str, error: ApiError) -> CheckpointError {
        let endpoint = self.endpoint.clone();
        match error {
            ApiError::IoError(source) if source.kind() == std::io::ErrorKind::StorageFull => {
                CheckpointError::Io {
                    what: "write to",
                    path: self.repo_dir.clone(),
                    source,
                }
            }
            ApiError::LockAcquisition(path) => CheckpointError::PullUnderWay { path },
            ApiError::MissingHeader(_)
            | ApiError::InvalidHeader(_)
            | ApiError::ParseIntError(_) => self.not_a_hub(error.to_string()),
            other => match status_of(&other) {
                Some(status) => CheckpointError::HubStatus {
                    endpoint,
                    repo: self.repo.clone(),
                    file: what.to_owned(),
                    status,
                },
                None => CheckpointError::HubUnreachable {
                    endpoint,
                    reason: other.to_string().replace("request error: ", ""),
                },
            },
        }
    }
}

fn at_revision(repo: &str, revision: &str) -> Repo {
    Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned())
}

/// The HTTP status that a request failed with. hf-hub does not show ureq's
/// types, only their words.
fn status_of(error: &ApiError) -> Option<u16> {
    let text = error.to_string();
    text.rsplit_once("http status: ")?.1.trim().parse().ok()
}

/// Bytes free for us in the file system of `dir`, by POSIX `df -P`; `None`
/// where it cannot be told.
fn free_bytes(dir: &Path) -> Option<u64> {
    let output = std::process::Command::new("df")
        .arg("-Pk")
        .arg(dir)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // Filesystem 1024-blocks Used Available Capacity Mounted-on
    let kib: u64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kib * 1024)
}

pub(super) fn io<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl Fn(std::io::Error) -> CheckpointError + 'a {
    move |source| CheckpointError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// hf-hub's progress as a call with the bytes done.
struct Bytes<'a> {
    done: u64,
    on_progress: &'a mut dyn FnMut(u64),
}

impl Progress for Bytes<'_> {
    fn init(&mut self, _size: usize, _filename: &str) {
        self.done = 0;
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.on_progress)(self.done);
    }

    fn finish(&mut self) {}
}
