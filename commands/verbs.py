"""How the command line is read and explained: verbs with commands below them, near spellings, help as plain text.

Typer parses. Help is laid out here, for any width, with and without colour: names to the left, what they do to the
right, examples last. Knows no command of ours.
"""

import inspect
import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

EXAMPLES = "Examples:\n"
NAMES_WIDTH = 22  # characters of the left column at most: longer names have a line of their own
VALUES = {int: "N", float: "N", Path: "FILE"}  # what stands for an option's value that has no better name


class Plain(TyperCommand):
    """A command whose help is plain text."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how the command is typed."""
        formatter.write_usage(ctx.command_path, " ".join(["[options]", *arguments_of(self)]))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        write_help(self, ctx, formatter)


class Verb(TyperGroup):
    """Commands below a word, which does something by itself where it is told so (`invoke_without_command`).

    What follows such a word is one of its commands, or its own arguments and options, in any order.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what follows the word. Raises: UsageError: it is none of its commands, and not its own."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        if not self.invoke_without_command:
            return super().parse_args(ctx, args)
        if args and args[0] in self.commands:
            ctx.args = args
            return args
        if not ctx.resilient_parsing and self._is_misspelt(args):
            self.resolve_command(ctx, args)
        ctx.allow_interspersed_args = ctx.allow_extra_args = True
        first = args[0] if args else ""
        left = TyperCommand.parse_args(self, ctx, args)  # as a command, not as a group
        if left and not ctx.resilient_parsing:
            self.resolve_command(ctx, left)
            ctx.fail(f"{first}: put it after `{left[0]}`")
        return left

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the word's own arguments and options: none for the usage of a command below, which names its own."""
        return super().get_params(ctx) if ctx.command is self else []

    def _is_misspelt(self, args: Sequence[str]) -> bool:
        """Tell whether the first word is neither a number, an option nor a file, but nearly one of the commands."""
        return bool(args and args[0].isalpha() and self._near(args[0]) and not os.path.exists(args[0]))

    def _near(self, word: str) -> list[str]:
        return get_close_matches(word, [name for name, command in self.commands.items() if not command.hidden])

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named, or what the word does by itself."""
        if not self.invoke_without_command or not ctx.args:
            return super().invoke(ctx)
        name, command, args = self.resolve_command(ctx, ctx.args)
        assert command is not None
        ctx.invoked_subcommand = name
        with command.make_context(name, args, parent=ctx) as below:
            return command.invoke(below)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named. Raises: UsageError: there is none; the message names the nearest."""
        if ctx.resilient_parsing or args[0] in self.commands or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        near = " or ".join(f"`{ctx.command_path} {name}`" for name in self._near(args[0]))
        return ctx.fail(f"No such command {args[0]!r}: " + (f"did you mean {near}?" if near else "see the help."))

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how the word is typed, with and without a command."""
        prefix = None
        if self.invoke_without_command:
            formatter.write_usage(ctx.command_path, " ".join(["[options]", *arguments_of(self)]))
            prefix = "       "
        formatter.write_usage(ctx.command_path, "COMMAND ...", prefix)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        write_help(self, ctx, formatter)


# What pydantic, which reads values for typer, finds wrong with them; the rest it says well enough.
WRONG = {
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "int_parsing_size": "give a smaller whole number",
    "float_parsing": "give a number",
}


def worded(error: Any) -> str:
    """Return what is wrong with a command line, and with which value."""
    details = getattr(error.__cause__, "errors", None)
    if details is None:
        return str(error.message)
    first = details()[0]
    said = WRONG.get(first["type"]) or first["msg"].replace("Input should be", "it should be")
    said = said.removeprefix("Value error, ")
    return said if repr(first["input"]) in said else f"{first['input']!r}: {said}"


def arguments_of(command: TyperCommand | TyperGroup) -> list[str]:
    """Return a command's arguments as its usage shows them: PHOTO, [TEXT], [WORD ...]."""
    shown = []
    for param in command.params:
        if not isinstance(param, TyperOption):
            name = param.metavar or param.name.upper()
            name += "" if param.nargs == 1 or "..." in name else " ..."
            shown.append(name if param.required else f"[{name}]")
    return shown


def write_help(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    """Write a command's help: usage, what it does, arguments, commands below it, options by heading, examples."""
    text, _, examples = inspect.cleandoc(command.help or "").partition(EXAMPLES)
    command.format_usage(ctx, formatter)
    formatter.write_paragraph()
    formatter.write_text(text.strip())
    for heading, rows in sections(command, ctx).items():
        with formatter.section(typer.style(heading, bold=True)):
            formatter.write_dl(rows, NAMES_WIDTH)
    if examples:
        with formatter.section(typer.style("Examples", bold=True)):
            for line in inspect.cleandoc(examples).splitlines():
                formatter.write(f"  {line}\n")


def sections(command: TyperCommand | TyperGroup, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Return the names of a command's help with what they do, by heading: options without a heading last."""
    found: dict[str, list[tuple[str, str]]] = {}
    params = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
    for param in params:
        if not isinstance(param, TyperOption):
            found.setdefault("Arguments", []).append((param.metavar or param.name.upper(), explained(param)))
    if isinstance(command, TyperGroup):
        listed = {name: command.commands[name] for name in command.list_commands(ctx)}
        shown = {name: below for name, below in listed.items() if not below.hidden}
        for name, below in shown.items():
            first = inspect.cleandoc(below.help or "").partition("\n\n")[0]
            heading = getattr(below, "rich_help_panel", None) or "Commands"
            found.setdefault(heading, []).append((name.ljust(max(map(len, shown))), first))
    options = [param for param in params if isinstance(param, TyperOption)]
    for param in sorted(options, key=lambda param: param.rich_help_panel is None):  # which keeps their order
        found.setdefault(param.rich_help_panel or "Options", []).append((spelt(param), explained(param)))
    return found


def spelt(option: TyperOption) -> str:
    """Return an option as it is typed: `-k, --count N`."""
    names = ", ".join(sorted(option.opts, key=len))
    if option.is_flag:
        return " / ".join([names, *option.secondary_opts])
    kind = option.type_descriptor
    value = "|".join(map(str, kind.choices or ())) or VALUES.get(kind.annotation, "NAME")
    return f"{names} {option.metavar or value}"


def explained(param: Any) -> str:
    """Return what an option or argument does, with its default and its variable of the environment."""
    notes = []
    if param.default not in (None, "", ()) and not getattr(param, "is_flag", False):
        notes.append(f"default: {param.default}")
    if param.envvar:
        notes.append(f"or set {param.envvar}")
    return " ".join([param.help or "", f"({', '.join(notes)})" if notes else ""]).strip()
