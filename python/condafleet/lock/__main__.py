"""`python -m condafleet.lock`: a request as JSON on standard input, the answer as JSON on standard output.

Progress goes to standard error, a line each. Exit code 0 with `{locks: …}`, 2 with `{error: message}`.
"""

import json
import os
import sys

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked_logins
from condafleet.errors import CondafleetError
from condafleet.lock.solver import answer


def main() -> int:
    # Whatever a library prints must not end up in the answer.
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        request = json.load(sys.stdin)
        result, code = answer(request, lambda text: print(text, file=sys.stderr, flush=True)), 0
    except (CondafleetError, FleetError) as error:
        result, code = {"error": masked_logins(error.message)}, 2
    except Exception as error:  # noqa: BLE001 - the parent shows it; a traceback alone would lose the protocol
        result, code = {"error": masked_logins(f"condafleet.lock failed: {type(error).__name__}: {error}")}, 2
    json.dump(result, out)
    out.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    # Some solver libraries abort while the interpreter winds down, after the work is done: leave at once.
    os._exit(main())
