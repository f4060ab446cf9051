//! Java: symbols and edits. Its tests run by the user's `--test-cmd`.
use super::{Definition, Example, Language, SymbolKind, Syntax, TestCommands, TestRole};
use tree_sitter::Node;

static SYNTAX: Syntax = Syntax {
    grammar: tree_sitter_java::LANGUAGE,
    definition,
    wrappers: &[],
    leading: &["line_comment", "block_comment"],
    imports: &["import_declaration"],
    comments: &["line_comment", "block_comment"],
    strings: &["string_literal"],
    brackets: "([",
    is_indented: false,
    method_frame: Some(("class Frame {", "}")),
};

fn definition<'a>(node: Node<'_>, text: &'a str) -> Option<Definition<'a>> {
    let kind = match node.kind() {
        "class_declaration"
        | "interface_declaration"
        | "enum_declaration"
        | "record_declaration"
        | "annotation_type_declaration" => SymbolKind::Type,
        "method_declaration" | "constructor_declaration" | "compact_constructor_declaration" => {
            SymbolKind::Function
        }
        _ => return None,
    };
    Definition::named(node, text, kind)
}

pub(super) struct Java;

impl Language for Java {
    fn name(&self) -> &'static str {
        "Java"
    }

    fn fence(&self) -> &'static str {
        "java"
    }

    fn owns(&self, path: &str) -> bool {
        path.ends_with(".java")
    }

    fn syntax(&self) -> Option<&'static Syntax> {
        Some(&SYNTAX)
    }

    /// Every method stands in a type.
    fn is_method(&self, _: &str) -> bool {
        true
    }

    /// By the names that Maven's Surefire and Gradle look for, and by their folder.
    fn test_role(&self, path: &str) -> TestRole {
        let in_tests = path.starts_with("src/test/") || path.contains("/src/test/");
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.strip_suffix(".java").unwrap_or_default();
        let ends = ["Test", "Tests", "TestCase"];
        let is_named = ends.iter().any(|end| stem.ends_with(end));
        match (is_named, in_tests) {
            (true, _) => TestRole::Target,
            (false, true) => TestRole::Support,
            (false, false) => TestRole::None,
        }
    }

    fn skipped_dirs(&self) -> &'static [&'static str] {
        &[".gradle"]
    }

    fn test_commands(&self) -> TestCommands {
        TestCommands {
            phrases: &["mvn test", "mvn verify", "gradle test", "gradlew test"],
            failed: &[1],
            missing: "",
        }
    }

    fn usual_test_command(&self, files: &[String]) -> Option<&'static str> {
        let has = |name: &str| files.iter().any(|path| path == name);
        if has("gradlew") {
            Some("./gradlew test")
        } else {
            has("pom.xml").then_some("mvn test")
        }
    }

    fn example(&self) -> Example {
        Example {
            path: "Shapes.java",
            symbol: "Shapes.area",
            code: "static int area(int width, int height) {\n    return width * height;\n}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::replace_symbol;

    const FILE: &str = r#"package shop;

import java.util.List;

/** Prices. */
public class Cart {
    private final List<Integer> prices;

    public Cart(List<Integer> prices) {
        this.prices = prices;
    }

    // Adds up.
    @Deprecated
    public int total() {
        int sum = 1;
        return sum;
    }

    enum Kind { DRILL, SANDER }
}
"#;

    #[test]
    fn types_and_methods_are_found_with_what_stands_before_them() {
        let symbols = Java.symbols(FILE);
        let found: Vec<_> = symbols
            .iter()
            .map(|s| (s.qualified.as_str(), s.lines.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("Cart", 4..21),
                ("Cart.Cart", 8..11),
                ("Cart.total", 12..18),
                ("Cart.Kind", 19..20)
            ]
        );
    }

    #[test]
    fn a_bare_method_replaces_its_namesake_and_brings_its_imports() {
        let code = "import java.util.Objects;\n\npublic int total() {\n    return prices.stream().mapToInt(Objects::requireNonNull).sum();\n}\n";
        for symbol in ["Cart.total", "total"] {
            let merged = replace_symbol(&Java, FILE, symbol, code);
            // An import within a frame does not parse: the method alone has to do.
            let text = merged.unwrap().text;
            assert!(text.contains("        return prices.stream()"), "{text}");
            assert!(!text.contains("int sum = 1"), "{text}");
        }
        let bare = "@Override\npublic int total() {\n    return 3;\n}\n";
        let merged = replace_symbol(&Java, FILE, "Cart.total", bare).unwrap();
        let old = "    // Adds up.\n    @Deprecated\n    public int total() {\n        int sum = 1;\n        return sum;\n    }\n";
        let new =
            "    // Adds up.\n    @Override\n    public int total() {\n        return 3;\n    }\n";
        assert_eq!(merged.text, FILE.replace(old, new));
    }

    #[test]
    fn a_file_is_a_test_by_its_name_or_its_folder() {
        let role = |path| Java.test_role(path);
        assert_eq!(role("src/test/java/shop/CartTest.java"), TestRole::Target);
        assert_eq!(role("src/test/java/shop/Prices.java"), TestRole::Support);
        assert_eq!(role("src/main/java/shop/Cart.java"), TestRole::None);
    }
}
