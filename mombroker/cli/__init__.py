"""The ``mombroker`` command: ``serve``, ``check``, ``version``, and whatever installed plugins add.

Exit codes: 0 done, 1 failed, 2 the settings or the command line are wrong, 130 interrupted. What went wrong is told
in one line on standard error.
"""

import sys
from collections.abc import Sequence

import click

from mombroker.cli.commands import build
from mombroker.model.errors import ConfigurationError, MombrokerError, PluginError

__all__ = ["main"]

FAILED = 1
MISCONFIGURED = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        result = build().main(args=arguments, prog_name="mombroker", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return MISCONFIGURED
    except click.UsageError as error:
        hint = f" (try: {error.ctx.command_path} --help)" if error.ctx is not None else ""
        return _failed(error.format_message() + hint, MISCONFIGURED)
    except click.Abort:
        return _failed("interrupted", INTERRUPTED)
    except click.ClickException as error:
        return _failed(error.format_message(), FAILED)
    except (ConfigurationError, PluginError) as error:
        return _failed(str(error), MISCONFIGURED)
    except (MombrokerError, OSError) as error:
        return _failed(str(error), FAILED)
    return result if isinstance(result, int) else 0


def _failed(what: str, code: int) -> int:
    sys.stderr.write(f"mombroker: {' '.join(what.split())}\n")
    return code
