"""From a request to a finding: inside of the sympy process."""

from collections.abc import Callable
from typing import Any

from rewards.math.symbolic.compare import Comparison
from rewards.math.symbolic.convert import UnknownError
from rewards.math.symbolic.solutions import same_solutions
from rewards.math.symbolic.wire import Reply, decode
from rewards.math.tree import TooBigError


def answer(request: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return the finding on a request; what is found on the way goes to `report` first."""
    gold, candidate = decode(request["gold"]), decode(request["answer"])
    bounds = {name: (float(low), float(high)) for name, (low, high) in request["bounds"].items()}
    comparison = Comparison(request["assumptions"], bounds, lambda reply: report(_as_json(reply)))
    try:
        reply = Reply(None)
        if request["kind"] == "solutions":
            reply = same_solutions(gold, candidate, comparison)
        if reply.same is None:
            values = comparison.same(gold, candidate)
            reply = values if values.same is not None or not reply.rule else reply
    except UnknownError as error:
        reply = Reply(None, "SYMPY_UNKNOWN", (str(error)[:80],))
    except TooBigError as error:
        reply = Reply(None, "SYMPY_UNKNOWN", (str(error)[:80],))
    except MemoryError:
        raise
    except Exception as error:  # sympy raises almost anything; a fault of its is no finding
        reply = Reply(None, "SYMPY_FAILED", (type(error).__name__,))
    return _as_json(reply)


def _as_json(reply: Reply) -> dict[str, Any]:
    return {"same": reply.same, "rule": reply.rule, "facts": list(reply.facts)}
