"""A Chromium that opens the organiser's page, and says for how long nothing could be clicked."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .measure import Failed, Skipped

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_MS = 180_000
ARGUMENTS = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run")

LONGEST_BLOCK = """\
window.longestBlock = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longestBlock = Math.max(window.longestBlock, task.duration);
}).observe({ type: "longtask", buffered: true });
"""
"""Only what takes longer than 50 ms is a long task; 0 means that nothing did."""


@contextlib.contextmanager
def opened() -> Iterator[Page]:
    """An empty tab. Raises Skipped where there is no Chromium, or nothing to drive it, and Failed if something never comes."""
    try:
        from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415
    except ImportError as missing:
        raise Skipped("playwright is not here") from missing
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        raise Skipped("Chromium is not here (on Debian and Ubuntu: apt install chromium)")
    unboxed = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=[*ARGUMENTS, *unboxed])
        try:
            page = running.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE_MS)
            page.add_init_script(LONGEST_BLOCK)
            yield page
        except Error as error:
            raise Failed(f"the browser gave up: {str(error).partition(chr(10))[0]}") from error
        finally:
            running.close()
