//! A mount namespace of the process's own, in which it may lay folders over one another.
//!
//! `egss solve`, `eval` and `calibrate` enter one as far as the kernel gives it. Without a
//! namespace, workspaces are copies.
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// Gives this process a mount namespace of its own: nobody else sees what it mounts, and all of
/// it is gone with the process. To be called once, before any thread was started. Without it
/// workspaces are copies; the clause says why the kernel refuses one.
pub fn enter_namespace() -> Result<(), String> {
    let (uid, gid) = (getuid(), getgid());
    let refused = |error| format!("no namespace can be made: {error}");
    if uid.is_root() && works(&["--mount"]) {
        unshare(CloneFlags::CLONE_NEWNS).map_err(refused)?;
    } else {
        if !works(&["--user", "--map-root-user", "--mount"]) {
            return Err("this kernel or container refuses namespaces with mounts".to_owned());
        }
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(refused)?;
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{uid} {uid} 1")),
            ("gid_map", format!("{gid} {gid} 1")),
        ] {
            let path = Path::new("/proc/self").join(file);
            std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| format!("mounts cannot be made private: {error}"))?;
    IS_ENTERED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Tried by another process first: there is no way back, and some systems give a namespace in
/// which nothing can be mounted, and no sandbox made.
fn works(options: &[&str]) -> bool {
    let script = "mount -t tmpfs tmpfs /tmp && bwrap --unshare-all --ro-bind / / true";
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-c", script]);
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// True where [`enter_namespace`] succeeded.
pub(super) fn is_entered() -> bool {
    IS_ENTERED.load(Ordering::Relaxed)
}

/// Lays `upper` over the folders `lower`, the uppermost first, and shows the whole at `at`.
/// `work` is an empty folder beside `upper`. Errors: a clause.
pub(super) fn mount_overlay(
    lower: &[&Path],
    upper: &Path,
    work: &Path,
    at: &Path,
) -> Result<(), String> {
    let mut options = OsString::from("lowerdir=");
    for (nth, path) in lower.iter().enumerate() {
        options.push(if nth == 0 { "" } else { ":" });
        options.push(path);
    }
    for (name, path) in [(",upperdir=", upper), (",workdir=", work)] {
        options.push(name);
        options.push(path);
    }
    // The marks of deleted folders are the user's own attributes: others are root's alone.
    options.push(",userxattr");
    let paths = lower.iter().chain([&upper, &work]);
    if paths.into_iter().any(|path| {
        path.as_os_str()
            .as_bytes()
            .iter()
            .any(|b| b":,\\".contains(b))
    }) {
        return Err("the folder's name holds a colon, a comma or a backslash".to_owned());
    }
    let kind = Some("overlay");
    mount(kind, at, kind, MsFlags::empty(), Some(options.as_os_str()))
        .map_err(|error| format!("the kernel lays no folders over one another here: {error}"))
}

/// Lays a folder over another one below `dir`, which is removed again, and makes anew a folder of
/// the lower one: a file system that cannot note that hides nothing. Errors: a clause.
pub(super) fn try_overlay(dir: &Path) -> Result<(), String> {
    let [lower, upper, work, at] = ["lower", "upper", "work", "at"].map(|name| dir.join(name));
    let folder = at.join("folder");
    let prepare = || {
        for made in [&lower.join("folder"), &upper, &work, &at] {
            std::fs::create_dir_all(made)?;
        }
        std::fs::write(lower.join("folder/file"), "")
    };
    let renew = || {
        std::fs::remove_dir_all(&folder)?;
        std::fs::create_dir(&folder)?;
        std::fs::read_dir(&folder).map(Iterator::count)
    };
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    let tried = prepare()
        .map_err(failed)
        .and_then(|()| mount_overlay(&[&lower], &upper, &work, &at))
        .and_then(|()| renew().map_err(failed));
    unmount(&at);
    super::walk::remove_tree(dir).ok();
    match tried? {
        0 => Ok(()),
        _ => Err("the file system does not keep what an overlay hides".to_owned()),
    }
}

/// Takes away what is mounted at `at`, if something is.
pub(super) fn unmount(at: &Path) {
    if is_entered() {
        umount2(at, MntFlags::MNT_DETACH).ok();
    }
}

/// Removes a folder with workspaces in it: first what this process mounted there, so that
/// nothing is removed through a mount.
pub fn remove_workspaces(dir: &Path) -> std::io::Result<()> {
    for at in mounts_below(dir) {
        unmount(&at);
    }
    super::walk::remove_tree(dir).map_err(|error| std::io::Error::other(error.to_string()))
}

/// Mount points at `dir` and below, the innermost first.
fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    if !is_entered() {
        return Vec::new();
    }
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let listed = std::fs::read("/proc/thread-self/mountinfo").unwrap_or_default();
    let places = listed.split(|&byte| byte == b'\n').filter_map(|line| {
        let place = line.split(|&byte| byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(unescaped(place))))
    });
    let mut below: Vec<PathBuf> = places.filter(|place| place.starts_with(&dir)).collect();
    below.sort_by_key(|place| std::cmp::Reverse(place.components().count()));
    below
}

/// A path as it is, of one whose spaces and backslashes are three octal digits each.
fn unescaped(place: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(place.len());
    let mut at = 0;
    while at < place.len() {
        let octal = place.get(at + 1..at + 4).filter(|_| place[at] == b'\\');
        let value = octal.and_then(|octal| {
            let text = std::str::from_utf8(octal).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        bytes.push(value.unwrap_or(place[at]));
        at += if value.is_some() { 4 } else { 1 };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_points_name_is_read_as_the_kernel_writes_it() {
        assert_eq!(unescaped(br"/a\040b\134c"), br"/a b\c");
        assert_eq!(unescaped(br"/plain\04"), br"/plain\04");
    }
}
