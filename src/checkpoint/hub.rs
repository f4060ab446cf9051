//! Fetches a model's file from a hub: the one thing here that uses a network,
//! and only when a person asks for it by name.
//!
//! hf-hub 0.5 finds the file and writes it to a `.part` that it takes up again.
//! Around it stands what it leaves open: it appends to the wrong place when it
//! retries by itself after a resumed start, asks for an empty range when the
//! part is already whole, and checks neither length nor checksum.
use super::CheckpointError;
use crate::base::ModelManifest;
use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts in a row that bring nothing before a pull gives up.
const BARREN_ATTEMPTS_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Fetches the manifest's file into `dir` and gives its path.
///
/// A pull that was cut off goes on where it stopped. The file gets its name
/// only once its size and SHA-256 are the manifest's. `endpoint` is the hub's
/// URL; `None` takes `HF_ENDPOINT`, else hf-hub's own. `on_progress(bytes done,
/// bytes in all)` is called as bytes arrive.
///
/// Errors: `HubUnreachable`, `HubStatus`, `NotAHub`, `WrongFile`, `DiskFull`,
/// `PullUnderWay`, `Io`.
pub fn pull(
    manifest: &ModelManifest,
    dir: &Path,
    endpoint: Option<&str>,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf, CheckpointError> {
    let target = dir.join(&manifest.file);
    if target.exists() && is_right(&target, manifest)?.is_ok() {
        return Ok(target);
    }
    std::fs::create_dir_all(dir).map_err(io("create", dir))?;
    let pull = Pull::new(manifest, dir, endpoint)?;
    let fetched = pull.fetch(on_progress)?;
    if let Err(what) = is_right(&fetched, manifest)? {
        pull.throw_away()?;
        return Err(CheckpointError::WrongFile {
            file: manifest.file.clone(),
            what,
        });
    }
    std::fs::rename(&fetched, &target).map_err(io("rename", &fetched))?;
    pull.throw_away()?;
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

/// One file on its way.
struct Pull<'a> {
    manifest: &'a ModelManifest,
    endpoint: String,
    repo: ApiRepo,
    /// hf-hub's cache, kept for this pull alone: `DIR/.hub`.
    cache: PathBuf,
    /// The repository's directory within it.
    repo_dir: PathBuf,
}

impl<'a> Pull<'a> {
    fn new(
        manifest: &'a ModelManifest,
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
        let folder = hf_hub::Repo::model(manifest.hub_repo.clone()).folder_name();
        Ok(Self {
            manifest,
            endpoint,
            repo: api.model(manifest.hub_repo.clone()),
            repo_dir: cache.join(folder),
            cache,
        })
    }

    /// Fetches until the file is whole; gives where it lies. Its bytes are not
    /// checked yet.
    fn fetch(&self, on_progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf, CheckpointError> {
        let mut barren = 0;
        loop {
            let (part, before) = self.part()?;
            if let Some(part) = part
                && before >= self.manifest.bytes
            {
                return Ok(part);
            }
            self.check_disk(before)?;
            let error = match self.attempt(on_progress) {
                Ok(path) => return Ok(path),
                Err(error) => error,
            };
            let (_, after) = self.part()?;
            barren = if after > before { 0 } else { barren + 1 };
            let error = self.explained(error);
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
    fn attempt(&self, on_progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf, ApiError> {
        // What a killed run may have left of hf-hub's links would stop it.
        let _ = std::fs::remove_dir_all(self.repo_dir.join("snapshots"));
        let progress = Bytes {
            done: 0,
            total: self.manifest.bytes,
            on_progress,
        };
        let link = self
            .repo
            .download_with_progress(&self.manifest.file, progress)?;
        let blob = std::fs::canonicalize(link)?;
        if blob.metadata()?.len() < self.manifest.bytes {
            // The connection was closed early and hf-hub took it for the end.
            std::fs::rename(&blob, blob.with_extension("part"))?;
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        Ok(blob)
    }

    /// The `.part` of an attempt before, and its bytes; 0 if there is none.
    fn part(&self) -> Result<(Option<PathBuf>, u64), CheckpointError> {
        let Ok(entries) = std::fs::read_dir(self.repo_dir.join("blobs")) else {
            return Ok((None, 0));
        };
        let part = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|e| e == "part"));
        match part {
            None => Ok((None, 0)),
            Some(path) => {
                let bytes = path.metadata().map_err(io("read", &path))?.len();
                Ok((Some(path), bytes))
            }
        }
    }

    fn check_disk(&self, have: u64) -> Result<(), CheckpointError> {
        let dir = self.cache.parent().unwrap_or(&self.cache);
        let need = self.manifest.bytes - have;
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

    /// hf-hub's error in our words.
    fn explained(&self, error: ApiError) -> CheckpointError {
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
            | ApiError::ParseIntError(_) => CheckpointError::NotAHub {
                endpoint,
                reason: error.to_string(),
            },
            other => match status_of(&other) {
                Some(status) => CheckpointError::HubStatus {
                    endpoint,
                    repo: self.manifest.hub_repo.clone(),
                    file: self.manifest.file.clone(),
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

/// The HTTP status that a request failed with. hf-hub does not show ureq's
/// types, only their words.
fn status_of(error: &ApiError) -> Option<u16> {
    let text = error.to_string();
    text.rsplit_once("http status: ")?.1.trim().parse().ok()
}

/// Whether a file is the manifest's; `Err(why not)` inside.
fn is_right(path: &Path, manifest: &ModelManifest) -> Result<Result<(), String>, CheckpointError> {
    let bytes = path.metadata().map_err(io("read", path))?.len();
    if bytes != manifest.bytes {
        return Ok(Err(format!("{bytes} bytes, not {}", manifest.bytes)));
    }
    let sha256 = sha256_of(path)?;
    Ok(if sha256 == manifest.sha256 {
        Ok(())
    } else {
        Err(format!("SHA-256 {sha256}, not {}", manifest.sha256))
    })
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

fn io<'a>(what: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> CheckpointError + 'a {
    move |source| CheckpointError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// hf-hub's progress as a call with totals.
struct Bytes<'a> {
    done: u64,
    total: u64,
    on_progress: &'a mut dyn FnMut(u64, u64),
}

impl Progress for Bytes<'_> {
    fn init(&mut self, _size: usize, _filename: &str) {
        self.done = 0;
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.on_progress)(self.done, self.total);
    }

    fn finish(&mut self) {}
}
