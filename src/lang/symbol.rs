//! A definition that a call can name.
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The kind of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SymbolKind {
    /// A function or method: what is defined within it is local.
    Function,
    /// A class, structure, interface, trait, enumeration: it has members.
    Type,
}

/// A function, method or type of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    pub name: String,
    /// Names of the definitions around it and its own, joined with dots: `Class.method`.
    pub qualified: String,
    pub kind: SymbolKind,
    /// Lines from 0, end excluded: decorators, attributes and documentation that stand
    /// before it to the body's last line.
    pub lines: Range<usize>,
    /// The line that the definition itself begins on.
    pub header: usize,
    /// The whitespace before it.
    pub indent: String,
    /// True within a function: a caller elsewhere cannot name it.
    pub is_local: bool,
}

impl Symbol {
    pub fn is_type(&self) -> bool {
        self.kind == SymbolKind::Type
    }
}
