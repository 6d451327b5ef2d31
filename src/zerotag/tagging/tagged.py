"""A folder as it was last tagged: its catalogue, and the model, words and rule that were used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue, catalogue_of
from zerotag.tagging.export import TaggedPicture, Tagging
from zerotag.tagging.folder import FolderTags, Rule
from zerotag.tagging.tagger import Tagger
from zerotag.tagging.words import Vocabulary, WordList

TAGGED = "tagged"


@dataclass(frozen=True)
class TaggedFolder:
    """A tagged folder.

    Attributes:
        catalogue: opened.
        tagger: the model.
        vocabulary: the words.
        rule: which of them a picture was given.
        model: the model's name, or the folder of its run.
    """

    catalogue: Catalogue
    tagger: Tagger
    vocabulary: Vocabulary
    rule: Rule
    model: str

    def remember(self) -> None:
        """Keep in the catalogue how it was tagged."""
        lasting = str(Path(self.model).resolve()) if Path(self.model).is_dir() else self.model
        how = {"model": lasting, "words": self.vocabulary.words.to_plain(), "rule": vars(self.rule)}
        self.catalogue.remember(TAGGED, how)

    def tags(self) -> FolderTags:
        """The tags of its pictures."""
        return FolderTags(self.catalogue, self.tagger, self.vocabulary, self.rule)

    def tagging(self) -> Tagging:
        """The same as other programs are given it."""
        sizes = self.catalogue.sizes()
        pictures = (
            TaggedPicture(path, str(self.catalogue.folder / path), *sizes[path], tags)
            for path, tags in self.tags()
            if path in sizes  # others may add some meanwhile
        )
        return Tagging(pictures, self.vocabulary.names, self.model)


@contextmanager
def opened(where: Path) -> Iterator[TaggedFolder]:
    """A folder that was tagged before, by itself or by its catalogue.

    Raises:
        ZerotagError: it was not, or its model is there no more.
    """
    with Catalogue(catalogue_of(where)) as catalogue:
        how = catalogue.remembered(TAGGED)
        if how is None:
            raise ZerotagError(f"{catalogue.path} holds no tags yet; run: zerotag tag RUN {catalogue.folder}")
        try:
            model, words, rule = str(how["model"]), WordList.of_plain(how["words"]), Rule(**how["rule"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ZerotagError(
                f"how it was tagged is damaged in {catalogue.path} ({error!r}); run: zerotag tag RUN {catalogue.folder}"
            ) from error
        tagger = Tagger.load(model)
        yield TaggedFolder(catalogue, tagger, tagger.vocabulary(words, allow_missing=True), rule, model)
