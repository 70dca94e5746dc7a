"""A run on two hosts outlives one of them: the other goes on from the last checkpoint, to the same weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import torch
from toy import ROOT, Toy, run_module

from wenet_lite.training.checkpoint import list_checkpoints, load_checkpoint

pytestmark = pytest.mark.slow
SETTINGS = ("training.max_epochs=10", "training.checkpoint_interval=4", "model.encoder.cnn_module_norm=layer_norm")
CUT_AFTER = 17  # updates: the last checkpoint is of 16, an epoch has 5


@pytest.fixture(scope="module")
def undisturbed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    exp_dir = tmp_path_factory.mktemp("undisturbed")
    result = run_module("wenet_lite.bin.train", *toy.train_arguments(exp_dir, *SETTINGS), processes=2)
    assert result.returncode == 0, result.stderr
    return exp_dir


class Host:
    """One rank of a run on two hosts.

    Args:
        address: its own.
        endpoint: where the hosts meet.
        log: file for what it says.
        prefix: command that runs a command on this host.
        interface: that gloo is to use.
    """

    def __init__(
        self, address: str, endpoint: str, log: Path, *, interface: str = "lo", prefix: Sequence[str] = ()
    ) -> None:
        self.address, self.log, self._prefix = address, log, prefix
        options = ["--nnodes", "1:2", "--rdzv-endpoint", endpoint, "--local-addr", address]
        self._launch = [sys.executable, "-m", "wenet_lite.bin.launch", *options]
        self._environment = {**os.environ, "GLOO_SOCKET_IFNAME": interface}

    @contextmanager
    def running(self, train_arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Train for the time of the block; nothing of it is left after."""
        restarts = ["--max-restarts", "3", "--timeout", "10"]
        command = [*self._prefix, *self._launch, *restarts, "1", "wenet_lite.bin.train", *train_arguments]
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            kill_tree(process.pid)
            process.wait()


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started, at once, as a power cut does."""
    pids, found = [pid], 0
    while found < len(pids):
        children = Path(f"/proc/{pids[found]}/task/{pids[found]}/children")
        pids += map(int, children.read_text().split()) if children.exists() else []
        found += 1
    for each in pids:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def losses(exp_dir: Path) -> dict[int, float]:
    """Of each update that metrics.jsonl tells of."""
    path = exp_dir / "metrics.jsonl"
    records = map(json.loads, path.read_text().splitlines()) if path.exists() else []
    return {record["update"]: record["loss"] for record in records if record["kind"] == "train"}


def train_and_cut(hosts: Sequence[Host], arguments: list[str], exp_dir: Path, cut: Callable[[int], None]) -> None:
    """Train on both hosts, cut the second one off in mid-epoch, wait until the first is done."""
    with hosts[0].running(arguments) as first, hosts[1].running(arguments) as second:
        while len(losses(exp_dir)) < CUT_AFTER:
            assert first.poll() is None and second.poll() is None, hosts[0].log.read_text()
            time.sleep(0.01)
        cut(second.pid)
        assert first.wait(timeout=240) == 0, hosts[0].log.read_text()
    assert "1 processes of" in hosts[0].log.read_text()


def assert_same_run(actual: Path, expected: Path) -> None:
    """Each update once, and weights equal to rounding."""
    assert losses(actual) == pytest.approx(losses(expected), rel=1e-3)
    paths = [list_checkpoints(exp_dir / "checkpoints")[-1] for exp_dir in (actual, expected)]
    assert paths[0].name == paths[1].name
    one, other = (load_checkpoint(path).model for path in paths)
    for name, value in other.items():
        torch.testing.assert_close(one[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_the_other_host_goes_on_when_all_processes_of_one_are_killed(
    toy: Toy, undisturbed: Path, tmp_path: Path
) -> None:
    """Two hosts stand for two local addresses of this one; the host that is lost had rank 0."""
    endpoint = f"127.0.0.2:{20000 + os.getpid() % 10000}"
    hosts = [Host(f"127.0.0.{number}", endpoint, tmp_path / f"{number}.log") for number in (2, 1)]
    train_and_cut(hosts, toy.train_arguments(tmp_path / "exp", *SETTINGS), tmp_path / "exp", kill_tree)
    assert_same_run(tmp_path / "exp", undisturbed)


def ip(*arguments: str) -> None:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {result.stderr.strip()}")


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Two network namespaces, joined by a cable with the addresses 10.77.0.1 and 10.77.0.2."""
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need the command ip (package iproute2)")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    names = [f"wenet{os.getpid()}{side}" for side in "ab"]
    with ExitStack() as clean_up:
        try:
            for name in names:
                ip("netns", "add", name)
                clean_up.callback(ip, "netns", "del", name)
            ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "cable", "netns", names[1])
            for number, name in enumerate(names, start=1):
                ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "cable")
                for device in ("lo", "cable"):
                    ip("-n", name, "link", "set", device, "up")
        except OSError as error:
            pytest.skip(f"this system does not allow network namespaces: {error}")
        yield names


def test_the_other_host_goes_on_when_the_cable_of_one_is_cut(
    toy: Toy, namespaces: list[str], undisturbed: Path, tmp_path: Path
) -> None:
    hosts = [
        Host(f"10.77.0.{number}", "10.77.0.1:29400", tmp_path / f"{number}.log", interface="cable",
             prefix=["ip", "netns", "exec", name])
        for number, name in enumerate(namespaces, start=1)
    ]  # fmt: skip

    def cut(_: int) -> None:
        ip("-n", namespaces[1], "link", "set", "cable", "down")

    train_and_cut(hosts, toy.train_arguments(tmp_path / "exp", *SETTINGS), tmp_path / "exp", cut)
    assert "lost the others" in hosts[0].log.read_text()
    assert_same_run(tmp_path / "exp", undisturbed)
