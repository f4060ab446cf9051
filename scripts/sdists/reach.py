"""Which lines of a package each of its tests runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    tests: "dict[str, dict[int, set[str]]]"
    """Ids of the tests that run a line, by path and line."""
    outside: "dict[str, set[int]]"
    """Lines that run outside of tests too: a defect there may reach any test."""

    @classmethod
    def read(cls, told: dict) -> "Reach":
        """Of `reach_plugin`'s reply."""
        tests = {}
        for test, by_path in told["tests"].items():
            for path, lines in by_path.items():
                for line in lines:
                    tests.setdefault(path, {}).setdefault(line, set()).add(test)
        return cls(tests, {path: set(lines) for path, lines in told["outside"].items()})

    def only(self, known: "set[str]") -> "Reach":
        """Without the other tests."""
        tests = {
            path: {line: tests & known for line, tests in by_line.items()}
            for path, by_line in self.tests.items()
        }
        return Reach(tests, self.outside)

    def of(self, path: str, lines: "range | None" = None) -> "set[str]":
        """Tests that run one of the lines; without lines, any line of the file."""
        by_line = self.tests.get(path, {})
        wanted = by_line if lines is None else lines
        return {test for line in wanted for test in by_line.get(line, ())}

    def is_inside(self, path: str, lines: range) -> bool:
        return self.outside.get(path, set()).isdisjoint(lines)
