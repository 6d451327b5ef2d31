"""A page of another site in a real browser learns nothing of the library, and changes nothing."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from serving import served

from zerotag.server.app import create_app
from zerotag.server.connections import Connection
from zerotag.server.service import Service
from zerotag.tagging.tagged import opened

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

# each way to ask gives a word that a foreign page can tell
ASK = """async ([server, paths, label]) => {
  const loaded = (made, address) => new Promise((tell) => {
    made.onload = () => tell("load"); made.onerror = () => tell("error");
    made[made.tagName === "LINK" ? "href" : made.tagName === "OBJECT" ? "data" : "src"] = address;
    document.body.append(made);
    setTimeout(() => tell("silence"), 300);
  });
  const make = (tag, more = {}) => Object.assign(document.createElement(tag), more);
  const fetched = (address, options) => fetch(address, options).then((a) => `${a.type} ${a.status}`, () => "error");
  const ways = {
    img: (a) => loaded(make("img"), a), cors: (a) => loaded(make("img", { crossOrigin: "anonymous" }), a),
    script: (a) => loaded(make("script"), a), style: (a) => loaded(make("link", { rel: "stylesheet" }), a),
    icon: (a) => loaded(make("link", { rel: "preload", as: "image" }), a),
    audio: (a) => loaded(make("audio"), a), frame: (a) => loaded(make("iframe"), a).then(() => {
      const frame = [...document.querySelectorAll("iframe")].pop();
      try { return `${frame.contentDocument !== null} ${frame.contentWindow.length}`; } catch { return "closed"; }
    }),
    plain: (a) => fetched(a, { mode: "no-cors" }), read: (a) => fetched(a, {}),
    cookies: (a) => fetched(a, { mode: "no-cors", credentials: "include", cache: "force-cache" }),
    method: (a) => fetched(a, { method: "PUT", body: "[]" }),
    worker: async (a) => { try { new Worker(a); return "made"; } catch { return "error"; } },
    socket: (a) => new Promise((tell) => {
      const socket = new WebSocket(a.replace("http", "ws"));
      socket.onopen = () => tell("open"); socket.onclose = () => tell("closed");
    }),
  };
  const learnt = {};
  for (const [name, way] of Object.entries(ways)) learnt[name] = await Promise.all(paths.map((p) => way(server + p)));
  for (const kind of ["text/plain", "application/json", "application/x-www-form-urlencoded"]) {
    const body = new Blob([JSON.stringify([{ name: label }])], { type: kind });
    try { navigator.sendBeacon(server + "/labels", body); } catch {}
    await fetched(server + "/labels", { method: "POST", mode: "no-cors", body });
    await fetched(server + "/labels", { method: "PUT", headers: { "Content-Type": "application/json" }, body });
  }
  const form = make("form", { action: server + "/verdict", method: "post", enctype: "text/plain", target: "other" });
  document.body.append(make("iframe", { name: "other" }), form);
  form.submit();
  return learnt;
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[int]:
    """The port of a site that has a page of its own."""
    (tmp_path / "index.html").write_text("<!doctype html><title>x</title><body></body>")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_foreign_page_learns_nothing_and_changes_nothing(library: Path, toy_run: Path, foreign: int) -> None:
    with opened(library) as folder, sync_playwright() as playwright:
        service = Service(str(toy_run), folder.tagger, folder.vocabulary.words, folder)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        with served(create_app(service), Connection) as address:
            here = f"http://127.0.0.1:{address.port}"
            name = service.pictures(0, 1).pictures[0].digest
            paths = [f"/picture/{name}", "/picture/" + "0" * 32]
            page = browser.new_page()
            page.goto(here)
            page.wait_for_selector(".grid img")
            own = page.evaluate("(a) => fetch(a).then((answer) => answer.status)", paths[0])
            assert own == 200
            for site in ("127.0.0.1", "localhost"):  # another origin of the same site, and another site
                page.goto(f"http://{site}:{foreign}")
                learnt = page.evaluate(ASK, [here, paths, "intruder"])
                assert all(there == nowhere for there, nowhere in learnt.values()), learnt
                assert learnt["img"] == ["error", "error"] and learnt["socket"] == ["closed", "closed"]
            browser.close()
        assert "intruder" not in {word.name for word in service.labels()}
        assert folder.catalogue.verdicts() == {}
        service.close()
