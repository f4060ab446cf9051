//! Finds a real model for a test.
use std::path::PathBuf;

/// Where models are kept, as the program finds it.
pub fn models_dir() -> PathBuf {
    std::env::var_os("EGSS_MODELS_DIR")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("XDG_DATA_HOME")?).join("egss/models")))
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share/egss/models")))
        .expect("a home directory")
}

/// A Qwen2.5-Coder checkpoint in the models directory, the smallest there is.
///
/// Panics with what to do if there is none: a test that needs a real model must
/// not pass without one.
pub fn model_path() -> PathBuf {
    let dir = models_dir();
    ["0.5b", "1.5b"]
        .map(|size| dir.join(format!("qwen2.5-coder-{size}-instruct-q4_k_m.gguf")))
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("no model in {}; run scripts/fetch-model", dir.display()))
}
