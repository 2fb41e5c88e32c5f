"""Write what operators and sensors take into their docstrings, where an editor shows it: ``make tables``.

The lines from the first ``:param`` on are written here, from the declarations and the signatures of a class and its
bases; what stands above them is not touched.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import airflow_provider_kore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.task.declared import Declared

WIDTH: Final = 120
ROOMS: Final = ("transfers", "operators", "sensors")


def documented() -> Iterator[type[Declared]]:
    """Yield the classes that take parameters, as they stand in the package."""
    from airflow_provider_kore.task.declared import Declared

    for room in ROOMS:
        package = importlib.import_module(f"{airflow_provider_kore.__name__}.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for kind in vars(importlib.import_module(module.name)).values():
                if isinstance(kind, type) and issubclass(kind, Declared) and kind.__module__ == module.name:
                    yield kind


def signature(kind: type) -> dict[str, inspect.Parameter]:
    """Return the arguments that a class and its bases in this package name, those of the class first."""
    found: dict[str, inspect.Parameter] = {}
    for each in kind.__mro__:
        if "__init__" in vars(each) and not each.__module__.startswith("airflow."):
            found |= {
                name: one
                for name, one in inspect.signature(vars(each)["__init__"]).parameters.items()
                if name not in found and one.kind is one.KEYWORD_ONLY
            }
    return found


def lines(kind: type[Declared]) -> list[str]:
    """Return one line for each parameter: what it is, of which type, its default, and whether it is templated."""
    return [
        f":param {name}: {kind.declared[name].doc}. ({', '.join(_facts(one))}"
        f"{', templated' if kind.declared[name].templated else ''})"
        for name, one in signature(kind).items()
    ]


def _facts(one: inspect.Parameter) -> tuple[str, str]:
    return str(one.annotation), "required" if one.default is one.empty else f"default {one.default!r}"


def filled(source: str, kind: type[Declared]) -> str:
    """Return a module's text, the docstring of one of its classes written anew."""
    (found,) = [
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    ]
    docstring = found.body[0]
    text = source.splitlines(keepends=True)
    begin, end = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
    above = re.split(r"\n\s*:param ", "".join(text[begin:end]))[0].rstrip().removesuffix('"""').rstrip()
    wrapped = [
        textwrap.fill(
            line,
            WIDTH,
            initial_indent=" " * 4,
            subsequent_indent=" " * 8,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines(kind)
    ]
    return "".join([*text[:begin], "\n".join([above, "", *wrapped, '    """']), "\n", *text[end:]])


def main() -> int:
    """Rewrite the modules in place."""
    for kind in documented():
        path = Path(inspect.getfile(kind))
        source = path.read_text(encoding="utf-8")
        if (new := filled(source, kind)) != source:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"{path.name}: {kind.__name__}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
