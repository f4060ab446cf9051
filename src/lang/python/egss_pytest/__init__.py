"""Runs pytest in processes that a crash or a hang does not outlive.

`main(ARGUMENTS)` is called in the directory under test. The process that collected forks a
child, which runs the tests in order as pytest does, fixtures of every scope alive, and sends
each one's reports back as JSON through a pipe. A test that crashes or hangs is the only one that
fails: another child goes on after it. A test that fails is run once more in a child of its own,
at the end of its file: what it comes to there counts, so that nothing that a test does to memory,
to the environment or to the working directory lets another one fail.

In the child a limit raises by SIGALRM, so that its traceback says where the time went; code
that swallows it is killed with its process group a little later. Files are imported in the
first process, under the same alarm; an import that swallows it ends this process.

Tests are found by the project's own configuration. Of its options those that would change
which tests run, or run them elsewhere than here, are set back to what they are without it,
and told.

`sys.argv[1]` is a private folder with `request.json`: `{"test_s_max", "start_s_max",
"collect_only", "targets", "suite", "done", "changed", "files_only", "apart"}`. `targets` are
files and ids, or null for the project's own choice; `suite` is a file whose tests no option of
the project leaves out; `done` are ids that are not run again; `changed` is `{path: [line]}`,
lines whose running is counted, or null. `files_only` asks for the files that hold tests, with
`collect_only`, and `apart` for a process for each test; they may be left out. The replies stand
beside it: `stream.jsonl`, an object a line, each written when it is known (see `Stream`), and
`coverage.json`, `{"lines", "covered"}`.

Runs with pytest 3.3 and later, under Python 3.6 and later: the version is the repository's
choice.
"""
