"""Labels: which are seen in training and which are not, and label files."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from zerotag.errors import UnknownNameError, ZerotagError, first_few
from zerotag.opening import named

Setting = Literal["zsl", "gzsl", "multilabel"]
SETTINGS: tuple[Setting, ...] = ("zsl", "gzsl", "multilabel")

# soft hyphen, zero-width characters, marks, embeddings and isolates of direction, byte-order mark
INVISIBLE = (
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
LINE_END = re.compile(r"\r\n|\n|\r")
HASHTAG = re.compile(r"#[^\s!-/:-@\[-`{-~]")
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
HEADINGS = {"label", "labels", "tag", "tags", "name", "names", "class", "classes", "category", "categories"}
FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
BETWEEN_LABELS = {",": "a comma", ";": "a semicolon", "|": "a bar", "\t": "a tab"}
BETWEEN_LABELS |= dict.fromkeys("，、،", "a comma") | dict.fromkeys("；؛", "a semicolon") | {"｜": "a bar"}
QUOTES = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“”", "‘": "’", "«": "»", "»": "«"}
ITEM = re.compile(r"([-–—−*+•‣◦·∙●○▪▫■□▶►➤✓✔✗✘☐☑☒]|\[[ xX✓✔]?\]|\(?\d{1,4}[.)])\s")


@dataclass(frozen=True)
class LabelSet:
    """Labels that a model is trained on, and labels that it never sees a picture of.

    Raises:
        ZerotagError: there is no seen label, a label comes twice, or one is both seen and unseen.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.seen:
            raise ZerotagError("there are no seen labels; a model needs some to be trained on")
        if both := sorted(set(self.seen) & set(self.unseen)):
            raise ZerotagError(f"labels that are both seen and unseen: {first_few(both)}; take them out of one list")
        for side, labels in (("seen", self.seen), ("unseen", self.unseen)):
            if twice := [label for label, count in Counter(labels).items() if count > 1]:
                raise ZerotagError(f"{side} labels that come more than once: {first_few(twice)}")

    @property
    def all(self) -> tuple[str, ...]:
        """Seen labels, then unseen ones."""
        return self.seen + self.unseen

    def ranked(self, setting: str) -> slice:
        """Which of :attr:`all` are ranked: "zsl" the unseen ones, "gzsl" all, "multilabel" all where all are seen.

        Raises:
            ZerotagError: no such setting, "zsl" without unseen labels, or "multilabel" with some.
        """
        if setting not in SETTINGS:
            raise UnknownNameError("setting", setting, list(SETTINGS))
        if setting == "zsl" and not self.unseen:
            raise ZerotagError("setting 'zsl' ranks unseen labels, and there are none; use 'multilabel'")
        if setting == "multilabel" and self.unseen:
            raise ZerotagError(
                f"setting 'multilabel' ranks labels that were all trained on, and {len(self.unseen)} are unseen; "
                "train with --set labels.unseen_fraction=0"
            )
        return slice(len(self.seen) if setting == "zsl" else 0, len(self.all))


def split_labels(labels: Sequence[str], *, unseen_fraction: float, seed: int) -> LabelSet:
    """Draw the unseen labels; both parts keep the order of ``labels``."""
    order = np.random.default_rng(seed).permutation(len(labels))
    unseen = {labels[i] for i in order[: round(unseen_fraction * len(labels))]}
    return LabelSet(
        tuple(label for label in labels if label not in unseen), tuple(label for label in labels if label in unseen)
    )


def clean_label(text: str) -> str:
    """A label without blanks and invisible characters around it, its accents composed (NFC)."""
    label = unicodedata.normalize("NFC", text).strip()
    while label != (shorter := label.strip(INVISIBLE).strip()):
        label = shorter
    return label


def lookalikes(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of labels that differ in case, blanks, underscores, Unicode form or invisible characters alone."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        folded = unicodedata.normalize("NFKC", label.replace("_", " ")).casefold()
        visible = "".join(sign for sign in folded if unicodedata.category(sign) != "Cf")
        groups[" ".join(visible.split())].append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def as_cell(text: str) -> str:
    """A text for a cell of CSV: one that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{text}" if FORMULA.match(text) else text


def of_cell(cell: str) -> str:
    """The text that :func:`as_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def read_text(path: Path, what: str = "") -> str:
    """The text of a file in UTF-8, with or without a byte-order mark; line endings stay.

    Raises:
        ZerotagError: the file cannot be read or is not UTF-8 text; the message names it as ``what`` and its path.
    """
    name = f"{what} {path}".strip()
    try:
        content = named(path).read_bytes()
    except OSError as error:
        raise ZerotagError(f"{name} cannot be read ({error.strerror})") from error
    if content.startswith(UTF16):
        raise ZerotagError(f"{name} is UTF-16 text; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ZerotagError(f"{name} is no UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        line = len(lines_of(text[: text.index("\0")]))
        raise ZerotagError(f"{name} has a NUL byte on line {line}: it is damaged or UTF-16 text; save it as UTF-8")
    return text


def lines_of(text: str) -> list[str]:
    """The lines of a text, which end at a line feed, a carriage return or both, and at no other character."""
    return LINE_END.split(text)


def read_label_file(path: Path) -> list[str]:
    """Labels of a text file, one a line; quotation marks around a label are taken off.

    Blank lines are passed over, and comments, in which a blank or a punctuation mark follows the ``#``.

    Raises:
        ZerotagError: the file is missing, not UTF-8 text, or empty, a label comes twice, or a line looks like something
            other than one label: a heading, several labels, an item of a YAML list, a hashtag.
    """
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines_of(read_text(path, "the label file")), start=1):
        text = clean_label(line)
        if not text or (text.startswith("#") and not HASHTAG.match(text)):
            continue
        label = unquoted(text)
        if label == text:
            _check_line(f"{path}, line {number}", line, text, is_first=not first_line)
        if label in first_line:
            raise ZerotagError(f"{path}: the label '{label}' stands on line {first_line[label]} and again on {number}")
        first_line[label] = number
    if not first_line:
        raise ZerotagError(f"the label file {path} holds no labels; write one a line")
    return list(first_line)


def unquoted(text: str) -> str:
    """A text without the pair of quotation marks around it, straight or curly; itself where there is none."""
    closing = QUOTES.get(text[:1], "")
    inside = clean_label(text[1:-1])
    is_pair = text[-1:] in closing and not set(inside) & {text[:1], *closing}
    return inside if closing and inside and is_pair else text


def half_quoted(text: str) -> bool:
    """Whether a text begins or ends with a quotation mark that has no partner; an apostrophe may end a word."""
    begins = text[0] in QUOTES and (len(text) == 1 or text[-1] not in QUOTES[text[0]])
    return begins or (text[-1] in '"”»“' and text[0] not in QUOTES)


def _check_line(where: str, line: str, text: str, *, is_first: bool) -> None:
    """Raise a ZerotagError where a line is likely not meant as the one label that it would be read as."""
    if "\t" in line.partition(text)[0]:
        raise ZerotagError(
            f"{where}: '{text}' is indented by a tab, as in a list with levels; write one label a line without levels, "
            "or a .yaml file with parents"
        )
    if text.startswith("#"):
        raise ZerotagError(
            f"{where}: '{text}' may be a comment or a label; write '# {text[1:]}' for a comment, or '{text[1:]}' for a "
            "label"
        )
    if item := ITEM.match(text):
        yaml = ", or name the file .yaml" if text[0] == "-" else ", or put quotation marks around it if it is a label"
        raise ZerotagError(f"{where}: '{text}' begins like an item of a list; take the '{item[1]}' away{yaml}")
    if text[0] + text[-1] in ("[]", "{}") or not text.strip("[]{}"):
        raise ZerotagError(
            f"{where}: '{text}' is in brackets, as in JSON or a keyword list; write one label a line and nothing "
            "around it, or a .yaml file with aliases for synonyms"
        )
    if found := next((sign for sign in BETWEEN_LABELS if sign in text), None):
        raise ZerotagError(
            f"{where}: '{text}' contains {BETWEEN_LABELS[found]}; write one label a line, or put quotation marks "
            "around it if it is one label"
        )
    if text.endswith((":", "：")) or (is_first and text.casefold() in HEADINGS):
        raise ZerotagError(
            f"{where}: '{text}' looks like a heading; take it away, or put quotation marks around it if it is a label"
        )
