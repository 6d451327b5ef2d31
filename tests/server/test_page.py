"""The page in a browser: a picture dropped in, two words, tags and a heat map, one accepted, and found again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from zerotag.tagging.tagged import opened

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
SERVE = "import sys; from zerotag.cli import main; sys.argv[0] = 'zerotag'; main()"


@pytest.fixture(scope="module")
def address(library: Path) -> Iterator[str]:
    words = [sys.executable, "-c", SERVE, "serve", str(library), "--port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().split()[0]
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            httpx.get(f"{address}/health")
            break
        except httpx.TransportError:
            time.sleep(0.1)
    yield address
    server.terminate()
    server.wait(20)
    server.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark", "phone"])
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    size = {"width": 390, "height": 844} if request.param == "phone" else {"width": 1200, "height": 900}
    context = browser.new_context(viewport=size, color_scheme="dark" if request.param == "dark" else "light")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    yield page
    assert errors == []
    context.close()


def drop(page: Page, picture: Path) -> None:
    page.evaluate(
        """([name, bytes]) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
            const event = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
            document.getElementById("drop").dispatchEvent(event);
        }""",
        [picture.name, list(picture.read_bytes())],
    )


def test_from_a_dropped_picture_to_a_search(page: Page, library: Path) -> None:
    expect(page.locator(".grid li")).to_have_count(40)
    page.locator("#words").fill("red, cyan")
    page.get_by_role("button", name="Use these words").click()
    expect(page.locator("#words-told")).to_have_text("2 in use")
    drop(page, library / "07.png")
    rows = page.locator("#tags .tag")
    expect(rows).to_have_count(2)
    expect(rows.first.locator(".number")).to_have_text(re.compile(r"^\d+ %$"))
    rows.first.hover()
    expect(page.locator("#heat")).to_have_class("on")

    label = rows.first.locator(".name").evaluate("it => it.firstChild.textContent")
    accept = page.get_by_role("button", name=f"Accept {label}")
    accept.click()
    expect(accept).to_have_attribute("aria-pressed", "true")
    with opened(library) as folder:
        assert {label: True} in folder.catalogue.verdicts().values()
    accept.click()
    expect(accept).to_have_attribute("aria-pressed", "false")

    page.get_by_label("Search the library").fill(f"{label}")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#library-told")).to_have_text("the 40 best matches")
    page.locator(".grid button").first.click()
    expect(page.locator("#caption")).to_have_text(re.compile(r"\.png$"))
    expect(page.locator("#tags .tag")).to_have_count(2)


def test_all_can_be_reached_without_a_mouse(page: Page) -> None:
    expect(page.locator(".grid li").first).to_be_visible()
    with page.expect_file_chooser():
        page.locator("#drop").press("Enter")
    page.get_by_label("Search the library").focus()
    page.keyboard.type("red")
    page.keyboard.press("Enter")
    expect(page.locator("#library-told")).to_have_text("the 40 best matches")


def test_pictures_have_words_and_nothing_overflows(page: Page) -> None:
    expect(page.locator(".grid img").first).to_be_visible()
    assert page.locator("img:not([alt])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_what_is_no_picture_is_told(page: Page, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    drop(page, tmp_path / "bad.png")
    expect(page.locator("#caption")).to_contain_text("cannot be read")


def test_what_the_server_says_is_shown(page: Page, library: Path, tmp_path: Path) -> None:
    expect(page.locator(".grid li")).to_have_count(40)
    page.locator("#words").fill("red" * 100)
    page.get_by_role("button", name="Use these words").click()
    expect(page.locator("#words-told")).to_contain_text("at most 200 characters")
    page.get_by_label("Search the library").fill("-")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#library-told")).to_contain_text("is blank")
    with page.expect_download() as download:
        page.locator("#export").select_option("coco")
    assert download.value.suggested_filename == "tags-coco.json"

    page.get_by_role("button", name="Browse all").click()
    expect(page.locator("#library-told")).to_have_text("48 pictures")
    aside = tmp_path / "aside"
    (library / "47.png").rename(aside)
    try:
        page.get_by_role("button", name="More pictures").click()
        page.locator(".grid li").last.scroll_into_view_if_needed()
        expect(page.locator(".grid li").last).to_contain_text("is there no more")
    finally:
        aside.rename(library / "47.png")
