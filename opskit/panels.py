"""The help of a command with many options: each under the heading of what it is about."""

from typing import Any

from typer.core import TyperCommand


class Panelled(TyperCommand):
    """Options stand under their `rich_help_panel`; headings come in the order of their first options."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            plain = "Arguments" if param.param_type_name == "argument" else "Options"
            heading = getattr(param, "rich_help_panel", None) or plain
            if (record := param.get_help_record(ctx)) is not None:
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
