"""Whether a page fits every screen: visited once, and then the window is made as wide as each of them."""

from collections.abc import Sequence

from playwright.sync_api import Page

DESK, TABLET, PHONE, SMALL_PHONE = 1280, 768, 390, 320  # px


def assert_fits(page: Page, path: str, widths: Sequence[int] = (DESK, PHONE)) -> None:
    """The page at `path` answers 200 and scrolls sideways at none of `widths`, neither in the light nor in the dark."""
    assert page.goto(path).status == 200, path
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} px wide at {width} px, {scheme}"
