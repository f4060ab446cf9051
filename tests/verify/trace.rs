use crate::support::{folder, sandbox};
use egss::lang::trace;

const PKG: &str = "\
import functools
import time


def outer(x):
    def inner(y):
        return y + 1

    return inner(x)


@functools.lru_cache
def cached(x):
    return x


try:
    from fast import quick
except ImportError:

    def quick(x):
        return x


class Box:
    def __init__(self, x):
        self.x = x

    def open(self):
        return outer(self.x)

    def never(self):
        return 0


def sleepy():
    time.sleep(60)
";

const SUITE: &str = "\
from pkg.box import Box, cached, quick, sleepy


def test_issue_stated_1():
    print('noise')
    assert Box(cached(1)).open() == quick(3)


def test_issue_stated_2():
    sleepy()
";

fn traced(tests: &[&str]) -> Vec<String> {
    let dir = folder(&[
        ("pkg/__init__.py", ""),
        ("pkg/box.py", PKG),
        ("suite.py", SUITE),
    ]);
    let reached = trace(&sandbox(), dir.path(), SUITE, tests).unwrap();
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "nothing is left behind");
    let name = |r: egss::record::Reached| format!("{}:{}", r.path, r.symbol);
    reached.into_iter().map(name).collect()
}

#[test]
fn what_a_failing_test_enters_is_named_as_an_edit_would_name_it() {
    assert_eq!(
        traced(&["test_issue_stated_1"]),
        ["cached", "Box.__init__", "Box.open", "outer", "quick"].map(|s| format!("pkg/box.py:{s}"))
    );
}

#[test]
fn a_test_that_hangs_says_nothing() {
    assert!(traced(&["test_issue_stated_1", "test_issue_stated_2"]).is_empty());
}
