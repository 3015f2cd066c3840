"""The page in a browser without a window, as a reader uses it: keyboard, pointer, phone and desk, dark and still.

Prints a line for each thing that holds; screenshots go to a folder that can be named.
"""

import json
import pathlib
import sys

from playwright.sync_api import sync_playwright

base, browser_path, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
template = "the [[4]] sees the [[4]]."

OVERLAPS = """() => {
  const shown = [...document.querySelectorAll(
    'h1, h2, label, button, textarea, select, input, output, dt, dd, .text, #model, #message, footer p, legend')]
    .filter((e) => e.getClientRects().length && e.textContent + (e.value ?? '') !== '');
  const found = [];
  for (const a of shown) for (const b of shown) {
    if (a === b || a.contains(b) || b.contains(a)) continue;
    const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 1) found.push(`${a.tagName}.${a.id || a.className} over ${b.tagName}.${b.id || b.className}`);
  }
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) found.push(`wider than the window by ${wide}`);
  return found;
}"""


def until(page, condition):
    """The page allows no code from text, so the browser cannot wait by itself."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {condition}; {page.locator('#message').inner_text()}")


def text_of(page, panel=0):
    return page.locator(".panel .text").nth(panel).inner_text()


def fill(page, panels=1):
    page.get_by_role("button", name="Fill the holes").click()
    until(page, f"document.querySelectorAll('.panel[data-done]').length === {panels}")
    until(page, "document.getElementById('stop').hidden")


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
    for width, height, scheme, motion in [(1440, 900, "light", "no-preference"), (360, 740, "dark", "reduce")]:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion=motion,
            has_touch=width < 500, permissions=["clipboard-read", "clipboard-write"],
        )
        page = context.new_page()
        problems, asked = [], []
        page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on("request", lambda r: asked.append(r.url))
        page.goto(base)
        until(page, "document.getElementById('model').textContent.includes('Eso-LM')")
        assert page.locator("#template").input_value() != "", "there is an example to begin with"
        page.locator("#template").fill(template)
        fill(page)
        whole = text_of(page)
        assert whole.startswith("the ") and " sees the " in whole and "\u25a1" not in whole, whole
        page.screenshot(path=folder / f"page-{width}-filled.png", full_page=True)

        # Forth and back through the calls.
        scrub = page.locator("[name=scrub]")
        calls = int(scrub.get_attribute("max"))
        assert calls >= 2, calls
        scrub.fill("0")
        assert text_of(page).count("\u25a1") == 8, text_of(page)
        scrub.focus()
        counts = []
        for _ in range(calls):
            page.keyboard.press("ArrowRight")
            counts.append(text_of(page).count("\u25a1"))
        assert counts == sorted(counts, reverse=True) and counts[-1] == 0 and text_of(page) == whole, counts
        scrub.fill("1")
        page.screenshot(path=folder / f"page-{width}-first-call.png", full_page=True)
        scrub.fill(str(calls))

        # The likeliest tokens in a place, by pointer and by keyboard.
        token = page.locator(".token.written").nth(2)
        token.tap() if width < 500 else token.hover()
        popup = page.locator("#alternatives")
        popup.wait_for(state="visible")
        assert popup.locator("tr").count() >= 5 and popup.locator(".own").count() >= 1
        box = popup.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, box
        page.screenshot(path=folder / f"page-{width}-alternatives.png", full_page=True)
        page.locator(".token.written").first.focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("[...document.querySelectorAll('.written')].indexOf(document.activeElement)") == 1
        page.keyboard.press("Escape")
        assert popup.is_hidden()

        page.locator("#colour").select_option("probability")
        one, other = [
            page.locator(".token.written").nth(n).evaluate("e => getComputedStyle(e).backgroundColor") for n in (0, 5)
        ]
        assert page.evaluate("document.body.classList.contains('by-probability')") and one and other

        # What is copied is what was asked.
        page.get_by_role("button", name="Copy as curl").click()
        page.get_by_role("button", name="Copied").wait_for()
        curl = page.evaluate("navigator.clipboard.readText()")
        body = json.loads(curl.split(" -d '")[1].rstrip("'"))
        assert curl.startswith(f"curl {base}/v1/infill ") and body["template"] == template, curl
        reply = context.request.post(f"{base}/v1/infill", data=body).json()
        assert reply["choices"][0]["text"] == whole, (reply, whole)

        # Two settings side by side.
        page.locator("#compare").check()
        fill(page, panels=2)
        sides = [page.locator(".panel").nth(n).bounding_box() for n in (0, 1)]
        assert (sides[0]["y"] == sides[1]["y"]) == (width > 1000), sides
        found = page.evaluate(OVERLAPS)
        assert not found, found
        page.screenshot(path=folder / f"page-{width}-compared.png", full_page=True)
        page.locator("#compare").uncheck()

        # A mistake is said, and is none of the console's business but for the status that the browser notes itself.
        before = list(problems)
        page.locator("#template").fill("the [[x]]")
        page.get_by_role("button", name="Fill the holes").click()
        until(page, "document.getElementById('message').textContent.includes('template')")
        assert not page.evaluate(OVERLAPS), page.evaluate(OVERLAPS)
        page.locator("#template").fill(template)
        page.locator("#template").focus()
        # By keyboard alone, from the text to the button.
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "fill":
                break
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.panel[data-done]').length === 1")
        assert not before, before
        if motion == "reduce":
            style = page.locator(".token.written").first.evaluate("e => getComputedStyle(e).animationName")
            assert style == "none", style
        ink, back = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
        light = lambda rgb: sum(int(n) for n in rgb[4:-1].split(",")) / 3
        assert (light(ink) < light(back)) == (scheme == "light"), (ink, back)
        assert all(url.startswith(base) or url.startswith("data:") for url in asked), asked
        print(f"holds at {width} px, {scheme}")
        context.close()
    browser.close()
