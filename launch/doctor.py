"""`reasonlab doctor`: whether this machine, or those of a hostfile, can do a run; each line with what to do about it."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from launch.health.findings import Finding, as_record, works
from problems.telling import as_json, tell, with_manner
from rewards.code.doctor import layers_command
from rewards.code.settings import SandboxSettings
from rl.settings.arguments import at_least, clearly


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab doctor",
        description="Whether this machine can do a run, a line a finding: ok, warning, failure, and what to do about it.",
        epilog="exit status: 0 a run can work, 1 it could not, 2 it could not be looked into",
        allow_abbrev=False,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs will go (run.dir; default: runs)")
    parser.add_argument("--hostfile", type=Path, help="and the hosts of this file: ssh, versions, a measured all-reduce")
    parser.add_argument("--ssh-port", type=at_least(1), help="of the hosts")
    parser.add_argument("--master-addr", help="where their ranks meet (default: the address of the first host)")
    parser.add_argument("--sandbox", action="store_true", help="only the isolation of untrusted programs, layer by layer")
    parser.add_argument(
        "--off", default="", help="of --sandbox: layers to switch off, with commas between, to see what is left"
    )
    parser.add_argument("--allow-weak", action="store_true", help="of --sandbox: as sandbox.allow_weak: true")
    return with_manner(parser, "works, findings; of --sandbox works and what was tried")


@clearly
def doctor_command(argv: Sequence[str]) -> int:
    """Is this machine fit for a run?"""
    flags = _parser().parse_args(list(argv))
    if flags.sandbox or flags.off or flags.allow_weak:
        return layers_command(flags.off, allow_weak=flags.allow_weak)
    from launch.health.machine import looked_over

    findings: list[Finding] = []
    for name, check in _checks(flags).items():
        found = looked_over(name, check)
        findings += found
        if not as_json():
            print(*found, sep="\n", flush=True)
    conclusion = "a run can work here" if works(findings) else "a run could not work here: see the failures above"
    tell(as_record(findings), lambda: print(conclusion))
    return 0 if works(findings) else 1


def _checks(flags: argparse.Namespace) -> dict[str, Callable[[], Iterator[Finding]]]:
    """Return the checks by name, in their order."""
    from launch.health import machine, services

    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "packages": machine.versions,
        "GPU": machine.devices,
        "compiler": machine.compiler,
        "memory": machine.memory,
        "disk": lambda: machine.disks(flags.runs),
        "sandbox": lambda: machine.sandbox(SandboxSettings.from_environment()),
        "W&B": services.weights_and_biases,
        "hub": services.hub,
    }
    if flags.hostfile is not None:
        from launch.health.reach import hosts_checked
        from launch.nodes.commands import ssh_words
        from launch.nodes.hosts import read_hostfile

        hosts, ssh = read_hostfile(flags.hostfile), ssh_words(flags.ssh_port)
        checks["hosts"] = lambda: hosts_checked(hosts, ssh, flags.runs, flags.master_addr)
    return checks
