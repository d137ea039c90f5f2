"""The texts of the organiser's page: gathers them into messages.pot, and brings the translations up to date.

python tests/catalogue.py
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import sentences
from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from mailer.outcome import LOST
from mailer.preflight import presets
from mailer.report.summary import OURS
from mailer.web.access import CLOSED_WORDS, NOT_DONE, REFUSED
from mailer.web.journey.log import EXPLANATIONS

JOURNEY = Path(__file__).parent.parent / "mailer" / "web" / "journey"
LANGUAGES = JOURNEY / "languages"
METHODS = [("**.py", "python"), ("pages/**.html", "jinja2.ext.babel_extract")]
KEYWORDS = {"_": None, "gettext": None, "later": None, "ngettext": (1, 2)}
OPTIONS = {"pages/**.html": {"silent": "false", "trimmed": "false"}}


def extracted() -> Catalog:
    """Every text that the pages may show, by where it stands."""
    found = Catalog(project="mailer", charset="utf-8")
    for file, _line, text, comments, context in extract_from_dir(JOURNEY, METHODS, OPTIONS, KEYWORDS):
        found.add(text, None, [(Path(file).as_posix(), 0)], auto_comments=comments, context=context)
    below: dict[str, set[str]] = {
        # what a mail server's answers mean: said by the commands in English, and by the page in its reader's language
        "explanations.py": {*EXPLANATIONS, *LOST.values()},
        "report/summary.py": {text for text in OURS if text not in EXPLANATIONS},
        "preflight/providers.toml": {text for one in presets.all() for text in (one.login, one.note) if text},
        "web/access.py": {*CLOSED_WORDS, NOT_DONE, *REFUSED.values()},
    }
    for place, said in sentences.gathered().items():
        below.setdefault(place, set()).update(said.texts)
        for one, many in said.pairs:
            found.add((one, many), None, [(place, 0)])
    for place, texts in below.items():
        for text in texts:
            found.add(text, None, [(place, 0)])
    return found


def read(path: Path, language: str | None = None) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language)


def written(catalogue: Catalog) -> bytes:
    """As it is kept: in order, without times, versions and names."""
    out = BytesIO()
    write_po(out, catalogue, omit_header=True, sort_output=True, include_lineno=False, width=0, ignore_obsolete=True)
    language = f"Language: {catalogue.locale}\\n" if catalogue.locale else ""
    plural = f"Plural-Forms: nplurals={catalogue.num_plurals}; plural={catalogue.plural_expr};\\n" if language else ""
    head = ["Content-Type: text/plain; charset=utf-8\\n", language, plural]
    lines = ['msgid ""', 'msgstr ""', *(f'"{one}"' for one in head if one), ""]
    return ("\n".join(lines) + "\n").encode() + out.getvalue()


def main() -> None:
    LANGUAGES.mkdir(exist_ok=True)
    template = extracted()
    (LANGUAGES / "messages.pot").write_bytes(written(template))
    for path in LANGUAGES.glob("*.po"):
        known = read(path, path.stem)
        known.update(template, no_fuzzy_matching=True)
        path.write_bytes(written(known))
        missing = sum(not all(one.string if isinstance(one.string, tuple) else [one.string]) for one in known if one.id)
        sys.stdout.write(f"{path.name}: {missing} texts to translate\n")


if __name__ == "__main__":
    main()
