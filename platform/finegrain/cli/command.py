"""What a command is: a name, its options, and what it does."""

import argparse
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

TABLE = re.compile(r"\{(finegrain[\w.]*)\.(\w+)\}")  # in a help text


class Parser(argparse.ArgumentParser):
    """A parser whose help may name a table, as {MODULE.TABLE}, which is read only to show it."""

    def format_help(self) -> str:
        """The help, with the names in each table."""
        for action in self._actions:
            if action.help:
                action.help = TABLE.sub(_names, action.help)
        return super().format_help()


def _names(place: re.Match[str]) -> str:
    return ", ".join(getattr(import_module(place[1]), place[2]))


@dataclass(frozen=True)
class Command:
    """One of the command line's.

    Args:
        name: what it is called.
        run: does it and returns the exit status; its docstring is the help.
        options: that it shares with others.
        arguments: adds its own.
    """

    name: str
    run: Callable[[argparse.Namespace], int]
    options: Sequence[Parser] = ()
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None

    @property
    def text(self) -> str:
        """Its help."""
        return inspect.getdoc(self.run) or ""


def tell(line: str) -> None:
    """Print a line at once, so that it is seen while a job runs."""
    print(line, flush=True)
