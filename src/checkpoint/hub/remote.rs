//! A repository of a hub, from which files are fetched.
use super::client::{self, Answer, Client, READ_BYTES, Refusal};
use super::file::HubFile;
use super::part::Part;
use super::settings::HubSettings;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::error::io;
use hf_hub::{Repo, RepoType};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts in a row that bring next to nothing before a pull gives up.
const BARREN_ATTEMPTS_MAX: u32 = 3;

/// An attempt that brings fewer bytes and is cut is barren: a connection that stalls again
/// and again after a few bytes would take days.
const FRUITFUL_BYTES_MIN: u64 = 1 << 20;

/// Before a second attempt; twice as long before each further one that follows a barren one.
const PAUSE: Duration = Duration::from_millis(500);

/// A repository of a hub at a revision, and where its files lie while they are on their way.
pub(super) struct Hub<'a> {
    client: Client<'a>,
    at_revision: Repo,
    /// `owner/name`.
    pub repo: String,
    /// Where parts of all repositories are: `DIR/.hub`.
    cache: PathBuf,
}

impl<'a> Hub<'a> {
    pub fn new(repo: &str, revision: &str, dir: &Path, settings: &'a HubSettings) -> Self {
        Self {
            client: Client::new(settings),
            at_revision: at_revision(repo, revision),
            repo: repo.to_owned(),
            cache: dir.join(".hub"),
        }
    }

    /// The same repository at another revision.
    pub fn at(&self, revision: &str) -> Self {
        Self {
            client: self.client.clone(),
            at_revision: at_revision(&self.repo, revision),
            repo: self.repo.clone(),
            cache: self.cache.clone(),
        }
    }

    fn endpoint(&self) -> &str {
        &self.client.settings.endpoint
    }

    /// The repository's directory, by the names of the hub's own clients.
    fn parts_dir(&self) -> PathBuf {
        self.cache
            .join(self.at_revision.folder_name())
            .join("blobs")
    }

    /// The commit that the revision means now, and each file with its size and checksum, as
    /// the hub lists them.
    pub fn listing(&self) -> Result<serde_json::Value, CheckpointError> {
        let path = self.at_revision.api_url();
        let url = format!("{}/api/{path}?blobs=true", self.endpoint());
        let what = "the list of files";
        let mut barren = 0;
        let text = loop {
            let read = self.client.get(&url, None).and_then(Answer::text);
            match read {
                Ok(text) => break text,
                Err(refusal) => self.wait_or_give_up(what, refusal, &mut barren, false)?,
            }
        };
        serde_json::from_str(&text).map_err(|error| self.not_a_hub(error.to_string()))
    }

    /// Fetches one file to `target`, where it comes only if it is right.
    /// `on_progress(bytes done)`.
    pub fn fetch(
        &self,
        file: &HubFile,
        target: &Path,
        on_progress: &mut dyn FnMut(u64),
    ) -> Result<(), CheckpointError> {
        let path = self.part_path(file);
        let dir = self.parts_dir();
        std::fs::create_dir_all(&dir).map_err(io("create", &dir))?;
        let part = Part::open(&path)?;
        let fetched = self.fetch_part(file, &part, on_progress);
        if fetched.is_err() && part.bytes().is_ok_and(|bytes| bytes == 0) {
            // It may be gone already.
            let _ = self.throw_away(&path);
        }
        fetched?;
        if let Some(what) = file.misfit(&path)? {
            self.throw_away(&path)?;
            return Err(CheckpointError::WrongFile {
                file: file.name.clone(),
                what,
            });
        }
        std::fs::rename(&path, target).map_err(io("rename", &path))?;
        self.remove_empty_dirs();
        Ok(())
    }

    /// Fetches until the part is as long as the file. Its bytes are not checked yet.
    fn fetch_part(
        &self,
        file: &HubFile,
        part: &Part<'_>,
        on_progress: &mut dyn FnMut(u64),
    ) -> Result<(), CheckpointError> {
        let (mut barren, mut longest) = (0, part.bytes()?);
        loop {
            let before = part.bytes()?;
            if before == file.bytes {
                return Ok(());
            }
            self.check_disk(file.bytes.saturating_sub(before))?;
            match self.attempt(file, part, on_progress) {
                Ok(()) => return Ok(()),
                Err(Attempt::Failed(error)) => {
                    if let CheckpointError::WrongSize { .. } = error {
                        self.throw_away(part.path)?;
                    }
                    return Err(error);
                }
                Err(Attempt::Refused(refusal)) => {
                    let after = part.bytes()?;
                    let is_fruitful = after >= longest + FRUITFUL_BYTES_MIN;
                    longest = longest.max(after);
                    self.wait_or_give_up(&file.name, refusal, &mut barren, is_fruitful)?;
                }
            }
        }
    }

    /// One request for what is missing of the file.
    fn attempt(
        &self,
        file: &HubFile,
        part: &Part<'_>,
        on_progress: &mut dyn FnMut(u64),
    ) -> Result<(), Attempt> {
        let url = format!(
            "{}/{}/resolve/{}/{}",
            self.endpoint(),
            self.at_revision.url(),
            self.at_revision.url_revision(),
            client::escaped(&file.name)
        );
        let mut start = part.bytes()?;
        if start > file.bytes {
            start = 0;
        }
        let mut answer = self.client.get(&url, Some(start))?;
        if answer.total.is_some_and(|total| total != file.bytes) {
            return Err(self.wrong_size(file, answer.total).into());
        }
        // A hub that knows no ranges sends all of it again.
        part.cut(answer.start)?;
        let mut done = answer.start;
        let mut block = vec![0; READ_BYTES];
        while done < file.bytes {
            let n = answer.read(&mut block)?;
            if n == 0 {
                return Err(Refusal::cut(done, file.bytes).into());
            }
            if n as u64 > file.bytes - done {
                return Err(self.wrong_size(file, None).into());
            }
            part.append(&block[..n])?;
            done += n as u64;
            on_progress(done);
        }
        Ok(())
    }

    /// Waits where another attempt may get over a refusal; else it is an error, as it is
    /// after [`BARREN_ATTEMPTS_MAX`] attempts in a row that were not fruitful.
    fn wait_or_give_up(
        &self,
        what: &str,
        refusal: Refusal,
        barren: &mut u32,
        is_fruitful: bool,
    ) -> Result<(), CheckpointError> {
        *barren = if is_fruitful { 0 } else { *barren + 1 };
        if !refusal.may_pass() || *barren >= BARREN_ATTEMPTS_MAX {
            return Err(self.explained(what, refusal));
        }
        std::thread::sleep(refusal.wait().max(PAUSE * (1 << barren.saturating_sub(1))));
        Ok(())
    }

    fn part_path(&self, file: &HubFile) -> PathBuf {
        self.parts_dir().join(file.part_name())
    }

    /// Bytes that an attempt before has brought of the file.
    pub fn part_bytes(&self, file: &HubFile) -> u64 {
        let path = self.part_path(file);
        path.metadata().map_or(0, |part| part.len())
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

    /// Removes a part that will never be right.
    fn throw_away(&self, part: &Path) -> Result<(), CheckpointError> {
        std::fs::remove_file(part).map_err(io("remove", part))?;
        self.remove_empty_dirs();
        Ok(())
    }

    /// Removes parts of the repository's files, of other commits for example.
    pub fn throw_away_parts(&self) {
        let _ = std::fs::remove_dir_all(self.parts_dir());
        self.remove_empty_dirs();
    }

    /// Parts of other files may still lie there; then a directory stays.
    fn remove_empty_dirs(&self) {
        for dir in self.parts_dir().ancestors().take(3) {
            let _ = std::fs::remove_dir(dir);
        }
    }

    /// An answer that no hub gives.
    pub fn not_a_hub(&self, reason: String) -> CheckpointError {
        CheckpointError::NotAHub {
            endpoint: self.endpoint().to_owned(),
            reason,
        }
    }

    fn wrong_size(&self, file: &HubFile, found: Option<u64>) -> CheckpointError {
        CheckpointError::WrongSize {
            endpoint: self.endpoint().to_owned(),
            repo: self.repo.clone(),
            file: file.name.clone(),
            found,
            expected: file.bytes,
        }
    }

    /// A refusal in a sentence; `what` was asked for.
    fn explained(&self, what: &str, refusal: Refusal) -> CheckpointError {
        let endpoint = self.endpoint().to_owned();
        match refusal {
            Refusal::Status(status) | Refusal::Busy { status, .. } => CheckpointError::HubStatus {
                endpoint,
                repo: self.repo.clone(),
                file: what.to_owned(),
                status,
                with_token: self.client.settings.has_token(),
            },
            Refusal::Unreachable(reason) => CheckpointError::HubUnreachable { endpoint, reason },
            Refusal::NotAHub(reason) => self.not_a_hub(reason),
        }
    }
}

/// Why an attempt did not bring a file.
enum Attempt {
    /// By the hub or on the way.
    Refused(Refusal),
    /// For good.
    Failed(CheckpointError),
}

impl From<Refusal> for Attempt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<CheckpointError> for Attempt {
    fn from(error: CheckpointError) -> Self {
        Self::Failed(error)
    }
}

fn at_revision(repo: &str, revision: &str) -> Repo {
    Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned())
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
