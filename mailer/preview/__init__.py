"""The offline preview: every message of a campaign as a page, with an index to search and browse them."""

from mailer.preview.gallery import OWN_FILES, write
from mailer.preview.model import Rendered, Summary

__all__ = ["OWN_FILES", "Rendered", "Summary", "write"]
