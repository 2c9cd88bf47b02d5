"""What a release is made of and what it needs, as a software bill of materials: CycloneDX 1.6, JSON.

Everything in it follows from the source and the package: no time and no number of this run's own. What the package
depends on is not part of it: it comes from the distribution (or from PyPI), in any version that satisfies the relation
that is named. So those components have no version, and their relation word for word.
"""

from __future__ import annotations

import email
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
# Any fixed number will do: that of the name space "URL" (RFC 9562), over the purl and the checksum of the source.
_NAME_SPACE = uuid.NAMESPACE_URL
_RELATIONS = {"Depends": "required", "Recommends": "optional"}

Component = dict[str, Any]


def _purl(kind: str, name: str, version: str = "") -> str:
    where = {"deb": "pkg:deb/debian/", "pypi": "pkg:pypi/"}[kind]
    # A purl of PyPI has the name as PyPI normalises it.
    shown = re.sub(r"[-_.]+", "-", name).lower() if kind == "pypi" else name
    return f"{where}{shown}{version and f'@{version}?arch=all'}"


def _component(kind: str, name: str, scope: str, relation: str) -> Component:
    purl = _purl(kind, name)
    return {
        "bom-ref": purl,
        "type": "library" if kind == "pypi" or name.startswith("python3-") else "application",
        "name": name,
        "scope": scope,
        "purl": purl,
        "properties": [{"name": "msmtp-agent:relation", "value": relation}],
    }


def _debian(control: Mapping[str, str]) -> Iterator[Component]:
    """What the package depends on, as its control file says."""
    for field, scope in _RELATIONS.items():
        for relation in filter(None, re.split(r",\s*", control.get(field, ""))):
            name = re.split(r"[ :(|]", relation.strip(), maxsplit=1)[0]
            yield _component("deb", name, scope, f"{field}: {relation.strip()}")


def _pypi(requirements: list[str]) -> Iterator[Component]:
    """What the Python code imports, as pyproject.toml says: the lowest release that works."""
    for requirement in requirements:
        name = re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]
        yield _component("pypi", name, "required", f"pyproject.toml: {requirement}")


def bill(
    control: str, requirements: list[str], checksums: Mapping[str, str], source: str, moment: datetime
) -> Component:
    """The bill of a .deb with this control file; `checksums` are those of the release, `source` the source's."""
    message = email.message_from_string(control)
    fields = {name: " ".join(value.split()) for name, value in message.items()}
    name, version = fields["Package"], fields["Version"]
    maintainer, _, address = fields["Maintainer"].rstrip(">").partition(" <")
    purl = _purl("deb", name, version)
    organisation = {"name": maintainer, "contact": [{"email": address}]}
    needed = [*_debian(fields), *_pypi(requirements)]
    files = [
        {"type": kind, "url": file, "hashes": [{"alg": "SHA-256", "content": checksum}]}
        for file, checksum in checksums.items()
        for kind in ["distribution" if file.endswith(".deb") else "source-distribution"]
    ]
    return {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAME_SPACE, f'{purl}#{source}')}",
        "version": 1,
        "metadata": {
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "lifecycles": [{"phase": "build"}],
            "supplier": organisation,
            "component": {
                "bom-ref": purl,
                "type": "application",
                "supplier": organisation,
                "name": name,
                "version": version,
                "description": message["Description"].partition("\n")[0],
                "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
                "purl": purl,
                "externalReferences": files,
            },
        },
        "components": needed,
        "dependencies": [
            {"ref": purl, "dependsOn": [component["bom-ref"] for component in needed]},
            *({"ref": component["bom-ref"]} for component in needed),
        ],
    }


def write(file: Path, document: Component) -> None:
    """As text that a person can read and compare."""
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
