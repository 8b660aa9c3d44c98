"""Hostfiles, devices and addresses; the environment that goes along."""

import base64
import json
import socket
from pathlib import Path

import pytest

from launch.nodes import hosts
from launch.nodes.hosts import Host, HostError, free_port, meeting_address, read_hostfile, this_machine, trimmed, world_info
from launch.nodes.travelling import deepspeed_env, travelling


def test_a_port_to_meet_at_is_one_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, socket.socket() as ours:
        taken.bind(("127.0.0.1", free_port()))
        one = taken.getsockname()[1]
        monkeypatch.setattr(hosts, "_PORTS", [one] * 99 + [free_port()])
        port = free_port()
        ours.bind(("127.0.0.1", port))
        assert one != port < 32_768
        monkeypatch.setattr(hosts, "_PORTS", [one] * 100)
        with pytest.raises(HostError, match="--master-port"):
            free_port()


def hostfile(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "hosts"
    file.write_text(text)
    return file


def test_a_hostfile_is_read_in_order(tmp_path: Path) -> None:
    text = "# two machines\n\nworker-1 slots=2  # the new one\nroot@worker-0\tslots=4\n"
    hosts = read_hostfile(hostfile(tmp_path, text))
    assert hosts == [Host(name="worker-1", devices=(0, 1)), Host(name="root@worker-0", devices=(0, 1, 2, 3))]
    assert json.loads(base64.urlsafe_b64decode(world_info(hosts))) == {"worker-1": [0, 1], "root@worker-0": [0, 1, 2, 3]}
    assert trimmed(hosts, 1, 1) == [Host(name="worker-1", devices=(0,))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("worker-0\n", "line 1 is 'worker-0'; expected NAME slots=N"),
        ("a slots=1\na slots=2\n", "line 2 names a a second time"),
        ("a slots=0\n", "line 1"),
        ("-oProxyCommand=id slots=1\n", "line 1"),  # ssh would take it for an option
        ("a;id slots=1\n", "line 1"),
        ("# nobody\n", "names no host"),
    ],
)
def test_a_faulty_hostfile_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(HostError, match=words):
        read_hostfile(hostfile(tmp_path, text))


def test_more_than_there_is_is_refused() -> None:
    hosts = [Host(name="a", devices=(0, 1))]
    with pytest.raises(HostError, match="--nodes 2, and there are 1: a"):
        trimmed(hosts, 2, None)
    with pytest.raises(HostError, match="--gpus 4, and a has 2 slots"):
        trimmed(hosts, None, 4)


def test_this_machine_keeps_to_the_devices_that_may_be_seen() -> None:
    assert this_machine(None, {"CUDA_VISIBLE_DEVICES": "3,5"})[0].devices == (3, 5)
    assert this_machine(1, {"CUDA_VISIBLE_DEVICES": "3,5"})[0].devices == (3,)
    # the launcher writes these into CUDA_VISIBLE_DEVICES: whoever hid all GPUs does not get them back
    assert this_machine(2, {"CUDA_VISIBLE_DEVICES": ""})[0].devices == (-1, -1)
    with pytest.raises(HostError, match="GPU-8f3a"):
        this_machine(1, {"CUDA_VISIBLE_DEVICES": "GPU-8f3a"})


def test_an_address_that_others_cannot_reach_is_refused() -> None:
    one, two = Host(name="127.0.0.1", devices=(0,)), Host(name="10.0.0.2", devices=(0,))
    with pytest.raises(HostError, match="say --master-addr"):
        meeting_address([one, two], ["ssh"])
    assert meeting_address([one], ["ssh"]) == "127.0.0.1"
    assert meeting_address([one, two], ["ssh"], from_first=True) == "127.0.0.1"
    assert meeting_address([two, one], ["ssh"]) == "10.0.0.2"


def test_what_a_run_depends_on_goes_along_and_nothing_of_this_machine() -> None:
    here = {"HF_TOKEN": "x", "WANDB_API_KEY": "y", "NCCL_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1", "https_proxy": "p"}
    own = {"HOME": "/root", "PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", "SSH_AUTH_SOCK": "s", "PWD": "/", "DS_ENV_FILE": "f"}
    assert travelling(here | own) == here


def test_the_environment_file_has_only_lines_that_deepspeed_can_read() -> None:
    text, left_out = deepspeed_env({"B": 'a "b" $C 5%', "A": "1=2", "N": "x\ny", "E": ""})
    # worked out from the shell's rules for double quotes, and pdsh's for %
    assert text == 'A=1=2\nB=a \\"b\\" \\$C 5%%\nE=\n'
    assert left_out == ["N"]
    assert all(len(line.split("=", maxsplit=1)) == 2 for line in text.splitlines())
