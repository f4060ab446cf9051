//! How git stores the files of the user's checkout.
use serde::{Deserialize, Serialize};

/// The settings by which git converts and passes over files of a checkout. Filters are not
/// among them: they are programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSettings {
    /// `core.autocrlf`, where it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autocrlf: Option<String>,
    /// `core.eol`, where it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eol: Option<String>,
    /// Attributes that stand in no file of the checkout.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub attributes: String,
    /// Patterns of ignored files that stand in no file of the checkout.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub excludes: String,
    /// `.gitattributes` and `.gitignore` of the folders around the repository, up to the top of
    /// the checkout: path relative to the top, and text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<(String, String)>,
}

impl GitSettings {
    /// True where nothing is set.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
