"""All was built, proved and used with no network but the depot: not a packet went elsewhere. In this order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest
import scenario
from testinfra.host import Host

ENVIRONMENT = "/opt/miniconda3/envs/torch"
NODE = "of-one"
LOOK = (
    "import sys, six, torch; print(six.__file__); print(torch.__file__); "
    "print([entry for entry in sys.path if '.local' in entry or 'elsewhere' in entry])"
)
Alice = Callable[..., "subprocess.CompletedProcess[str]"]
Packets = Callable[[], dict[str, int]]
WAYS = {
    "activated": "conda activate torch && python -c",
    "sourced": f". {ENVIRONMENT}/bin/activate && python -c",
    "direct": f"{ENVIRONMENT}/bin/python -c",
    "conda run": "conda run -n torch python -c",
}


def test_it_was_trained(host: Host) -> None:
    result = json.loads(host.file("/opt/condafleet/validation/torch/torch/result.json").content_string)
    assert result["verdict"] == "PASS"
    assert result["test_accuracy"] > 0.8


@pytest.mark.parametrize("user", ["alice", "root"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_user_s_own_packages_leaks_in(alice: Alice, way: str, user: str) -> None:
    done = alice(f'unset PYTHONPATH; {WAYS[way]} "{LOOK}"', user)
    assert done.returncode == 0, done.stdout + done.stderr
    # conda run ends with an empty line.
    six, torch, others = done.stdout.strip().splitlines()
    assert six.startswith("/opt/condafleet/generations/torch-"), done.stdout
    assert torch.startswith("/opt/condafleet/generations/torch-")
    assert others == "[]"


@pytest.mark.parametrize(
    "command",
    ["pip list", "pip check", "pip show torch", "conda list", "conda env list", "conda info", "conda list --explicit"],
)
def test_pip_and_conda_inside_answer(alice: Alice, command: str) -> None:
    done = alice(f"conda activate torch && {command}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_not_a_packet_went_elsewhere(packets: Packets) -> None:
    sent = packets()
    # The other direction of the connection that carries all this test's commands is ssh, to the same address.
    assert sent["depot"] > 1000
    assert (sent["dns"], sent["elsewhere"]) == (0, 0)


def test_what_would_go_elsewhere_is_counted(packets: Packets) -> None:
    program = (
        "import socket, contextlib\n"
        "s = socket.socket(); s.settimeout(1)\n"
        "with contextlib.suppress(OSError): s.connect(('198.51.100.7', 443))\n"
        "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "with contextlib.suppress(OSError): u.sendto(b'x', ('127.0.0.1', 53))\n"
    )
    scenario.fleet().ssh(NODE, f'{ENVIRONMENT}/bin/python -c "{program}"')
    sent = packets()
    assert sent["elsewhere"] >= 1
    assert sent["dns"] >= 1
