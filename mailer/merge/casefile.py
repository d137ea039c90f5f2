"""The particulars of a case, kept apart from the letters so that several letters share one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailer.merge.complaints import refuse
from mailer.merge.files import Recorder, find, text_of
from mailer.merge.front import FrontMatter
from mailer.merge.place import Place
from mailer.merge.yamltext import read_mapping
from mailer.model import said


def read_case(front: FrontMatter, place: Place, files: Recorder, wanted: list[str]) -> Mapping[str, Any]:
    """What `{{ case.x }}` means; for `case: case.yaml` the file case.de.yaml replaces what reads differently in German."""
    if front.case is None:
        return {}
    if not isinstance(front.case, str):
        return front.case
    path = find(files, front.case, place.folders)
    if path is None:
        at = front.origin("case")
        hint = said(
            "Put it into {folder} or name it from the campaign folder.",
            folder=(place.folder or said("the campaign folder")),
        )
        raise refuse("file-missing", said("the case file {case} is not there.", case=front.case), at=at, hint=hint)
    case, _ = read_mapping(text_of(files, path), path)
    stem, dot, extension = path.rpartition(".")
    for code in reversed(wanted):
        own = f"{stem}.{code}{dot}{extension}"
        if files.exists(own):
            translated, _ = read_mapping(text_of(files, own), own)
            case = {**case, **translated}
    return case
