"""Label files in YAML: their form, and what is said of those that do not hold."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from zerotag.errors import ZerotagError
from zerotag.labels import LONGEST_LABEL, clean_label, lines_of

BLANK = "it is blank; in YAML a # begins a comment, so put quotation marks around a label with one"
WORDING = {
    "Input should be a valid tuple": "it should be a list, as in [dog, cat]",
    "Input should be a valid dictionary or instance of Word": "it should be a label, or a name with aliases",
    "String should have at least 1 character": BLANK,
    "Input should": "it should",
    "Field required": "it is needed",
    "Extra inputs are not permitted": "there is no such key",
}


def _name(text: str) -> str:
    if len(text) > LONGEST_LABEL:
        fault = f"it has {len(text):,} characters; a label has at most {LONGEST_LABEL:,}"
        raise PydanticCustomError("long", fault)
    if not (name := clean_label(text)):
        raise PydanticCustomError("blank", BLANK)
    if len(lines_of(name)) > 1:
        raise PydanticCustomError("lines", "it has several lines; write one label an item")
    return name


Name = Annotated[str, Field(min_length=1), AfterValidator(_name)]


class Word(BaseModel):
    """A label.

    Attributes:
        name: under which it is given.
        aliases: other words for the same; the best of all scores counts.
        parent: what it is a kind of.
        threshold: the confidence from which on it is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    aliases: tuple[Name, ...] = ()
    parent: Name | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None


def _as_word(entry: Any) -> Any:
    return {"name": entry} if isinstance(entry, str) else entry


Entry = Annotated[Word, BeforeValidator(_as_word)]


class WordFile(BaseModel):
    """Labels of a file, by themselves and in groups; lists that are added; what is never given."""

    model_config = ConfigDict(extra="forbid")

    sets: tuple[Name, ...] = ()
    labels: tuple[Entry, ...] = ()
    groups: dict[Name, tuple[Entry, ...]] = {}
    exclude: tuple[Name, ...] = ()


class _Texts(yaml.BaseLoader):
    """YAML whose plain words are texts, also "no", "null", "1.0" and "2024-01-01"; a key that comes twice is named."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node.

        Raises:
            ComposerError: it is an alias; a few of those, one within the other, make billions of labels.
        """
        if self.check_event(yaml.AliasEvent):
            fault = "a text that begins with * needs quotation marks around it; label files have no aliases of YAML"
            place = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML has no types
            raise yaml.composer.ComposerError(None, None, fault, place)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping.

        Raises:
            ConstructorError: a key comes twice.
        """
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{twice[0]}' comes twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_document(self, node: yaml.Node) -> Any:
        """The tree; of a file that is one text this text."""
        return node.value if isinstance(node, yaml.ScalarNode) else super().construct_document(node)

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        """A text.

        Raises:
            ConstructorError: it has several lines and no quotation marks, as where an item is indented too far.
        """
        if node.style is None and node.end_mark.line > node.start_mark.line:
            fault = (
                "begin every item of a list in the same column, and put quotation marks around a text of "
                f"several lines, such as '{node.value}'"
            )
            raise yaml.constructor.ConstructorError(None, None, fault, node.start_mark)
        return super().construct_scalar(node)


def parse(text: str, where: str) -> WordFile:
    """The content of a label file.

    Raises:
        ZerotagError: it is not YAML, or of another form; the message begins with ``where``.
    """
    try:
        tree = yaml.load(text, _Texts)
        if not isinstance(tree, list | dict):
            raise ZerotagError(f"the label file {where} does not hold: it is not a list; write '- ' before each label")
        return WordFile.model_validate({"labels": tree} if isinstance(tree, list) else tree)
    except RecursionError as error:
        raise ZerotagError(f"{where} is nested too deep for a label file; write one label a line") from error
    except yaml.YAMLError as error:
        fault = " ".join(str(error).replace('"<unicode string>", ', "").split())
        raise ZerotagError(f"{where} is not valid YAML: {fault}") from error
    except ValidationError as error:
        faults = "; ".join(f"'{'.'.join(map(str, f['loc']))}': {_worded(f['msg'])}" for f in error.errors()[:5])
        raise ZerotagError(f"the label file {where} does not hold: {faults}") from error


def _worded(message: str) -> str:
    """A message of pydantic in the words of label files."""
    for theirs, ours in WORDING.items():
        message = message.replace(theirs, ours)
    return message
