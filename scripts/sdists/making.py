"""Tasks out of one release."""

import random
import shutil
from collections import Counter
from pathlib import Path

from sdists import hidden, runner, tree
from sdists.defect import Defect, Dropped, defect, drafted
from sdists.progress import Progress
from sdists.release import HASH_SEEDS, Release
from sdists.sites import mutants, sites
from tasks.checks import Failure, apply_patch, change_diff

# PASS_TO_PASS: tests that reach the function, then others that reach its file.
PASSES_OF_FUNCTION, PASSES = 20, 40
# Places that are tried for each task that is wanted, before the rest is given up.
SITES_PER_TASK_MAX = 15


def tasks_of(
    release: str,
    n_wanted: int,
    seed: int,
    python: Path,
    needs: "list[str]",
    folder: Path,
    progress: Progress,
) -> "list[dict]":
    """Tasks out of one release; `needs` are the packages that `python` has for its tests."""
    one = Release(release, python, folder, progress)
    rng = random.Random(f"{seed}/{release}")
    made, dropped = [], Counter()
    places = sites(one.files, one.reach, rng)[: n_wanted * SITES_PER_TASK_MAX]
    for site in places:
        if len(made) == n_wanted:
            break
        for mutant in mutants(site, one.reach, rng):
            try:
                task = packed(one, defect(one, mutant, rng), len(made) + 1, needs, rng)
            except Dropped as why:
                dropped[str(why)] += 1
                continue
            made.append(task)
            n_fails = len(task["FAIL_TO_PASS"])
            progress.task(
                f"{task['instance_id']}: {mutant.kind} in {site.name}, {n_fails} hidden"
                f" test{'s' * (n_fails > 1)} fail{'s' * (n_fails == 1)}"
            )
            break
    progress.give_up(n_wanted - len(made))
    reasons = "; ".join(f"{n} {why}" for why, n in dropped.most_common())
    progress.say(
        f"{release}: {len(made)} of {n_wanted} tasks, {sum(dropped.values())} mutants dropped"
        f" ({reasons})"
    )
    shutil.rmtree(folder / one.name)
    return made


def packed(one: Release, found: Defect, rank: int, needs: "list[str]", rng: random.Random) -> dict:
    """The task as a line of the file."""
    mutant, path = found.mutant, found.mutant.site.path
    others = one.known - set(found.fails) - one.slow
    others = {test for test in others if not tree.is_source(hidden.function_of(test)[0])}
    near = sorted(one.reach.of(path, mutant.site.lines) & others)
    near = rng.sample(near, min(PASSES_OF_FUNCTION, len(near)))
    far = sorted((one.reach.of(path) & others) - set(near))
    passes = sorted([*near, *rng.sample(far, min(PASSES - len(near), len(far)))])
    if not passes:
        raise Dropped("left no other test to pass")
    check(one, found, passes)
    base = {**one.files, path: mutant.text, **found.visible}
    patch = change_diff(path, mutant.text, one.files[path])
    test_patch = "".join(
        change_diff(name, text, one.files[name]) for name, text in found.visible.items()
    )
    check_patches(one, base, patch, test_patch)
    return {
        "instance_id": f"{one.name}__mutant-{rank}",
        # Tasks of one package share it: they are no independent draws.
        "repo": f"sdist__{one.name}",
        "base_commit": "",
        "problem_statement": found.issue,
        "hints_text": mutant.kind,
        "release": one.release,
        "needs": needs,
        "files": base,
        "patch": patch,
        "test_patch": test_patch,
        "FAIL_TO_PASS": found.fails,
        "PASS_TO_PASS": passes,
    }


def check(one: Release, found: Defect, passes: "list[str]") -> None:
    """Dropped unless the base says twice what the lists say, and shows none of the failures."""
    fails = set(found.fails)
    for hash_seed in HASH_SEEDS:
        ends = one.bench.outcome(found.mutant, [*found.fails, *passes], hash_seed)
        if ends is None or {test for test in ends if ends[test].result == "failed"} != fails:
            raise Dropped("failed other tests the next time")
    drafts = {drafted(one, end) for end in ends.values() if end.id in fails}
    if (found.issue, found.script) not in drafts:
        raise Dropped("failed in another way the next time")
    # The visible tests of the files that tests were taken from.
    one.bench.put({found.mutant.site.path: found.mutant.text, **found.visible})
    ends = runner.run(one.bench.python, one.bench.base, list(found.visible))
    gone = {hidden.function_of(test) for test in found.fails}
    wanted = {
        test
        for test in one.known
        if hidden.function_of(test)[0] in found.visible and hidden.function_of(test) not in gone
    }
    if not wanted <= runner.passed(ends) or gone & set(map(hidden.function_of, ends)):
        raise Dropped("failed a test that could not be hidden")


def check_patches(one: Release, base: "dict[str, str]", patch: str, test_patch: str) -> None:
    """A failure if the patches do not give the release back."""
    changed = {name: text for name, text in base.items() if one.files[name] != text}
    place = one.bench.base.parent / "patched"
    shutil.rmtree(place, ignore_errors=True)
    tree.write(changed, place)
    for each in (patch, test_patch):
        apply_patch(place, each)
    if any((place / name).read_bytes().decode() != one.files[name] for name in changed):
        raise Failure(f"{one.release}: the patches do not give the release back")
