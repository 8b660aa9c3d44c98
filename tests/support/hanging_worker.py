"""A command in which something never happens, so that it cannot end before it is killed.

hanging_worker MODULE FUNCTION COUNT ARGUMENTS    rl.sft or rl.evaluate, in which this function hangs behind COUNT calls
"""

import importlib
import itertools
import sys
import time
from typing import Any

_SECONDS = 600  # if nobody kills it


def main() -> int:
    first = 2 if sys.argv[1].startswith("--local_rank") else 1  # the launcher puts it before the others
    name, function, count = sys.argv[first : first + 3]
    module: Any = importlib.import_module(name)
    original, calls = getattr(module, function), itertools.count()

    def called(*args: Any, **kwargs: Any) -> Any:
        if next(calls) >= int(count):
            time.sleep(_SECONDS)
        return original(*args, **kwargs)

    setattr(module, function, called)
    status: int = module.main(sys.argv[1:first] + sys.argv[first + 3 :])
    return status


if __name__ == "__main__":
    sys.exit(main())
