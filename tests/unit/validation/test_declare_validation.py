"""The declaration of the validation: resolved, or one clear error."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.condafleet.core.plugins.module_utils.declare_validation import check_validation
from ansible_collections.condafleet.core.plugins.module_utils.errors import InputError
from ansible_collections.condafleet.core.plugins.module_utils.validation_scripts import read_scripts

NAMES = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
HASHES = {name: str(index) * 64 for index, name in enumerate(NAMES)}
SCRIPTS = {"mnist_job.py": "x", "train_torch.py": "y"}
ENVIRONMENTS = [
    {"name": "pytorch", "frameworks": ["torch", "keras"], "variables": {"KERAS_BACKEND": "torch"}},
    {"name": "plain", "frameworks": []},
]
DEPOT = {"depot_url": "http://depot:8000/", "depot_sha256": "a" * 64}
FILES = [{"name": name, "path": "datasets/mnist/" + name, "sha256": sha256} for name, sha256 in HASHES.items()]
MANIFEST = {"datasets": {"mnist": {"files": FILES}}}


def values(**changes: Any) -> dict[str, Any]:
    return {"environments": ENVIRONMENTS, "data": {"path": "/data/mnist", "sha256": HASHES}, **changes}


def test_jobs_and_their_digests() -> None:
    declared = check_validation(values(), None, SCRIPTS)
    assert [(job["environment"], job["framework"]) for job in declared["jobs"]] == [
        ("pytorch", "torch"),
        ("pytorch", "keras"),
    ]
    assert all(len(job["job_digest"]) == 64 for job in declared["jobs"])
    assert declared["jobs"][0]["variables"] == {"KERAS_BACKEND": "torch"}
    assert declared["epochs"] == 5 and declared["least_accuracy"] == 0.97


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"level": "smoke"}, ["smoke"]),
        ({}, ["train"]),
        ({"level": "full"}, ["train", "transformer", "serve"]),
        ({"level": "full", "checks": {"serve.*": False}}, ["train", "transformer"]),
        # Without its training, an environment is at least imported.
        ({"checks": {"train.mnist": False}}, ["smoke"]),
        ({"level": "smoke", "checks": {"train.transformer": True}}, ["smoke", "transformer"]),
        ({"level": "smoke", "checks": {"env.smoke": False}}, []),
    ],
    ids=str,
)
def test_kinds_of_job_follow_the_level_and_the_checks(changes: dict[str, Any], kinds: list[str]) -> None:
    declared = check_validation(values(**changes), None, SCRIPTS)
    assert [job["kind"] for job in declared["jobs"] if job["framework"] == "torch"] == kinds
    assert len({job["job_digest"] for job in declared["jobs"]}) == 2 * len(kinds)


def test_a_smoke_test_needs_no_data_set() -> None:
    without = values(level="smoke", data="depot")
    assert check_validation(without, None, SCRIPTS)["data"] == []
    with pytest.raises(InputError, match="validation_data"):
        check_validation({**without, "level": "standard"}, None, SCRIPTS)


def test_each_kind_has_its_own_time_limit() -> None:
    checks = {"serve.export": {"timeout": 77}, "train.mnist": {"timeout": 5}}
    declared = check_validation(values(level="full", checks=checks, timeout=1234), None, SCRIPTS)
    limits = {job["kind"]: job["timeout"] for job in declared["jobs"]}
    assert limits == {"train": 1234, "transformer": 900, "serve": 77}


def test_a_folder_on_the_node_becomes_file_urls() -> None:
    declared = check_validation(values(data={"path": "/data/my mnist", "sha256": HASHES}), None, SCRIPTS)
    assert declared["data"][0] == {
        "name": NAMES[0],
        "url": "file:///data/my%20mnist/" + NAMES[0],
        "sha256": HASHES[NAMES[0]],
    }


def test_data_from_the_depot() -> None:
    declared = check_validation(values(data="depot", **DEPOT), MANIFEST, SCRIPTS)
    assert declared["data"][3]["url"] == "http://depot:8000/datasets/mnist/" + NAMES[3]


def test_packed_files_are_accepted() -> None:
    packed = {name + ".gz": sha256 for name, sha256 in HASHES.items()}
    declared = check_validation(values(data={"url": "https://host/mnist", "sha256": packed}), None, SCRIPTS)
    assert declared["data"][0]["url"] == "https://host/mnist/" + NAMES[0] + ".gz"


@pytest.mark.parametrize("changes", [{"enabled": False}, {"environments": []}])
def test_nothing_to_validate_needs_no_data(changes: dict[str, Any]) -> None:
    declared = check_validation(values(data="depot", **changes), None, SCRIPTS)
    assert (declared["jobs"], declared["data"]) == ([], [])


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "framework": (
        {"environments": [{"name": "e", "frameworks": ["caffe"]}]},
        [
            "environments_list (e).frameworks: caffe",
            "jax, keras, keras-jax, keras-tensorflow, keras-torch, tensorflow, torch",
        ],
    ),
    "a seed that not every framework takes": ({"seed": 2**32}, ["validation_seed: 4294967296", "from 0 to 4294967293"]),
    # Its results would lie where the node's record is.
    "name of a record": (
        {"environments": [{"name": "node.json", "frameworks": ["torch"]}]},
        ["validation_environments.name: node.json", "not ending in .json"],
    ),
    "share": ({"least_accuracy": 97}, ["validation_least_accuracy: 97", "from 0 to 1"]),
    "share as a word": ({"least_accuracy": "high"}, ["validation_least_accuracy: high"]),
    "epochs": ({"epochs": 0}, ["validation_epochs: 0", "from 1 up"]),
    "epochs as truth": ({"epochs": True}, ["validation_epochs: True"]),
    "nice": ({"nice": 20}, ["validation_nice: 20", "from 0 to 19"]),
    "timeout": ({"timeout": "soon"}, ["validation_timeout: soon", "seconds"]),
    "user": ({"user": "no one"}, ["validation_user: no one"]),
    "no depot": ({"data": "depot"}, ["validation_data: depot (with no depot_url)", "validation_enabled to false"]),
    "two sources": ({"data": {"path": "/a", "url": "http://b/", "sha256": HASHES}}, ["validation_data:", "one source"]),
    "relative path": ({"data": {"path": "mnist", "sha256": HASHES}}, ["validation_data.path: mnist", "absolute"]),
    "url": ({"data": {"url": "ftp://host/", "sha256": HASHES}}, ["validation_data.url: ftp://host/", "https://"]),
    "no sha256": ({"data": {"path": "/data"}}, ["validation_data.sha256: an empty value", "run sha256sum"]),
    "short sha256": (
        {"data": {"path": "/data", "sha256": {**HASHES, NAMES[0]: "abc"}}},
        [f"validation_data.sha256.{NAMES[0]}: abc", "64 hexadecimal digits"],
    ),
    "a file is missing": (
        {"data": {"path": "/data", "sha256": {name: HASHES[name] for name in NAMES[1:]}}},
        ["t10k-images-idx3-ubyte (it is missing)"],
    ),
    "a file twice": (
        {"data": {"path": "/data", "sha256": {**HASHES, NAMES[0] + ".gz": "f" * 64}}},
        ["t10k-images-idx3-ubyte (it is there twice)"],
    ),
    "a stray file": ({"data": {"path": "/data", "sha256": {**HASHES, "x.npz": "f" * 64}}}, ["x.npz", "plain or .gz"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_clear_error(name: str) -> None:
    changes, texts = BAD[name]
    with pytest.raises(InputError) as caught:
        check_validation(values(**changes), None, SCRIPTS)
    message = str(caught.value)
    assert "Accepted: " in message and "Next: " in message
    assert [text for text in texts if text not in message] == [], message


def test_the_collections_own_scripts_are_found() -> None:
    assert {"mnist_job.py", "train_keras.py", "train_tensorflow.py", "train_torch.py"} <= set(read_scripts())


def test_with_the_former_generation_the_current_one_trains_too() -> None:
    assert check_validation({"environments": [], "rerun_previous": True})["rerun"]
    assert not check_validation({"environments": []})["rerun"]
