"""A group of commands whose most used verb may be left out."""

from typing import Any, ClassVar

from typer.core import TyperGroup


class DefaultVerb(TyperGroup):
    """`opskit smoke checks.toml` is `opskit smoke run checks.toml`: a first word that is no verb is its argument.

    The help of the group shows the options of the default verb, and completion offers both.
    """

    default: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        completing = ctx.resilient_parsing and not args
        if not completing and not (args and (args[0] in self.commands or args[0] in ("-h", "--help"))):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        verb = self.commands[self.default]
        return [*verb.collect_usage_pieces(ctx), "| COMMAND ..."]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.commands[self.default].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        return [
            *super().shell_complete(ctx, incomplete),
            *self.commands[self.default].shell_complete(ctx, incomplete),
        ]
