"""A run as a Slurm job: one task a node, each of which starts that node's ranks (`reasonlab launch --no-ssh`).

The hostfile is made from the allocation. Some minutes before the time limit Slurm sends the script SIGUSR1; it has the ranks
save and stop, by the file STOP in the run directory, and puts the job back into the queue. After `scontrol requeue`, a
pre-emption or a lost node Slurm does that itself. A job that was started before (SLURM_RESTART_COUNT) goes on from its newest
whole checkpoint; where one start after another brought no new checkpoint it ends. `scancel` ends it for good.

Starting again within the job (`--restarts`) is the script's business, too: each node would do so when its own ranks have ended,
and meet those of the others that have not. When `srun` is over all have.
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
from launch.nodes.outcome import FAILED, FINISHED, STOPPED, TO_MEND
from problems.errors import LabError
from rl.tracking.run_directory import write_atomic

_SCRIPT = """\
#!/bin/bash
{directives}

cd {here} || exit 2
{path}run={run}
mkdir -p {folder} "$run" || exit 2

# how often in a row this job was started with these checkpoints: none of those starts has brought another
saved=$(stat --format='%n %Y' {manifests} 2>/dev/null | cksum | tr ' ' -)
read -r job before starts 2>/dev/null < "$run"/{starts}
[ "$job $before" = "$SLURM_JOB_ID $saved" ] || starts=0
if [ "$starts" -ge {most} ]; then
    echo "launch: started $starts times without a new checkpoint, so not once more. Above is how each start ended; a step and"
    echo 'its checkpoint must fit into the time limit. When that is mended, submit the run anew, with --resume'
    exit {failed}
fi
echo "$SLURM_JOB_ID $saved $((starts + 1))" > "$run"/{starts}

hosts="$run"/{hosts}  # one file, written anew: Slurm may kill a script that has told it to requeue before it could remove any
rm -f "$run"/STOP  # of an earlier start

told=no requeue=no late=
# the time limit is near: the ranks save and stop by themselves; what has not by then is told to, this script is not
stop() {{
    told=yes requeue=yes
    echo 'the time limit of the job is near' > "$run"/STOP
    # begun in a shell of its own, since `ranks=$!` below may still be to come
    late=$( (sleep {seconds}; scancel --signal=TERM "$SLURM_JOB_ID") > /dev/null & echo $!)
}}
trap stop USR1
trap told=yes TERM  # Slurm ends the job, requeued or cancelled, and has told the ranks itself: see how they end

resume=${{SLURM_RESTART_COUNT:+--resume}}
restarts={restarts}
while :; do
    scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/ slots={gpus}/' > "$hosts"
    # one task a node. srun itself is told nothing: on SIGTERM it kills the ranks
    srun --kill-on-bad-exit=0 {launch} --hostfile "$hosts" --no-ssh $resume &
    ranks=$!
    while wait $ranks; code=$?; kill -0 $ranks 2>/dev/null; do :; done  # a trap ends `wait` too
    [ $code -le 128 ] || {{ wait $ranks; code=$?; }}  # and srun may have ended before one asks: bash still knows how
    case $code in {finished} | {to_mend} | {stopped}) break ;; esac
    if [ -e "$run"/STOP ] && ! grep -q '^rank ' "$run"/STOP; then break; fi  # a user does not want it started again at once
    [ $restarts -gt 0 ] && [ $told = no ] && sleep 2 && [ $told = no ] || break
    restarts=$((restarts - 1)) resume=--resume
    echo "launch: ended with exit status $code; starting again, $restarts more times if need be"
done
[ -z "$late" ] || kill "$late" 2>/dev/null  # it may outlive this script, and would tell the next start of this job
if [ $requeue = yes ]; then
    case $code in {finished} | {to_mend} | {stopped}) ;; *) scontrol requeue "$SLURM_JOB_ID" ;; esac
fi
exit $code
"""
_STARTS = "slurm-starts"  # a file of the run directory: the job, its checkpoints, how often in a row it was started with them
_HOSTS = "slurm-hosts"  # another: the hosts of this start
_MOST_STARTS = 4  # whoever is told to stop in time saves the last complete step, so a sound job seldom comes here


def job_script(
    *, name: str, folder: Path, grace_seconds: float, nodes: int, gpus: int, gpus_are_asked_for: bool, sbatch: Sequence[str],
    python_path: str | None, arguments: Sequence[str], restarts: int = 0, cold_start: Path | None = None,
) -> str:  # fmt: skip
    """Return the text of the job script.

    name, folder: of the run, and where script and output go. grace_seconds: that ranks have to save in. gpus: processes a node.
    sbatch: more options for sbatch, which stand above ours. arguments: of `reasonlab launch`, configuration and settings.
    restarts: within the job. cold_start: the run directory of an imitation that comes first, and saves too.
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
    run = (folder / name).resolve()
    saving = [run] if cold_start is None else [run, cold_start.resolve()]
    return _SCRIPT.format(
        directives="\n".join(f"#SBATCH {option}" for option in options),
        here=shlex.quote(str(Path.cwd())),
        path=f"export PYTHONPATH={shlex.quote(python_path)}\n" if python_path else "",
        folder=shlex.quote(str(folder.resolve())),
        run=shlex.quote(str(run)),
        manifests=" ".join(f"{shlex.quote(str(one))}/checkpoints/step-*/manifest.json" for one in saving),
        seconds=seconds,
        gpus=gpus,
        launch=shlex.join([sys.executable, "-m", "launch.cli", "launch", *arguments]),
        starts=_STARTS,
        hosts=_HOSTS,
        most=_MOST_STARTS,
        restarts=restarts,
        failed=FAILED,
        finished=FINISHED,
        to_mend=TO_MEND,
        stopped=STOPPED,
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
