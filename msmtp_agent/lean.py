"""Import Typer without its Rich: Typer 0.7 to 0.15 load all of Rich with themselves, half of the start-up time."""

import sys

# An absent module is what `None` in sys.modules stands for. Newer releases of Typer load Rich only when they use it,
# and for them this changes nothing. `render` imports Rich later where a person looks at colours.
_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment]  # documented: an import of it then fails
try:
    import typer
finally:
    if _hidden:
        del sys.modules["rich"]

__all__ = ["typer"]
