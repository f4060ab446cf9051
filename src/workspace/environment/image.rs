//! The files of a container image, unpacked into a folder that the sandbox shows as the system.
use super::super::WorkspaceError;
use serde::{Deserialize, Serialize};
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Programs that have images, the first that works is asked. Both take the same commands.
const ENGINES: [&str; 2] = ["docker", "podman"];

/// Of an image that says nothing.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const WORKDIR: &str = "/workspace";

/// Variables of an image that are the sandbox's own to set.
const NOT_TAKEN: [&str; 2] = ["HOME", "PATH"];

/// Files of `/etc` that the sandbox puts its own in the place of.
const REPLACED_FILES: [&str; 3] = ["etc/passwd", "etc/group", "etc/hosts"];

/// Folders that archives hold and no command sees.
const NOT_UNPACKED: [&str; 3] = ["dev", "proc", "sys"];

/// An image's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The engine's id of it, a digest; none of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The folders that its programs are in.
    pub path: String,
    pub variables: Vec<(String, String)>,
    /// Where its commands run.
    pub workdir: PathBuf,
    /// Its interpreter's path inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<PathBuf>,
    /// As that interpreter says, `3.9.18`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_version: Option<String>,
}

/// An element of `image inspect`'s answer, by Docker and by Podman.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inspected {
    id: String,
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    env: Option<Vec<String>>,
    working_dir: Option<String>,
}

/// Unpacks `image`, an engine's name or an archive's path, into the folder `root`.
///
/// An engine fetches an image that it has not. Errors: no engine works, it does not know the
/// image, the archive cannot be unpacked.
pub(super) fn unpack(
    image: &str,
    root: &Path,
    on_step: &mut dyn FnMut(&str),
) -> Result<ImageFacts, WorkspaceError> {
    fs::create_dir_all(root).map_err(|e| WorkspaceError::io("make the folder", root, e))?;
    let archive = Path::new(image);
    let inspected = if archive.is_file() {
        on_step(&format!("unpacking {image}"));
        let file = fs::File::open(archive).map_err(|e| WorkspaceError::io("read", archive, e))?;
        untar(file.into(), root)?;
        Inspected::default()
    } else {
        of_engine(image, root, on_step)?
    };
    make_readable(root)?;
    let Config { env, working_dir } = inspected.config;
    let set = env.unwrap_or_default();
    let set = set.iter().filter_map(|line| line.split_once('='));
    let set: Vec<(String, String)> = set.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let path = set.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(PATH, |(_, path)| path).to_owned();
    let workdir =
        working_dir.filter(|dir| dir.starts_with('/') && !dir.trim_matches('/').is_empty());
    Ok(ImageFacts {
        id: Some(inspected.id).filter(|id| !id.is_empty()),
        python: program_in(root, &path, "python3"),
        python_version: None,
        path,
        variables: set
            .into_iter()
            .filter(|(name, _)| !NOT_TAKEN.contains(&name.as_str()))
            .collect(),
        workdir: PathBuf::from(workdir.as_deref().unwrap_or(WORKDIR)),
    })
}

/// Makes the files that the sandbox puts its own in the place of, and the repository's folder.
pub(super) fn make_places(root: &Path, workdir: &Path) -> Result<(), WorkspaceError> {
    let inside = workdir.strip_prefix("/").unwrap_or(workdir);
    for folder in [root.join("etc"), root.join(inside)] {
        fs::create_dir_all(&folder)
            .map_err(|e| WorkspaceError::io("make the folder", &folder, e))?;
    }
    for file in REPLACED_FILES.map(|file| root.join(file)) {
        if !file.is_file() {
            fs::write(&file, "").map_err(|e| WorkspaceError::io("write", &file, e))?;
        }
    }
    Ok(())
}

/// The path inside of a program that one of the folders of `path` has. Links are not followed:
/// outside they lead elsewhere.
fn program_in(root: &Path, path: &str, name: &str) -> Option<PathBuf> {
    let mut places = path.split(':').map(|dir| Path::new(dir).join(name));
    places.find(|place| {
        let inside = place.strip_prefix("/").unwrap_or(place);
        place.is_absolute() && root.join(inside).symlink_metadata().is_ok()
    })
}

/// Creates a container, which is never started, for the archive of its files.
fn of_engine(
    image: &str,
    root: &Path,
    on_step: &mut dyn FnMut(&str),
) -> Result<Inspected, WorkspaceError> {
    let engine = find_engine(image)?;
    let known = call(engine, &["image", "inspect", image]);
    let inspected = match known {
        Ok(text) => text,
        Err(_) => {
            on_step(&format!("{engine} pull {image}"));
            call(engine, &["pull", image])?;
            call(engine, &["image", "inspect", image])?
        }
    };
    let inspected: Vec<Inspected> = serde_json::from_str(&inspected).map_err(|error| {
        fault(format!(
            "{engine} describes the image {image} in an unknown way ({error})"
        ))
    })?;
    let inspected = inspected.into_iter().next();
    let inspected = inspected.ok_or_else(|| fault(format!("{engine} has no image {image}")))?;
    let created = call(engine, &["create", image, "/bin/true"])?;
    let container = created.lines().last().unwrap_or_default().trim().to_owned();
    on_step(&format!("unpacking the image {image}"));
    let unpacked = export(engine, &container, root);
    // A container that stays takes no place but a line of a list.
    let removed = call(engine, &["rm", &container]);
    unpacked.and(removed)?;
    Ok(inspected)
}

fn find_engine(image: &str) -> Result<&'static str, WorkspaceError> {
    let mut tried = Vec::new();
    for engine in ENGINES {
        match call(engine, &["version"]) {
            Ok(_) => return Ok(engine),
            Err(error) => tried.push(error.to_string()),
        }
    }
    Err(fault(format!(
        "the image {image} needs Docker or Podman, or an archive of its files (`docker export`): {}",
        tried.join("; ")
    )))
}

/// Standard output of one of an engine's commands.
fn call(engine: &str, args: &[&str]) -> Result<String, WorkspaceError> {
    let said = format!("{engine} {}", args.join(" "));
    let output = Command::new(engine)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| fault(format!("`{said}` cannot be run ({error})")))?;
    checked(&said, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn export(engine: &str, container: &str, root: &Path) -> Result<String, WorkspaceError> {
    let said = format!("{engine} export");
    let failed = |error| fault(format!("`{said}` cannot be run ({error})"));
    let mut child = Command::new(engine)
        .args(["export", container])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let files = child.stdout.take().expect("it is piped");
    let unpacked = untar(files.into(), root);
    let mut stderr = Vec::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut stderr).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    checked(
        &said,
        &Output {
            status,
            stdout: Vec::new(),
            stderr,
        },
    )?;
    unpacked.map(|()| String::new())
}

/// By the system's tar: it keeps links, refuses paths that lead out, and makes nobody else
/// the owner.
fn untar(from: Stdio, root: &Path) -> Result<(), WorkspaceError> {
    let mut tar = Command::new("tar");
    tar.args([
        "-x",
        "-f",
        "-",
        "--no-same-owner",
        "--delay-directory-restore",
        "--anchored",
    ]);
    for folder in NOT_UNPACKED {
        tar.arg(format!("--exclude={folder}/*"));
        tar.arg(format!("--exclude=./{folder}/*"));
    }
    let output = tar
        .arg("-C")
        .arg(root)
        .stdin(from)
        .output()
        .map_err(|error| {
            fault(format!(
                "tar, which unpacks an image, cannot be run ({error})"
            ))
        })?;
    checked("tar -x", &output)
}

fn checked(said: &str, output: &Output) -> Result<(), WorkspaceError> {
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.trim().lines().last().unwrap_or("it said nothing");
    Err(fault(format!("`{said}` failed ({})", last.trim())))
}

fn fault(sentence: String) -> WorkspaceError {
    WorkspaceError::Environment(sentence)
}

/// Lets the user, who owns all of it now, read every file and remove it.
fn make_readable(dir: &Path) -> Result<(), WorkspaceError> {
    let set = |path: &Path, needed: u32| {
        let meta = path.symlink_metadata()?;
        let mode = meta.permissions().mode();
        if mode & needed != needed {
            fs::set_permissions(path, Permissions::from_mode(mode | needed))?;
        }
        std::io::Result::Ok(())
    };
    set(dir, 0o700).map_err(|e| WorkspaceError::io("open", dir, e))?;
    let entries = fs::read_dir(dir).map_err(|e| WorkspaceError::io("list", dir, e))?;
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => make_readable(&path)?,
            Ok(kind) if kind.is_file() => {
                set(&path, 0o400).map_err(|e| WorkspaceError::io("open", &path, e))?;
            }
            _ => {}
        }
    }
    Ok(())
}
