"""YAML as letters use it: text stays text, keys appear once, every complaint has its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from mailer.merge.complaints import Origin, refuse
from mailer.merge.yamlwords import explained, in_quotes
from mailer.model import said

Value = str | int | bool | None | list[Any] | dict[str, Any]
MAX_DEPTH = 20
MOST_NODES = 4000
"""Keys and values of one text. A letter has some dozens; to read more, and to change them one by one, takes minutes."""


class TooManyError(ValueError):
    """More keys and values than any letter has."""


class Loader(yaml.SafeLoader):
    """YAML 1.1 would read `no` (Norwegian) as false and 007 as 7: here only plain numbers, true, false, null are not text.

    Raises TooManyError as soon as there are more of them than any letter has.
    """

    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise TooManyError
        return super().compose_node(parent, index)


Loader.yaml_implicit_resolvers = {}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]{0,15})$"), list("-0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])


def read_mapping(text: str, file: str, *, line: int = 1) -> tuple[dict[str, Value], dict[str, int]]:
    """The mapping a YAML text holds, and the line of each of its keys. Raises LetterError."""
    try:
        node = Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        number, sentence, hint = explained(error, text)
        raise refuse("yaml-syntax", sentence, at=Origin(file=file, line=line + number), hint=hint) from error
    except TooManyError as error:
        sentence = said(
            "there are more than {most:,} settings here, and no letter needs so many.", most=MOST_NODES // 2
        )
        hint = "Keep long tables in a file of their own, and look them up (lookups)."
        raise refuse("yaml-size", sentence, at=Origin(file=file, line=line), hint=hint) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise refuse("yaml-syntax", "these lines cannot be understood.", at=Origin(file=file, line=line)) from error
    if node is None:
        return {}, {}
    value = _Reading(file, line, text.split("\n")).value(node, 0)
    if not isinstance(value, dict):
        raise refuse("yaml-syntax", "expected lines of the form key: value.", at=Origin(file=file, line=line))
    return value, {key.value: line + key.start_mark.line for key, _ in node.value}


class _Reading:
    def __init__(self, file: str, line: int, lines: Sequence[str]) -> None:
        self._file = file
        self._lines = lines
        self._line = line
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, depth: int) -> Value:
        at = Origin(file=self._file, line=self._line + node.start_mark.line)
        if depth > MAX_DEPTH or id(node) in self._seen:
            # The same node twice is a reference (&a, *a): a few lines of them can mean a billion values.
            raise refuse("yaml-syntax", "references (& and *) and very deep nesting are not allowed.", at=at)
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, depth + 1) for child in node.value]
        match node.tag:
            case "tag:yaml.org,2002:int":
                return int(node.value)
            case "tag:yaml.org,2002:bool":
                return bool(node.value == "true")
            case "tag:yaml.org,2002:null":
                return None
            case "tag:yaml.org,2002:str":
                return str(node.value)
        raise refuse("yaml-syntax", said("tags such as {tag} are not allowed.", tag=node.tag), at=at)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key, child in node.value:
            at = Origin(file=self._file, line=self._line + key.start_mark.line)
            if not isinstance(key, yaml.ScalarNode):
                hint = in_quotes(self._lines[key.start_mark.line]) or "Put {{ ... }} in quotes."
                raise refuse("yaml-syntax", "this text needs quotes around it.", at=at, hint=hint)
            if key.value in result:
                raise refuse("yaml-twice", said("the key {key} appears twice.", key=key.value), at=at)
            result[str(key.value)] = self.value(child, depth + 1)
        return result
