//! Parts of a file that an issue's words are looked for in, and how much each counts.
use serde::{Deserialize, Serialize};

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Its path.
    Path,
    /// The names that it defines.
    Names,
    /// Its code, names that it uses among it.
    Code,
    /// Its comments, documentation and texts; the whole of a file that is no code.
    Prose,
}

impl Field {
    pub const ALL: [Self; 4] = [Self::Path, Self::Names, Self::Code, Self::Prose];

    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Names => "names",
            Self::Code => "code",
            Self::Prose => "prose",
        }
    }
}

/// How much each sign counts that a file, or a definition, is the place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Of occurrences in each field of [`Field::ALL`].
    pub fields: [f32; Field::ALL.len()],
    /// How fast further occurrences of a term count less (BM25's `k1`).
    pub saturation: f32,
    /// How much a field's length takes from an occurrence, from 0 to 1 (BM25's `b`).
    pub length: f32,
    /// Of a word of the title, of inline code, and of code on lines of its own, beside 1
    /// for other words.
    pub title: f32,
    pub inline: f32,
    pub block: f32,
    /// A file that is named by its path.
    pub named_path: f32,
    /// A line of a file that is named: in a traceback, or in a link.
    pub named_line: f32,
    /// A module that is named with dots.
    pub named_module: f32,
    /// A name that the file defines, written as names in code are.
    pub defined: f32,
    /// A word that is a name which the file defines.
    pub defined_word: f32,
    /// Of what speaks for a file that imports it.
    pub imported: f32,
    /// Of what speaks for a test or a page of the same name.
    pub namesake: f32,
    /// Of what speaks for a test itself.
    pub test: f32,
    /// Of what speaks for a file that is no code.
    pub text: f32,
    /// For a definition: of its file's figure.
    pub of_file: f32,
    /// For a definition: that its name is in the issue.
    pub own_name: f32,
}

impl Default for Weights {
    /// Chosen on half of the instances of `egss bench locate`; docs/results.md has both halves.
    fn default() -> Self {
        Self {
            fields: [8.0, 3.0, 0.2, 0.55],
            saturation: 2.2,
            length: 1.0,
            title: 1.5,
            inline: 3.4,
            block: 0.15,
            named_path: 40.0,
            named_line: 55.0,
            named_module: 20.0,
            defined: 14.5,
            defined_word: 7.3,
            imported: 0.05,
            namesake: 0.08,
            test: 0.3,
            text: 0.2,
            of_file: 0.5,
            own_name: 5.0,
        }
    }
}
