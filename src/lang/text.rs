//! Plain text: every file that no language claims.
use super::{Example, Language, Syntax};

pub(super) struct Text;

impl Language for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn fence(&self) -> &'static str {
        ""
    }

    fn owns(&self, _: &str) -> bool {
        true
    }

    fn syntax(&self) -> Option<&'static Syntax> {
        None
    }

    /// Code that most models read, where a repository has none.
    fn example(&self) -> Example {
        super::python::Python.example()
    }
}
