"""The command line from Python, arguments of any type."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from tf_odl.cli import main


def invoke(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def figures(*arguments: Any) -> dict[str, Any]:
    """What a command that succeeds prints with --json."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
