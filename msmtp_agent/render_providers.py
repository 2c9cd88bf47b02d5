"""What is known of the providers, in words for people and as JSON."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from . import render
from .printable import printable
from .providers.fact import IMPLICIT, Fact, Port, Provider

SCHEMA_VERSION = 1
_HEADINGS = ("ID", "NAME", "SERVER", "PORTS", "PASSWORD", "CHECKED")
_GAP = "  "
_INDENT = 12  # columns before what a line of an entry says
_TLS = {IMPLICIT: "TLS"}


def listing(providers: Sequence[Provider], limit: str) -> None:
    """Every provider in a line; on a terminal that is too narrow for that, in a few. `limit`: see `age`."""
    rows = [
        (provider.id, provider.name, provider.hosts[0], _ports(provider.ports), provider.kind, _age(provider, limit))
        for provider in providers
    ]
    cells = [[printable(cell) for cell in row] for row in (_HEADINGS, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
    width = render.columns(sys.stdout)
    if width == 0 or sum(widths) + len(_GAP) * (len(widths) - 1) <= width:
        lines = [_GAP.join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in cells]
        lines[0] = _bold(lines[0])
    else:
        lines = [line for row in cells[1:] for line in _stacked(row, widths[0])]
    render.say("\n".join(lines), sys.stdout)


def entry(provider: Provider, limit: str) -> None:
    """All of one provider. `limit`: see `age`."""
    lines = [_bold(render.wrapped(f"{provider.name} ({provider.id})", sys.stdout, "  "))]
    lines += [_line(name, text) for name, text in _said(provider, limit)]
    seen = age(provider.checked, limit) + (f": {provider.page}" if provider.page else "")
    lines.append(f"  {render.wrapped(seen, sys.stdout, ' ' * _INDENT, first=2)}")
    lines += _items("Steps to the password", [f"{n}. {step}" for n, step in enumerate(provider.steps, 1)])
    lines += _items("Limits", [f"- {_fact(fact, provider, limit)}" for fact in provider.limits])
    lines += _items("Notes", [f"- {_fact(fact, provider, limit)}" for fact in provider.notes])
    lines += _items("Sources", [f"- {source} ({', '.join(names)})" for source, names in _sources(provider).items()])
    render.say("\n".join(lines), sys.stdout)


def as_json(providers: Iterable[Provider], limit: str) -> None:
    """One object on standard output (schemas/providers.json). Raises InputOutputError when it cannot be written."""
    import json

    document = {"schema_version": SCHEMA_VERSION, "providers": [_object(provider, limit) for provider in providers]}
    render.say(json.dumps(document), sys.stdout)


def age(checked: str, limit: str) -> str:
    """When a fact was checked; that it is unverified since then, where that was before the day `limit`."""
    return f"unverified since {checked}" if checked < limit else f"checked {checked}"


def _age(provider: Provider, limit: str) -> str:
    return age(provider.checked, limit).removeprefix("checked ")


def _ports(ports: Iterable[Port]) -> str:
    """Such as `587, 2587 STARTTLS; 465 TLS; 25 STARTTLS unconfirmed`."""
    groups: dict[str, list[str]] = {}
    for port in ports:
        way = _TLS.get(port.tls, "STARTTLS") + ("" if port.confirmed else " unconfirmed")
        groups.setdefault(way, []).append(str(port.number))
    return "; ".join(f"{', '.join(numbers)} {way}" for way, numbers in groups.items())


def _stacked(row: Sequence[str], width: int) -> Iterator[str]:
    """The lines of one provider: its id in the margin, folded parts beside it."""
    name, *parts = (row[1], f"{row[2]}: {row[3]}", f"{row[4]}; {row[5]}")
    margin = " " * (width + len(_GAP))
    yield _bold(row[0].ljust(width)) + _GAP + render.wrapped(name, sys.stdout, margin, first=len(margin))
    for part in parts:
        yield margin + render.wrapped(part, sys.stdout, margin, first=len(margin))


def _said(provider: Provider, limit: str) -> Iterator[tuple[str, str]]:
    """The lines of an entry, each with its name."""
    first, *others = provider.hosts
    yield "server", first + (f"; also {', '.join(others)}" if others else "")
    notes = "".join(f"; {port.number}: {port.note}" for port in provider.ports if port.note)
    yield "ports", _ports(provider.ports) + notes
    for name, fact in (("user", provider.user), ("password", provider.password), ("sender", provider.sender)):
        yield name, _fact(fact, provider, limit)
    if provider.file:
        yield "file", provider.file


def _fact(fact: Fact, provider: Provider, limit: str) -> str:
    """Its text, what keeps it from being certain, and its day where that is not the entry's."""
    doubts = [] if fact.confirmed else ["unconfirmed"]
    if fact.checked != provider.checked or fact.checked < limit:
        doubts.append(age(fact.checked, limit))
    return fact.text + (f" [{', '.join(doubts)}]" if doubts else "")


def _sources(provider: Provider) -> dict[str, list[str]]:
    """Where the facts are from, each source with the names of its facts."""
    named = [("user", provider.user), ("password", provider.password), ("sender", provider.sender)]
    named += [("limits", fact) for fact in provider.limits] + [("notes", fact) for fact in provider.notes]
    found: dict[str, list[str]] = {}
    for name, fact in named:
        names = found.setdefault(fact.source, []) if fact.source else []
        if name not in names:
            names.append(name)
    return found


def _line(name: str, text: str) -> str:
    return f"  {name:<{_INDENT - 2}}{render.wrapped(text, sys.stdout, ' ' * _INDENT, first=_INDENT)}"


def _items(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    return [_bold(title), *(f"  {render.wrapped(item, sys.stdout, '     ', first=2)}" for item in items)]


def _bold(text: str) -> str:
    return render.styled(text, "bold") if render.colourful(sys.stdout) else text


def _object(provider: Provider, limit: str) -> dict[str, object]:
    return {
        "id": provider.id,
        "name": provider.name,
        "hosts": list(provider.hosts),
        "ports": [
            {"port": port.number, "tls": port.tls, "note": port.note, "confirmed": port.confirmed}
            for port in provider.ports
        ],
        "kind": provider.kind,
        "user": _fact_object(provider.user, limit),
        "password": _fact_object(provider.password, limit),
        "steps": list(provider.steps),
        "sender": _fact_object(provider.sender, limit),
        "limits": [_fact_object(fact, limit) for fact in provider.limits],
        "notes": [_fact_object(fact, limit) for fact in provider.notes],
        "page": provider.page,
        "checked": provider.checked,
        "verified": provider.checked >= limit,
        "file": provider.file or None,
    }


def _fact_object(fact: Fact, limit: str) -> dict[str, object]:
    return {
        "text": fact.text,
        "checked": fact.checked,
        "verified": fact.checked >= limit,
        "source": fact.source,
        "confirmed": fact.confirmed,
    }
