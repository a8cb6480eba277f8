"""Whatever a solver may answer: the pair of files holds it, its digest is over it alone, a difference leads there."""

import random
import tomllib

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import lockfile, lockinputs, lockwords
from ansible_collections.condafleet.core.plugins.module_utils.projects import normal_name
from condafleet.lock.files import HEADER, make_pair

INPUTS = lockinputs.inputs("e", "t", spec={"conda": ["python"]}, definition={}, channels=[], sources="depot")
SETTINGS = settings(
    max_examples=settings().max_examples * 3 // 5, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

hexes = st.integers(min_value=0, max_value=2**256 - 1)
# What YAML or TOML might take for something else: yes, 1e3, 08, 1.10, null, and the like.
odd = st.sampled_from(
    ["on", "y", "null", "true", "1e3", "08", "0x1f", "1_000", "nan", "inf", "2026.11.22", "1.10", "_x"]
)
conda_names = odd | st.from_regex(r"[a-z0-9_][a-z0-9_.\-]{0,12}", fullmatch=True)
projects = odd | st.from_regex(r"[a-z0-9]([a-z0-9._\-]{0,8}[a-z0-9])?", fullmatch=True)
versions = odd | st.from_regex(r"([0-9]!)?[0-9]{1,4}(\.[0-9]{1,3}){0,3}(rc[0-9]|\.post1|\+cu[0-9]{2})?", fullmatch=True)
builds = st.from_regex(r"[a-z0-9_]{1,10}_[0-9]", fullmatch=True) | st.just("0")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def conda_records(draw):
    name, version, build = draw(conda_names), draw(versions), draw(builds)
    version = version.replace("-", "_")
    place = draw(st.sampled_from(["https://a.example.com/c", "https://b.example.com/t/c", "file:///d/channel"]))
    digest = draw(hexes)
    ending = draw(st.sampled_from(["conda", "tar.bz2"]))
    return {
        "name": name,
        "version": version,
        "build": build,
        "url": f"{place}/{draw(st.sampled_from(['linux-64', 'noarch']))}/{name}-{version}-{build}.{ending}",
        "sha256": f"{digest:064x}",
        "md5": f"{digest % 2**128:032x}",
        "size": draw(st.none() | st.integers(min_value=1, max_value=10**9)),
        "depends": draw(st.lists(st.sampled_from(["python", "python >=3.11", "libc >=1,<2", "x 1.* *_0"]), max_size=3)),
    }


@st.composite
def wheel_records(draw):
    name, version = draw(projects), draw(versions)
    plain = name.replace("-", "_").replace("+", "%2B")
    return {
        "name": normal_name(name),
        "version": version,
        "url": f"https://w.example.com/{plain}-{version.replace('+', '%2B')}-py3-none-any.whl",
        "sha256": f"{draw(hexes):064x}",
        "size": draw(st.none() | st.integers(min_value=0, max_value=10**10)),
    }


@st.composite
def solutions(draw):
    return {
        "records": draw(st.lists(conda_records(), max_size=8, unique_by=lambda one: one["name"])),
        "wheels": draw(st.lists(wheel_records(), max_size=8, unique_by=lambda one: one["name"])),
        "variables": draw(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True), texts, max_size=3)),
    }


def made(solution):
    return make_pair(environment="e", target="t", platform="linux-64", channels=["c"], inputs=INPUTS, **solution)


def read(pair):
    return lockfile.parse(yaml.safe_load(pair.conda_lock), tomllib.loads(pair.pylock))


@SETTINGS
@given(solutions())
def test_the_files_hold_what_was_solved(solution):
    pair = made(solution)
    assert read(pair) == pair.lock
    conda = [
        ("conda", r["name"], r["version"], r["build"], r["url"], r["sha256"], r["md5"], r["size"])
        for r in solution["records"]
    ]
    pip = [("pip", w["name"], w["version"], "", w["url"], w["sha256"], None, w["size"]) for w in solution["wheels"]]
    held = [(p.manager, p.name, p.version, p.build, p.url, p.sha256, p.md5, p.size) for p in pair.lock.packages]
    assert sorted(held, key=lambda one: one[:2]) == sorted(conda + pip, key=lambda one: one[:2])
    assert pair.lock.variables == solution["variables"]
    said = lockfile.recorded(yaml.safe_load(pair.conda_lock))
    assert said["digest"] == pair.digest == lockfile.digest(read(pair))
    lockfile.check_digest(read(pair), said)
    assert pair.conda_lock.startswith(HEADER)


@SETTINGS
@given(solutions(), st.randoms(use_true_random=False))
def test_neither_order_nor_place_matters(solution, chance: random.Random):
    pair = made(solution)
    shuffled = {
        "records": chance.sample(solution["records"], len(solution["records"])),
        "wheels": chance.sample(solution["wheels"], len(solution["wheels"])),
        "variables": dict(chance.sample(sorted(solution["variables"].items()), len(solution["variables"]))),
    }
    again = made(shuffled)
    assert (again.conda_lock, again.pylock) == (pair.conda_lock, pair.pylock)
    moved = {
        **shuffled,
        "records": [
            {**r, "url": "https://else.example.com/m/" + "/".join(r["url"].split("/")[-2:])}
            for r in shuffled["records"]
        ],
        "wheels": [
            {**w, "url": "https://else.example.com/" + w["url"].split("/")[-1], "size": None}
            for w in shuffled["wheels"]
        ],
    }
    assert made(moved).digest == pair.digest


@SETTINGS
@given(solutions(), st.data())
def test_whatever_is_installed_otherwise_has_another_digest(solution, data):
    pair = made(solution)
    entries = [("records", n) for n in range(len(solution["records"]))] + [
        ("wheels", n) for n in range(len(solution["wheels"]))
    ]
    if not entries:
        return
    kind, number = data.draw(st.sampled_from(entries))
    changed = [*solution[kind]]
    flipped = f"{int(changed[number]['sha256'], 16) ^ 1:064x}"
    changed[number] = {**changed[number], "sha256": flipped}
    assert made({**solution, kind: changed}).digest != pair.digest
    assert made({**solution, kind: changed[:number] + changed[number + 1 :]}).digest != pair.digest
    assert made({**solution, "variables": {**solution["variables"], "lower": "x"}}).digest != pair.digest


@SETTINGS
@given(solutions(), solutions(), st.data())
def test_a_difference_leads_from_one_to_the_other(one, other, data):
    # Half of the second is taken from the first, so that things stay, change, come and go.
    for kind in ("records", "wheels"):
        names = {record["name"] for record in other[kind]}
        kept = data.draw(st.lists(st.sampled_from(one[kind]), unique_by=lambda r: r["name"])) if one[kind] else []
        other[kind] = other[kind] + [record for record in kept if record["name"] not in names]
    before, after = made(one).lock, made(other).lock
    found = lockfile.difference(before.packages, after.packages)
    have = {(p.manager, p.name): f"{p.version} {p.build}".strip() for p in before.packages}
    for gone in found["removed"]:
        assert have.pop((gone["manager"], gone["name"])) == f"{gone['version']} {gone['build']}".strip()
    for changed in found["changed"]:
        assert have[changed["manager"], changed["name"]] == changed["before"]
        have[changed["manager"], changed["name"]] = changed["after"]
    for new in found["added"]:
        assert have.setdefault((new["manager"], new["name"]), f"{new['version']} {new['build']}".strip())
    assert have == {(p.manager, p.name): f"{p.version} {p.build}".strip() for p in after.packages}
    # In words: as many lines as there are differences, but that a project that moves between conda and pip is one.
    lines = lockwords.in_words(before, after)
    variables = {
        name
        for name in {*one["variables"], *other["variables"]}
        if one["variables"].get(name) != other["variables"].get(name)
    }
    assert len(lines) <= sum(map(len, found.values())) + len(variables)
    assert bool(lines) == (lockfile.digest(before) != lockfile.digest(after))
