"""Log-probabilities and entropies of chosen tokens without ever holding all logits.

The decoder runs on whole rows, the LM head only where a completion token is predicted, and there in chunks that are
computed again in the backward pass: logits of at most `chunk` tokens exist at one time.
"""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def base_causal_lm(model: nn.Module) -> Any:
    """Return the causal LM below an adapter wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


class TokenLogprobs(nn.Module):
    """A causal LM seen as a function from rows and target tokens to log-probabilities. This is what DeepSpeed wraps."""

    def __init__(self, model: nn.Module, temperature: float, chunk_tokens: int):
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.chunk_tokens = chunk_tokens

    def _chunk(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = base_causal_lm(self.model).get_output_embeddings()(hidden)  # [n, V]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature
        normaliser = torch.logsumexp(logits, dim=-1)
        logprobs = logits.gather(-1, targets[:, None])[:, 0] - normaliser
        with torch.no_grad():
            probabilities = torch.softmax(logits, dim=-1)
            entropy = normaliser - (probabilities * logits).sum(-1)
        return logprobs, entropy

    def forward(
        self, input_ids: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (log-probability of each target in nats with gradient [N], entropy of its distribution [N]).

        `input_ids` [B, T] are right-padded rows; `positions` [N] index the flattened [B * T] states that predict `targets`.
        """
        decoder = base_causal_lm(self.model).get_decoder()
        hidden = decoder(input_ids=input_ids, use_cache=False).last_hidden_state  # [B, T, H]
        chosen = hidden.flatten(0, 1)[positions]  # [N, H]
        logprobs, entropies = [], []
        for start in range(0, len(targets), self.chunk_tokens):
            part = slice(start, start + self.chunk_tokens)
            single = len(targets) <= self.chunk_tokens
            if torch.is_grad_enabled() and not single:
                result = checkpoint(self._chunk, chosen[part], targets[part], use_reentrant=False)
            else:
                result = self._chunk(chosen[part], targets[part])
            logprobs.append(result[0])
            entropies.append(result[1])
        return torch.cat(logprobs), torch.cat(entropies)
