"""The report as a browser shows it: on a phone, on a desk and on paper."""

from __future__ import annotations

import html
import json
import re
import struct

import pytest

from irecgan_gym.benchmarks.report.page import report_html
from tests.benchmarks.run_folders import write_grid_run, write_rerank_run
from tests.chromium import needs_chromium, visit

pytestmark = needs_chromium

PHONE, DESK, PAPER = 375, 1200, 688  # Paper: A4 less its margins, at 96 dots an inch.
MEASURE = """
<script>
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement;
    const boxes = [...page.querySelectorAll(".box")];
    found[frame.id] = {
      width: view.innerWidth,
      page: root.scrollWidth,
      sticking_out: [...page.body.querySelectorAll("*")].filter(
        (element) => !element.closest(".box") && element.getBoundingClientRect().right > view.innerWidth + 1
      ).map((element) => element.outerHTML.slice(0, 80)),
      scrolling: boxes.filter((box) => box.scrollWidth > box.clientWidth).length,
      cut: boxes.filter((box) => box.scrollWidth > root.clientWidth + 1).map((box) => box.outerHTML.slice(0, 80)),
      hidden: boxes.filter((box) => !box.checkVisibility()).length,
      images: [...page.images].map((image) => image.naturalWidth),
      text_size: parseFloat(view.getComputedStyle(page.querySelector("td")).fontSize),
      resources: view.performance.getEntriesByType("resource").map((entry) => entry.name)
        .filter((name) => !name.startsWith("data:")),
    };
  }
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify(found);
  document.body.append(out);
});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    runs = [write_grid_run(folder / "figure-2"), write_rerank_run(folder / "rerank")]
    file = folder / "report.html"
    file.write_text(report_html(runs), encoding="utf-8")
    return file


def framed(name, width, text):
    return f'<iframe id="{name}" style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(text)}"></iframe>'


def test_it_fits_phones_desks_and_paper(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    frames = [framed("phone", PHONE, text), framed("desk", DESK, text)]
    # On paper: what print adds to the style, in a frame as wide as the sheet.
    assert text.count("@media print") == 1
    frames.append(framed("paper", PAPER, text.replace("@media print", "@media all")))
    measuring = tmp_path / "measuring.html"
    measuring.write_text(f"<!DOCTYPE html><body>{''.join(frames)}{MEASURE}</body>", encoding="utf-8")
    seen = visit(measuring, "--dump-dom", f"--window-size={DESK},900")
    assert seen.console == ()
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', seen.stdout, re.DOTALL)[1]))
    assert {name: frame["width"] for name, frame in found.items()} == {"phone": PHONE, "desk": DESK, "paper": PAPER}
    for name, frame in found.items():
        assert frame["page"] <= frame["width"], name
        assert frame["sticking_out"] == []
        assert frame["resources"] == []
        assert len(frame["images"]) >= 8
        assert min(frame["images"]) > 0
    # A phone scrolls wide tables in their boxes, with text that can be read; paper has neither boxes nor lids.
    assert found["phone"]["scrolling"] > 5
    assert found["phone"]["text_size"] >= 13
    assert found["paper"]["cut"] == []
    assert found["paper"]["scrolling"] == 0
    assert found["paper"]["hidden"] == 0
    assert found["phone"]["hidden"] > 0


def test_a_picture_of_it_on_a_phone(page, tmp_path):
    shot = tmp_path / "phone.png"
    seen = visit(page, f"--screenshot={shot}", f"--window-size={PHONE},812")
    assert seen.console == ()
    data = shot.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (PHONE, 812)


def test_it_prints(page, tmp_path):
    paper = tmp_path / "report.pdf"
    seen = visit(page, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    assert seen.console == ()
    data = paper.read_bytes()
    assert data.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    # Opened for print, the settings of all agents take pages of their own.
    assert 5 <= pages <= 40
