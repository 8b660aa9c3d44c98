"""Our side of the benchmark: the stages of rl/train.py without its bookkeeping."""

from collections.abc import Sequence
from pathlib import Path

from bench.material import problems_of, run_config
from bench.sides import Timed, clock, row_lengths
from bench.work import Work
from rewards.pool import VerifierPool
from rl.groups import draw_groups
from rl.policy.opening import load_model, load_tokenizer
from rl.rollout import open_worker
from rl.settings.schema import RunConfig
from rl.types import Drawn, Group
from rl.update.batch import make_batch
from rl.update.engine import Engine
from rl.update.step import update_policy


class OurSide:
    """Our trainer, one step at a time."""

    def __init__(
        self, work: Work, model: Path, pool: VerifierPool, groups: Sequence[Group] = (), config: RunConfig | None = None
    ):
        self.config = config or run_config(work, model)
        self.groups = groups
        policy, self.tokenizer = load_model(self.config.model), load_tokenizer(self.config.model)
        self.source = problems_of(work, self.config)
        self.engine = Engine(policy, self.config)
        self.worker = open_worker(self.config, self.engine.sampling_model, self.tokenizer, pool)
        self.number = self.cursor = 0

    def draw(self) -> Drawn:
        """Draw and score the groups of the next step."""
        drawn = draw_groups(self.worker, self.source, self.config.algorithm, self.config.run.seed, self.number, self.cursor)
        self.number, self.cursor = self.number + 1, drawn.cursor
        return drawn

    def learn(self, groups: Sequence[Group]) -> None:
        """Do one optimizer step on `groups`."""
        batch = make_batch(groups, self.config.algorithm, self.config.sampling.max_completion_tokens)
        if batch.rows:
            update_policy(self.engine, None, batch, self.config, self.tokenizer.pad_token_id, self.number)

    def step(self) -> Timed:
        """See Side."""
        started = clock()
        drawn = self.draw()
        middle = clock()
        self.learn(drawn.trained)
        ended = clock()
        return Timed(
            seconds=ended - started, sample=drawn.sample_seconds, update=ended - middle, lengths=row_lengths(drawn.groups)
        )

    def sample(self) -> Timed:
        """See Side."""
        drawn = self.draw()
        return Timed(seconds=drawn.sample_seconds, sample=drawn.sample_seconds, lengths=row_lengths(drawn.groups))

    def update(self) -> Timed:
        """See Side."""
        started = clock()
        self.learn(self.groups)
        seconds = clock() - started
        return Timed(seconds=seconds, update=seconds, lengths=row_lengths(self.groups))

    def close(self) -> None:
        """See Side."""
        self.engine.finish()
