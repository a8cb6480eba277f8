"""The pure reading of a pair of lock files."""

import copy
import json

import pytest

from ansible_collections.condafleet.core.plugins.module_utils import lockfile

SHA = "a" * 64
MD5 = "b" * 32


def conda_lock(**changes):
    document = {
        "version": 1,
        "metadata": {
            "custom_metadata": {
                "environment": "torch",
                "target": "linux-64-cpu",
                "variables": '{"OMP_NUM_THREADS":"1"}',
            }
        },
        "package": [
            {
                "name": "python",
                "version": "3.11.9",
                "manager": "conda",
                "platform": "linux-64",
                "dependencies": {},
                "url": "https://depot.invalid/x/linux-64/python-3.11.9-h1_0.conda",
                "hash": {"md5": MD5, "sha256": SHA},
            },
            {
                "name": "ca-certificates",
                "version": "2024.7.4",
                "manager": "conda",
                "platform": "linux-64",
                "dependencies": {},
                "url": "https://depot.invalid/x/noarch/ca-certificates-2024.7.4-h2_0.tar.bz2",
                "hash": {"md5": MD5, "sha256": SHA},
            },
        ],
    }
    return {**document, **changes}


def pylock(**changes):
    wheel = {"url": "https://depot.invalid/w/torch-2.7.1%2Bcpu-cp311-cp311-linux_x86_64.whl", "hashes": {"sha256": SHA}}
    return {
        "lock-version": "1.0",
        "created-by": "x",
        "packages": [{"name": "torch", "version": "2.7.1+cpu", "wheels": [{**wheel, "size": 7}], **changes}],
    }


def test_parse_reads_both_files():
    lock = lockfile.parse(conda_lock(), pylock())
    assert (lock.environment, lock.target, lock.variables) == ("torch", "linux-64-cpu", {"OMP_NUM_THREADS": "1"})
    found = [(p.manager, p.name, p.version, p.build, p.subdir, p.size) for p in lock.packages]
    assert found == [
        ("conda", "ca-certificates", "2024.7.4", "h2_0", "noarch", None),
        ("conda", "python", "3.11.9", "h1_0", "linux-64", None),
        ("pip", "torch", "2.7.1+cpu", "", "", 7),
    ]
    assert lock.packages[2].filename == "torch-2.7.1+cpu-cp311-cp311-linux_x86_64.whl"


def test_packages_survive_json():
    for package in lockfile.parse(conda_lock(), pylock()).packages:
        assert lockfile.Package.from_dict(json.loads(json.dumps(package.to_dict()))) == package


def test_an_environment_without_wheels_has_no_pylock_entries():
    assert [p.manager for p in lockfile.parse(conda_lock(), {}).packages] == ["conda", "conda"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"version": 2}, "version 2 is not known. Accepted: 1"),
        ({"package": "x"}, "'package' is no list"),
        ({"package": ["x"]}, r"package\[0\]: str is no mapping"),
    ],
)
def test_documents_of_another_shape_are_refused(wrong, message):
    with pytest.raises(lockfile.LockFileError, match=message):
        lockfile.parse(conda_lock(**wrong), {})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hash", {"md5": MD5}, r"package\[0\] \(python\): sha256 is missing or malformed \(None\)"),
        ("hash", {"sha256": SHA}, r"package\[0\] \(python\): md5 is missing or malformed"),
        ("hash", {"md5": MD5, "sha256": "A" * 64}, "sha256 is missing or malformed"),
        ("manager", "poetry", "manager 'poetry' is not known. Accepted: conda, pip"),
        ("url", "https://depot.invalid/x/linux-64/python-3.11.9.tar.gz", "is no conda package"),
        ("url", "https://depot.invalid/x/linux-64/python-3.12.0-h1_0.conda", "which is not python 3.11.9"),
        ("url", "python-3.11.9-h1_0.conda", "no platform folder"),
        ("name", None, "name is missing or no text"),
        ("name", "ca-certificates", "which is not ca-certificates"),
        (
            "category",
            "dev",
            r"package\[0\] \(python\): its category is 'dev'\. Accepted: .* Next: .*--no-dev-dependencies",
        ),
        (
            "category",
            "docs",
            r"package\[0\] \(python\): its category is 'docs'\. Accepted: .* Next: .*--filter-categories",
        ),
        ("optional", True, r"package\[0\] \(python\): its category is 'main', and it is optional\. Accepted: "),
    ],
)
def test_conda_entries_that_can_not_be_trusted_are_refused_by_name(key, value, message):
    document = conda_lock()
    document["package"][0][key] = value
    with pytest.raises(lockfile.LockFileError, match=message):
        lockfile.parse(document, {})


def test_a_package_that_stands_twice_is_refused():
    document = conda_lock()
    document["package"].append(document["package"][0])
    with pytest.raises(lockfile.LockFileError, match="conda package 'python' stands in it twice"):
        lockfile.parse(document, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wheels": []}, r"packages\[0\] \(torch\): 0 wheels. Accepted: exactly one"),
        ({"vcs": {"type": "git"}}, "'vcs' is no wheel"),
        (
            {"marker": "sys_platform == 'win32'"},
            r"packages\[0\] \(torch\): .* marker .*sys_platform.* Next: name the pylock",
        ),
        ({"wheels": [{"url": "https://x.invalid/torch-1.tar.gz", "hashes": {"sha256": SHA}}]}, "is no wheel"),
        ({"wheels": [{"url": "https://x.invalid/torch-1-py3-none-any.whl"}]}, "sha256 is missing"),
        ({"wheels": [{"path": "torch-1-py3-none-any.whl", "hashes": {"sha256": SHA}}]}, "url is missing"),
    ],
)
def test_pylock_entries_that_can_not_be_trusted_are_refused_by_name(changes, message):
    with pytest.raises(lockfile.LockFileError, match=message):
        lockfile.parse(conda_lock(), pylock(**changes))


def test_what_says_that_it_is_no_option_is_taken():
    document = conda_lock()
    document["package"][0].update(category="main", optional=False)
    assert len(lockfile.parse(document, pylock(marker="")).packages) == 3


@pytest.mark.parametrize("manager", ["conda", "pip"])
def test_a_wheel_of_a_conda_lock_file_has_a_category_too(manager):
    document = conda_lock()
    document["package"][0].update(manager=manager, category="dev", optional=True)
    with pytest.raises(lockfile.LockFileError, match=r"\(python\): its category is 'dev', and it is optional"):
        lockfile.parse(document, {})


def test_unknown_pylock_format_is_refused():
    with pytest.raises(lockfile.LockFileError, match=r"lock-version '2\.0' is not known. Accepted: 1\.0"):
        lockfile.parse(conda_lock(), {**pylock(), "lock-version": "2.0"})


def test_digest_knows_neither_places_nor_order():
    lock = lockfile.parse(conda_lock(), pylock())
    moved = copy.deepcopy(conda_lock())
    moved["package"].reverse()
    for entry in moved["package"]:
        entry["url"] = entry["url"].replace("https://depot.invalid", "file:///srv/elsewhere")
    assert lockfile.digest(lockfile.parse(moved, pylock())) == lockfile.digest(lock)
    assert len(lockfile.digest(lock)) == 64


@pytest.mark.parametrize("hash_kind", ["md5", "sha256"])
def test_digest_sees_every_hash(hash_kind):
    other = conda_lock()
    other["package"][0]["hash"][hash_kind] = ("c" * 64)[: 64 if hash_kind == "sha256" else 32]
    assert lockfile.digest(lockfile.parse(other, {})) != lockfile.digest(lockfile.parse(conda_lock(), {}))


def test_digest_sees_variables_and_builds():
    before = lockfile.digest(lockfile.parse(conda_lock(), {}))
    variables = conda_lock()
    variables["metadata"]["custom_metadata"]["variables"] = "{}"
    build = conda_lock()
    build["package"][0]["url"] = build["package"][0]["url"].replace("h1_0", "h1_1")
    assert len({before, *(lockfile.digest(lockfile.parse(d, {})) for d in (variables, build))}) == 3


def test_a_lock_edited_by_hand_is_refused_by_name():
    document = conda_lock()
    document["metadata"]["custom_metadata"]["digest"] = lockfile.digest(lockfile.parse(document, {}))
    lockfile.check_digest(lockfile.parse(document, {}), lockfile.recorded(document))
    document["package"][0]["hash"]["sha256"] = "c" * 64
    with pytest.raises(lockfile.LockFileError, match=r"environment 'torch' for target 'linux-64-cpu'.*edited by hand"):
        lockfile.check_digest(lockfile.parse(document, {}), lockfile.recorded(document))


def test_difference_tells_package_by_package():
    before = lockfile.parse(conda_lock(), {}).packages
    newer = conda_lock()
    newer["package"][0].update(version="3.11.10", url="https://depot.invalid/x/linux-64/python-3.11.10-h1_0.conda")
    del newer["package"][1]
    found = lockfile.difference(before, lockfile.parse(newer, pylock()).packages)
    assert found == {
        "added": [{"manager": "pip", "name": "torch", "version": "2.7.1+cpu", "build": ""}],
        "removed": [{"manager": "conda", "name": "ca-certificates", "version": "2024.7.4", "build": "h2_0"}],
        "changed": [{"manager": "conda", "name": "python", "before": "3.11.9 h1_0", "after": "3.11.10 h1_0"}],
    }
    assert lockfile.difference(before, before) == {"added": [], "removed": [], "changed": []}
