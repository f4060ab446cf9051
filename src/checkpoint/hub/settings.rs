//! Which hub is asked, and as whom: the variables of the hub's own clients.
use crate::checkpoint::CheckpointError;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::Uri;

/// The hub where no other is named.
const ENDPOINT: &str = "https://huggingface.co";

/// How long a connection may bring nothing, where nothing else is said: as long as by the
/// hub's own clients.
const STALL_MAX: Duration = Duration::from_secs(10);

/// A hub, and how it is asked.
pub struct HubSettings {
    /// Its URL, without a slash at its end.
    pub endpoint: String,
    /// Shown to the hub, and to nobody else.
    pub token: Option<String>,
    /// True where no network is to be used.
    pub is_offline: bool,
    /// A connection that brings nothing for so long is given up.
    pub stall_max: Duration,
}

impl HubSettings {
    /// The hub at a URL, without a token.
    pub fn at(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: None,
            is_offline: false,
            stall_max: STALL_MAX,
        }
    }

    /// Settings of the environment: `HF_ENDPOINT`; `HF_TOKEN`, else what is in the file
    /// `HF_TOKEN_PATH`, else in `token` in `HF_HOME`; `HF_HUB_OFFLINE`;
    /// `HF_HUB_DOWNLOAD_TIMEOUT` in seconds.
    ///
    /// Errors: `HubSetting`, `Io` for a file that is there and cannot be read.
    pub fn from_env() -> Result<Self, CheckpointError> {
        Self::from_vars(&|name| std::env::var_os(name))
    }

    fn from_vars(var: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, CheckpointError> {
        let text = |name: &'static str| {
            let value = var(name).unwrap_or_default();
            let value = value
                .into_string()
                .map_err(|_| refused(name, "is no text"))?;
            Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty()))
        };
        let is_set = |name| Ok(text(name)?.is_some_and(|value| is_true(&value)));
        let endpoint = text("HF_ENDPOINT")?.unwrap_or_else(|| ENDPOINT.into());
        let uri = endpoint.parse::<Uri>().ok();
        let is_url = |uri: Uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
        };
        if !uri.is_some_and(is_url) {
            return Err(refused(
                "HF_ENDPOINT",
                "is no URL that begins with https:// or http://",
            ));
        }
        let stall_max = match text("HF_HUB_DOWNLOAD_TIMEOUT")? {
            None => STALL_MAX,
            Some(seconds) => {
                let seconds = seconds.parse().ok().filter(|&s: &f64| s > 0.0);
                let stall_max = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
                stall_max.ok_or_else(|| {
                    refused("HF_HUB_DOWNLOAD_TIMEOUT", "is no number of seconds above 0")
                })?
            }
        };
        let named = match text("HF_TOKEN")? {
            None => text("HUGGING_FACE_HUB_TOKEN")?,
            named => named,
        };
        let token = match named {
            Some(token) => Some(token),
            None if is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")? => None,
            None => kept_token(var)?,
        };
        if let Some(token) = &token
            && !token.chars().all(|c| c.is_ascii_graphic())
        {
            return Err(refused(
                "HF_TOKEN (or the file that holds it)",
                "has a character that no token has; copy it again",
            ));
        }
        Ok(Self {
            token,
            is_offline: is_set("HF_HUB_OFFLINE")?,
            stall_max,
            ..Self::at(&endpoint)
        })
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }
}

/// The token that a login has left in a file; `None` where there is none.
fn kept_token(var: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<String>, CheckpointError> {
    let path = |name| {
        let value = var(name).filter(|value| !value.is_empty())?;
        Some(PathBuf::from(value))
    };
    let home = || {
        let cache = || path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
        path("HF_HOME").or_else(|| Some(cache()?.join("huggingface")))
    };
    let Some(path) = path("HF_TOKEN_PATH").or_else(|| Some(home()?.join("token"))) else {
        return Ok(None);
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
        // Nobody has logged in.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CheckpointError::Io {
            what: "read the hub's token in",
            path,
            source,
        }),
    }
}

/// The words that the hub's own clients take for yes.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&&*value.to_ascii_lowercase())
}

fn refused(name: &'static str, reason: &'static str) -> CheckpointError {
    CheckpointError::HubSetting { name, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(vars: &[(&str, &str)]) -> Result<HubSettings, CheckpointError> {
        HubSettings::from_vars(&|name| {
            let found = vars.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    /// sglang#38715, mistral.rs#2107.
    #[test]
    fn a_token_is_the_variables_then_that_of_the_file_it_names_then_that_of_a_login() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, token: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, token).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let named = write("named", "hf_named\n");
        write("home/token", " hf_home\n");
        write("cache/huggingface/token", "hf_cache");
        write(".cache/huggingface/token", "hf_user");
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (home, cache, user) = (at("home"), at("cache"), at(""));
        let mut vars = vec![
            ("HF_TOKEN", "hf_var"),
            ("HF_TOKEN_PATH", named.as_str()),
            ("HF_HOME", home.as_str()),
            ("XDG_CACHE_HOME", cache.as_str()),
            ("HOME", user.as_str()),
        ];
        for token in ["hf_var", "hf_named", "hf_home", "hf_cache", "hf_user"] {
            assert_eq!(of(&vars).unwrap().token.as_deref(), Some(token));
            vars.remove(0);
        }
        assert!(of(&vars).unwrap().token.is_none());
        let none = [
            ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
            ("HOME", user.as_str()),
        ];
        assert!(of(&none).unwrap().token.is_none());
        // A variable that is empty says nothing.
        let empty = [("HF_TOKEN", ""), ("HF_TOKEN_PATH", named.as_str())];
        assert_eq!(of(&empty).unwrap().token.as_deref(), Some("hf_named"));
    }

    #[test]
    fn the_hub_is_the_one_that_is_named_and_offline_is_a_word() {
        assert_eq!(of(&[]).unwrap().endpoint, ENDPOINT);
        let mirror = of(&[("HF_ENDPOINT", "http://mirror:8080/hub/")]).unwrap();
        assert_eq!(mirror.endpoint, "http://mirror:8080/hub");
        for (value, is_offline) in [("1", true), ("ON", true), ("0", false), ("", false)] {
            let settings = of(&[("HF_HUB_OFFLINE", value)]).unwrap();
            assert_eq!(settings.is_offline, is_offline, "{value:?}");
        }
        let patient = of(&[("HF_HUB_DOWNLOAD_TIMEOUT", "60")]).unwrap();
        assert_eq!(patient.stall_max, Duration::from_secs(60));
    }

    #[test]
    fn a_setting_that_means_nothing_is_refused_by_its_name() {
        for (name, value) in [
            ("HF_ENDPOINT", "mirror"),
            ("HF_ENDPOINT", "ftp://mirror"),
            ("HF_TOKEN", "hf_\u{2026}"),
            ("HF_TOKEN", "two words"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "-1"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "nan"),
        ] {
            let error = of(&[(name, value)]).err().expect(value).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
