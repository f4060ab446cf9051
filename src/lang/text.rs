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

    fn usual_test_command(&self, files: &[String]) -> Option<&'static str> {
        let is_makefile =
            |path: &String| ["Makefile", "GNUmakefile", "makefile"].contains(&&**path);
        if files.iter().any(is_makefile) {
            return Some("make test");
        }
        let has_cmake = files.iter().any(|path| path == "CMakeLists.txt");
        has_cmake.then_some("cmake -B build && cmake --build build && ctest --test-dir build")
    }

    /// Code that most models read, where a repository has none.
    fn example(&self) -> Example {
        super::python::Python.example()
    }
}
