"""A run as a Slurm job: one task a node, each of which starts that node's ranks (`reasonlab launch --no-ssh`).

The hostfile is made from the allocation. Some minutes before the time limit Slurm sends the script SIGUSR1; it has the ranks
save and stop, by the file STOP in the run directory, and puts the job back into the queue. After `scontrol requeue`, a
pre-emption or a lost node Slurm does that itself. A job that was started before (SLURM_RESTART_COUNT) goes on from its newest
whole checkpoint. `scancel` ends it for good.
"""

import math
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.nodes.hosts import HostError
from launch.nodes.outcome import AGAIN
from problems.errors import LabError
from rl.tracking.run_directory import write_atomic

_SCRIPT = """\
#!/bin/bash
{directives}

cd {here} || exit 2
{path}mkdir -p {folder}
hosts=$(mktemp -p {folder} {name}.hosts.XXXXXX) || exit 2
trap 'rm -f "$hosts"' EXIT
scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/ slots={gpus}/' > "$hosts"

# one task a node; what is started again goes on where it was. srun itself is told nothing: on SIGTERM it kills the ranks
srun --kill-on-bad-exit=0 {launch} --hostfile "$hosts" --no-ssh ${{SLURM_RESTART_COUNT:+--resume}} &
ranks=$!
requeue=no
# the time limit is near: the ranks save and stop by themselves; what has not by then is told to, this script is not
stop() {{
    requeue=yes
    echo 'the time limit of the job is near' > {run}/STOP
    (sleep {seconds}; scancel --signal=TERM "$SLURM_JOB_ID") &
}}
trap stop USR1
trap : TERM  # Slurm ends the job, requeued or cancelled, and has told the ranks itself: see how they end
while wait $ranks; code=$?; kill -0 $ranks 2>/dev/null; do :; done  # a trap ends `wait` too
if [ $requeue = yes ] && [ $code = {again} ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $code
"""


def job_script(
    *, name: str, folder: Path, grace_seconds: float, nodes: int, gpus: int, gpus_are_asked_for: bool, sbatch: Sequence[str],
    python_path: str | None, arguments: Sequence[str],
) -> str:  # fmt: skip
    """Return the text of the job script.

    name, folder: of the run, and where script and output go. grace_seconds: that ranks have to save in. gpus: processes a node.
    sbatch: more options for sbatch, which stand above ours. arguments: of `reasonlab launch`, configuration and settings.
    """
    safe = re.sub(r"[^\w.-]", "-", name)
    ours = [f"--job-name={safe}", f"--nodes={nodes}", "--ntasks-per-node=1", "--requeue", "--open-mode=append"]
    seconds = math.ceil(grace_seconds) + 10
    ours += [f"--signal=B:USR1@{seconds + 85}", f"--output={folder.resolve()}/{safe}-%j.log"]
    if gpus_are_asked_for:
        ours.append(f"--gpus-per-node={gpus}")
    given = {option.split("=")[0] for option in sbatch}
    options = [option for option in ours if option.split("=")[0] not in given] + list(sbatch)
    for option in options:
        if not re.fullmatch(r"--[a-z-]+(=[^\s\"'\\]+)?", option):
            raise HostError(
                f"{option!r} cannot stand in the job script; expected --NAME=VALUE without spaces, as --time=4:00:00"
            )
    return _SCRIPT.format(
        directives="\n".join(f"#SBATCH {option}" for option in options),
        here=shlex.quote(str(Path.cwd())),
        path=f"export PYTHONPATH={shlex.quote(python_path)}\n" if python_path else "",
        folder=shlex.quote(str(folder.resolve())),
        run=shlex.quote(str((folder / name).resolve())),
        seconds=seconds,
        name=safe,
        gpus=gpus,
        launch=shlex.join([sys.executable, "-m", "launch.cli", "launch", *arguments]),
        again=AGAIN,
    )


def submit(script: str, file: Path) -> str:
    """Write the job script and give it to Slurm; return what sbatch said."""
    if shutil.which("sbatch") is None:
        raise LabError("there is no sbatch here; --dry-run prints the job script, to be submitted where Slurm is")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, script)
    said = subprocess.run(["sbatch", str(file)], capture_output=True, text=True, check=False)
    if said.returncode:
        raise LabError(f"sbatch refused {file}: {said.stderr.strip()}")
    return said.stdout.strip()
