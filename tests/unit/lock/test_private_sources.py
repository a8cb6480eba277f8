"""Private indexes and channels that really ask who is there: solved from, fetched from, and no secret anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.condafleet.core.plugins.module_utils.access import packed
from ansible_collections.condafleet.core.plugins.module_utils.environment_fetched import fetched
from ansible_collections.condafleet.core.plugins.module_utils.environment_request import Request
from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError, InputError
from ansible_collections.condafleet.core.plugins.module_utils.lockfile import parse
from condafleet.errors import LockError
from condafleet.lock import lock_all
from condafleet.lock.credentials import credential_files, for_rattler, for_uv
from condafleet.lock.indexes import index_options
from condafleet.lock.sources import upstream

sys.path.insert(0, str(Path(__file__).parents[2] / "containers"))
from private_index import BASIC, BEARER, PASSWORD, SECRETS, TOKEN, USER, Site

REPOSITORY = Path(__file__).parents[3]
LOGIN = {"username": USER, "password": PASSWORD}


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The default index: it has a newer `ours`, put there by somebody else."""
    with Site({}) as site:
        site.add_wheel("ours", "99.0")
        site.add_wheel("known", "1.0")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{site.url}/simple")
        yield site


@pytest.fixture
def private() -> Iterator[Site]:
    with Site({}, [BASIC]) as site:
        site.add_wheel("ours", "1.0", ["known"])
        yield site


@pytest.fixture
def channel(made: Any) -> Iterator[Site]:
    """The made-up depot's channel, for who has the token."""
    made.write()
    folder = made.root / "channel"
    pages = {f"/c/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with Site(pages, [BEARER]) as site:
        yield site


class Watch:
    """Collects what every process of this machine was started with, as long as it runs."""

    def __enter__(self) -> Watch:
        self.seen: set[bytes] = set()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.ended.is_set():
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(place.read_bytes())
                except OSError:
                    continue
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def saw(self, word: str) -> bool:
        return any(word.encode() in line for line in self.seen)


def entry(private: Site, **more: Any) -> dict[str, Any]:
    spec = {"conda": ["python=3.11"], "pip": ["ours"]}
    return {"name": "site", "spec": spec, "targets": ["linux-64-cpu"], "indexes": [f"{private.url}/simple/"], **more}


def secret_free(*texts: str | bytes) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in (text.decode() if isinstance(text, bytes) else text)


def test_wheels_and_packages_come_from_private_places_and_no_secret_shows(
    private: Site, public: Site, channel: Site, targets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    auth = {private.host: LOGIN, channel.host: {"token": TOKEN}, "elsewhere.example.com": {"token": "tok-other"}}
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with Watch() as watch:
        (state,) = lock_all(
            [entry(private)], targets, tmp_path, channels=[f"{channel.url}/c"], auth=auth, progress=said.append
        )
    lock = state.pylock.read_text()
    assert f"{private.url}/files/ours-1.0-py3-none-any.whl" in lock
    assert f"{public.url}/files/known-1.0-py3-none-any.whl" in lock
    assert f"{channel.url}/c/linux-64/python-3.11.9-h0_0.conda" in state.conda_lock.read_text()
    # Nobody asked the default index for a project that the private one has.
    assert {path for path, _, _ in public.asked if "ours" in path} == set()
    assert any(one[1:] == (BASIC, 200) for one in private.asked)
    assert any(one[1:] == (BEARER, 200) for one in channel.asked)
    # Each secret went to its own place and to no other, above all not to the default index.
    assert {header for _, header, _ in public.asked} == {None}
    assert {header for _, header, _ in private.asked} <= {None, BASIC}
    assert {header for _, header, _ in channel.asked} <= {None, BEARER}
    assert watch.saw("condafleet.lock") and watch.saw("--torch-backend")
    secret_free(lock, state.conda_lock.read_text(), "\n".join(said), b"\n".join(watch.seen))
    assert list((tmp_path / "tmp").iterdir()) == []
    for path in (Path(os.environ["XDG_CACHE_HOME"])).rglob("*"):
        secret_free(path.read_bytes().decode("latin-1") if path.is_file() else "")


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({"password": "wrong"}, "answers 401 Unauthorized for .*other credentials than those declared for it"),
        (None, "answers 401 Unauthorized for .*it wants credentials, and none are declared"),
    ],
)
def test_an_index_that_refuses_is_one_clear_error_and_no_other_is_asked(
    private: Site, public: Site, made: Any, targets: Any, tmp_path: Path, auth: Any, message: str
) -> None:
    made.write()
    given = {private.host: {**LOGIN, **auth}} if auth else None
    with pytest.raises(LockError, match=f"environments_auth: {private.host} {message}.*Nothing was written") as caught:
        lock_all([entry(private)], targets, tmp_path, channels=[(made.root / "channel").as_uri()], auth=given)
    assert "wrong" not in str(caught.value)
    assert not [path for path, _, _ in public.asked if "ours" in path]
    assert not list(tmp_path.glob("site/*"))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_however_an_index_turns_strangers_away_it_is_asked_with_the_login(
    public: Site, made: Any, targets: Any, tmp_path: Path, status: int
) -> None:
    made.write()
    with Site({}, [BASIC], status) as site:
        site.add_wheel("ours", "1.0")
        channels = [(made.root / "channel").as_uri()]
        (state,) = lock_all([entry(site)], targets, tmp_path, channels=channels, auth={site.host: LOGIN})
    assert f"{site.url}/files/ours-1.0" in state.pylock.read_text()
    assert not [path for path, _, _ in public.asked if "ours" in path]


@pytest.mark.parametrize("status", [403, 500, None])
def test_an_index_that_does_not_answer_is_never_replaced_by_another(
    public: Site, made: Any, targets: Any, tmp_path: Path, status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.write()
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with Site({}, ["nobody"], status or 500) as site:
        declared = entry(site)
        if status is None:
            site.server.server_close()
        with pytest.raises(LockError, match=r"(?s)environments_indexes: .* can't be read|answers 403 Forbidden"):
            lock_all([declared], targets, tmp_path, channels=[(made.root / "channel").as_uri()])
    assert not [path for path, _, _ in public.asked if "ours" in path]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, None])
def test_the_site_s_own_torch_is_never_replaced_where_its_index_does_not_say_whether_it_has_it(
    status: int | None, tmp_path: Path
) -> None:
    with Site({}, ["nobody"], status or 500) as site:
        sources = upstream([], [f"{site.url}/simple"])
        if status is None:
            site.server.server_close()
        expected = "environments_auth: .* answers 40[13]" if status in (401, 403) else "environments_indexes: .* read"
        with pytest.raises(LockError, match=f"{expected}.*Nothing was written"):
            index_options(sources, "cu128", {}, tmp_path)


@pytest.mark.parametrize("status", [404, 410])
def test_an_index_that_has_no_torch_leaves_it_to_pytorch_s_own(status: int, tmp_path: Path) -> None:
    with Site({}, ["nobody"], status) as site:
        assert "--torch-backend=cu128" in index_options(upstream([], [f"{site.url}/simple"]), "cu128", {}, tmp_path)
    with Site({}) as site:
        site.add_wheel("torch", "1.0")
        assert not [
            one for one in index_options(upstream([], [f"{site.url}/simple"]), "cu128", {}, tmp_path) if "torch" in one
        ]


def test_a_channel_that_refuses_is_one_clear_error(channel: Site, targets: Any, tmp_path: Path) -> None:
    declared = {"name": "site", "spec": {"conda": ["python"]}, "targets": ["linux-64-cpu"]}
    for auth in (None, {channel.host: {"token": "tok-wrong"}}):
        with pytest.raises(LockError, match=f"environments_auth: {channel.host} answers 401") as caught:
            lock_all([declared], targets, tmp_path, channels=[f"{channel.url}/c"], auth=auth)
        assert "tok-wrong" not in str(caught.value)


def test_with_a_depot_no_index_is_asked(private: Site, public: Site, made: Any, targets: Any, tmp_path: Path) -> None:
    with pytest.raises(LockError, match="ours was not found"):
        lock_all([entry(private)], targets, tmp_path, depot=made.write(), auth={private.host: LOGIN})
    assert private.asked == public.asked == []


def test_another_index_makes_the_lock_stale_and_credentials_do_not(
    private: Site, public: Site, made: Any, targets: Any, tmp_path: Path
) -> None:
    made.write()
    channels = [(made.root / "channel").as_uri()]
    auth = {private.host: LOGIN}
    (first,) = lock_all([entry(private)], targets, tmp_path, channels=channels, auth=auth)
    (same,) = lock_all([entry(private)], targets, tmp_path, channels=channels, check=True)
    (moved,) = lock_all([entry(private, indexes=[])], targets, tmp_path, channels=channels, check=True)
    assert (first.state, same.state, moved.state) == ("made", "reused", "stale")
    without = entry(private)
    del without["indexes"]
    (common,) = lock_all([without], targets, tmp_path, channels=channels, check=True, indexes=[f"{private.url}/simple"])
    assert common.state == "reused"


def test_an_index_with_a_login_in_it_is_refused(private: Site, targets: Any, tmp_path: Path) -> None:
    url = private.url.replace("//", f"//{USER}:{PASSWORD}@")
    with pytest.raises(LockError, match=r"with a login or a token in it.*give it in environments_auth") as caught:
        lock_all([entry(private, indexes=[url])], targets, tmp_path)
    secret_free(str(caught.value))


def test_the_files_are_this_users_alone_and_end_with_the_child() -> None:
    with credential_files({"h.example.com": LOGIN}, ["https://h.example.com/c"], []) as found:
        places = [Path(found["RATTLER_AUTH_FILE"]), Path(found["UV_CREDENTIALS_DIR"], "credentials.toml")]
        assert [place.stat().st_mode & 0o777 for place in places] == [0o600, 0o600]
        assert places[0].parent.stat().st_mode & 0o777 == 0o700
    assert not places[0].parent.exists()
    with credential_files({}, ["https://h.example.com/c"], []) as found:
        assert found == {}


def test_a_solver_is_told_no_more_than_its_places_need() -> None:
    hosts = {"h.example.com:8443": LOGIN, "h.example.com": {"token": TOKEN}, "i.example.com": LOGIN}
    assert for_rattler(hosts, ["https://h.example.com:8443/c", "https://other.example.com/c"]) == {
        "h.example.com": {"BasicHTTP": LOGIN}
    }
    with pytest.raises(LockError, match=r"two channels on h\.example\.com at different ports"):
        for_rattler(hosts, ["https://h.example.com:8443/c", "https://h.example.com/d"])
    assert "http://" not in for_uv(hosts, ["https://i.example.com/simple"])
    assert 'service = "http://i.example.com/"' in for_uv(hosts, ["http://i.example.com/simple"])


@pytest.mark.parametrize(
    ("declared", "part"),
    [
        ("text-secret", "environments_auth: a str"),
        ({"https://u:secret@h/": LOGIN}, "environments_auth: a key that is no host"),
        ({"h.example.com": "secret"}, "environments_auth.h.example.com: what was given"),
        ({"h.example.com": {"user": "secret"}}, "environments_auth.h.example.com: what was given"),
        ({"h.example.com": {"token": "secret\n"}}, "each a text in one line"),
        ({"h.example.com": {"username": "se:cret", "password": "secret"}}, "no colon in the username"),
    ],
)
def test_credentials_of_no_known_form_are_refused_unseen(
    declared: Any, part: str, targets: Any, tmp_path: Path
) -> None:
    entries = [{"name": "site", "spec": {"conda": ["python"]}, "targets": ["linux-64-cpu"]}]
    with pytest.raises(LockError) as caught:
        lock_all(entries, targets, tmp_path, auth=declared)
    assert part in str(caught.value)
    assert "secret" not in str(caught.value)


def locked(private: Site, folder: Path, sha256: str) -> tuple[dict[str, Any], Any]:
    """A pair of locks of one private wheel, as another tool would write it; and what they say."""
    pair = {"conda_lock": str(folder / "x.conda-lock.yml"), "pylock": str(folder / "x.pylock.toml")}
    conda = {"version": 1, "metadata": {}, "package": []}
    Path(pair["conda_lock"]).write_text(yaml.safe_dump(conda))
    wheel = {"url": f"{private.url}/files/ours-1.0-py3-none-any.whl", "hashes": {"sha256": sha256}}
    Path(pair["pylock"]).write_text(
        f'lock-version = "1.0"\n[[packages]]\nname = "ours"\nversion = "1.0"\n'
        f'wheels = [{{url = "{wheel["url"]}", hashes = {{sha256 = "{sha256}"}}}}]\n'
    )
    packages = [{"name": "ours", "version": "1.0", "wheels": [wheel]}]
    return pair, parse(conda, {"lock-version": "1.0", "packages": packages})


def test_a_node_fetches_with_what_it_was_handed(private: Site, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(private.pages["/files/ours-1.0-py3-none-any.whl"]).hexdigest()
    _, lock = locked(private, tmp_path, sha256)
    asked: dict[str, Any] = {"name": "site", "prefix": str(tmp_path / "p"), "digest": "0" * 64}
    with pytest.raises(FleetError, match="HTTP 401: credentials are missing or wrong"):
        fetched(Request(**asked, root=str(tmp_path / "without"), packages=lock.packages))
    request = Request(**asked, root=str(tmp_path / "with"), packages=lock.packages, auth={private.host: packed(LOGIN)})
    assert fetched(request).details["fetched"] == 1
    secret_free(repr(request))


def test_a_play_hands_out_credentials_that_no_task_no_log_and_no_command_line_shows(
    private: Site, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(private.pages["/files/ours-1.0-py3-none-any.whl"]).hexdigest()
    pair, _ = locked(private, tmp_path, sha256)
    task = {
        "name": "Fetch",
        "condafleet.core.conda_environment": {
            "state": "fetched",
            "name": "site",
            "prefix": str(tmp_path / "prefix"),
            "root": str(tmp_path / "root"),
            "lock": pair,
            "auth_variable": "environments_auth",
        },
        "register": "result",
    }
    play = {
        "name": "Fetch",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "tasks": [task, {"name": "Show", "ansible.builtin.debug": {"var": "result"}}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    (tmp_path / "secret.json").write_text(
        json.dumps({"environments_auth": {private.host: LOGIN}, "ansible_python_interpreter": sys.executable})
    )
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))}
    environ |= {"PYTHONPATH": str(REPOSITORY / "python"), "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / "collections")}
    environ |= {
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOG_PATH": str(tmp_path / "log"),
    }
    command = [
        sys.executable,
        "-m",
        "ansible.cli.playbook",
        "-vvv",
        "-i",
        "localhost,",
        "-e",
        "@secret.json",
        "play.yml",
    ]
    with Watch() as watch:
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "root/wheels" / sha256 / "ours-1.0-py3-none-any.whl").exists()
    assert watch.saw("conda_environment")
    secret_free(done.stdout, done.stderr, (tmp_path / "log").read_text(), b"\n".join(watch.seen))
    for path in (tmp_path / "root").rglob("*"):
        secret_free(path.read_bytes().decode("latin-1") if path.is_file() else "")


def test_the_wrong_form_of_credentials_ends_a_play_without_showing_them(tmp_path: Path) -> None:
    from ansible_collections.condafleet.core.plugins.plugin_utils.secrets import hosts_of

    class Templar:
        def resolve_variable_expression(self, name: str) -> Any:
            return {"environments_auth": {"h": {"tokn": "secret"}}}[name]

    with pytest.raises(InputError) as caught:
        hosts_of(Templar(), {"environments_auth": None}, "environments_auth")
    assert "secret" not in str(caught.value)
    assert hosts_of(Templar(), {}, "environments_auth") == {}
