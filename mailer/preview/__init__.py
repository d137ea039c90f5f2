"""The offline preview: every message of a campaign as a page, with an index to search and browse them."""

from mailer.preview.gallery import write
from mailer.preview.model import Rendered, Summary

__all__ = ["Rendered", "Summary", "write"]
