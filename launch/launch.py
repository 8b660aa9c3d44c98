"""`reasonlab launch`: a training on this machine, on those of a hostfile, or as a Slurm job."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from launch.nodes.attempts import Launch, commands_of, run_launch, words_of
from launch.nodes.hosts import Host, HostError, num_ranks, own_rank, read_hostfile, this_machine, trimmed
from launch.nodes.slurm import job_script, submit
from problems.telling import as_json, tell, with_manner
from rl.settings.arguments import OVERRIDES, at_least, clearly, configs_first
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig, check_world
from rl.tracking.run_directory import standing

_EPILOG = f"{OVERRIDES}; exit status: 0 finished, 75 start me again, 2 to be mended first, 130 Ctrl-C, 1 failed"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasonlab launch",
        usage="reasonlab launch CONFIG [options] [key=value ...]",
        description="Starts a training on one machine, on many or through Slurm, watches over it and says how it ended.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, action="append", default=[], help="YAML file; may be repeated, later ones win")
    whole = at_least(1)
    parser.add_argument("--gpus", type=whole, help="processes a machine (default: its GPUs or slots; 1 where there is none)")
    parser.add_argument("--nodes", type=whole, help="machines: the first N of the hostfile, or the nodes of a Slurm job")
    parser.add_argument("--hostfile", type=Path, help="the machines, a line `NAME slots=N` each; the first has rank 0")
    parser.add_argument("--through", choices=("ssh", "pdsh"), default="ssh", help="how others are reached (default: ssh)")
    parser.add_argument("--ssh-port", type=whole, help="of the other machines")
    parser.add_argument("--no-ssh", action="store_true", help="start only this machine's share; to be run on each of them")
    parser.add_argument("--node-rank", type=at_least(0), help="with --no-ssh: its line in the hostfile, from 0 ($SLURM_NODEID)")
    parser.add_argument("--master-addr", help="where the ranks meet (default: the address of the first host)")
    parser.add_argument("--master-port", type=whole, help="(default: 29500, on this machine alone any free one)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint of this run")
    parser.add_argument("--restarts", type=at_least(0), default=0, metavar="N", help="start again by itself (default: 0)")
    parser.add_argument("--slurm", action="store_true", help="submit it as a Slurm job, which outlives time limits")
    parser.add_argument(
        "--sbatch", default="", metavar="OPTIONS", help='more for sbatch: --sbatch="--time=4:00:00 --partition=gpu"'
    )
    parser.add_argument("--dry-run", action="store_true", help="print the exact commands, or the job script, and stop")
    return with_manner(parser, "how the run ended, its status and last metrics; the Slurm job; of --dry-run the commands")


@clearly
def launch_command(argv: Sequence[str]) -> int:
    """A training, started and watched over."""
    flags, overrides = _parser().parse_known_args(configs_first(argv))
    config = load_config(RunConfig, flags.config, overrides).config
    arguments = [*(word for file in flags.config for word in ("--config", str(file))), *overrides]
    if flags.slurm:
        return _as_job(flags, config, arguments)
    launch = Launch(
        config=config,
        arguments=arguments,
        hosts=_hosts(flags),
        environment=dict(os.environ),
        resume=flags.resume,
        restarts=flags.restarts,
        through=flags.through,
        place=_place(flags),
        address=flags.master_addr,
        port=flags.master_port,
        ssh_port=flags.ssh_port,
    )
    if launch.place is not None and not 0 <= launch.place < len(launch.hosts):
        raise HostError(f"--node-rank {launch.place}, and there are {len(launch.hosts)} hosts, counted from 0")
    if launch.place is not None and launch.restarts and len(launch.hosts) > 1:
        raise HostError(
            "--no-ssh --restarts: each machine would start again at a time of its own, and meet ranks of the others that have "
            "not ended yet. Leave out --restarts, and start all of them again with --resume when all have ended; ssh, pdsh and "
            "--slurm do that"
        )
    if not flags.dry_run:
        outcome = run_launch(launch)
        if as_json():
            tell({"exit_status": outcome.code, "ended": outcome.words, **standing(config.run.path)})
        return outcome.code
    check_world(config, num_ranks(launch.hosts))
    with commands_of(launch) as commands:
        found = [{"host": command.host, "command": command.words} for command in commands]
        tell({"commands": found}, lambda: print(words_of(commands), end=""))
    return 0


def _hosts(flags: argparse.Namespace) -> list[Host]:
    """Return the machines that are asked for."""
    if flags.hostfile is not None:
        return trimmed(read_hostfile(flags.hostfile), flags.nodes, flags.gpus)
    if (flags.nodes or 1) > 1 or flags.no_ssh:
        raise HostError("several machines need --hostfile, a file with a line `NAME slots=N` for each, or --slurm")
    return this_machine(flags.gpus, os.environ)


def _place(flags: argparse.Namespace) -> int | None:
    """Return this machine's place among the hosts, None where it starts them all."""
    if not flags.no_ssh:
        return None
    place = own_rank() if flags.node_rank is None else flags.node_rank
    if place is None:
        raise HostError("--no-ssh needs --node-rank N, this machine's line in the hostfile counted from 0")
    return int(place)


def _as_job(flags: argparse.Namespace, config: RunConfig, arguments: list[str]) -> int:
    """Submit a Slurm job."""
    if flags.hostfile is not None or flags.no_ssh:
        raise HostError("--slurm makes the hostfile of the nodes that it gets: leave out --hostfile and --no-ssh")
    if flags.through != "ssh" or flags.ssh_port is not None or flags.node_rank is not None:
        raise HostError("--slurm starts the ranks with srun: leave out --through, --ssh-port and --node-rank")
    nodes, gpus = flags.nodes or 1, flags.gpus or 1
    check_world(config, nodes * gpus)
    folder = config.run.dir
    meeting = [] if flags.master_port is None else [f"--master-port={flags.master_port}"]
    meeting += [] if flags.master_addr is None else [f"--master-addr={flags.master_addr}"]
    resume = ["--resume"] if flags.resume else []
    script = job_script(
        name=config.run.name,
        folder=folder,
        grace_seconds=config.watch.grace_seconds,
        nodes=nodes,
        gpus=gpus,
        gpus_are_asked_for=flags.gpus is not None,
        sbatch=flags.sbatch.split(),
        python_path=os.environ.get("PYTHONPATH"),
        arguments=[*arguments, *meeting, *resume, *(["--quiet"] if flags.quiet else [])],
        restarts=flags.restarts,
        cold_start=None if config.model.cold_start is None else Path(config.model.path).parent,
    )
    if flags.dry_run:
        tell({"script": script}, lambda: print(script, end=""))
        return 0
    said = submit(script, folder / f"{config.run.name}.sbatch")
    tell({"sbatch": said}, lambda: print(said))
    return 0
