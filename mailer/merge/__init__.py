"""Letters: a template with fields, merged with contacts into subject, text, HTML and attachments."""

from mailer.merge.files import Folder
from mailer.merge.front import AttachmentRule, FrontMatter, parse_mailbox
from mailer.merge.generator import written_in_html
from mailer.merge.sandbox import MAX_LENGTH
from mailer.merge.template import Template, load

__all__ = [
    "MAX_LENGTH",
    "AttachmentRule",
    "Folder",
    "FrontMatter",
    "Template",
    "load",
    "parse_mailbox",
    "written_in_html",
]
