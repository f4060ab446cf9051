//! The page in a real browser, by keyboard.
use super::browser::Browser;
use super::synthetic::{Synthetic, beam, long, realistic};
use egss::report::{RunView, html};
use std::path::PathBuf;
use tempfile::TempDir;

fn page(record: &Synthetic) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    std::fs::write(&path, html(&RunView::new(record.lines()))).unwrap();
    (dir, path)
}

/// Tabs to the tree, at most so often; then its first step has the focus.
const TABS_MAX: usize = 40;

fn focus_tree(browser: &mut Browser) {
    for _ in 0..TABS_MAX {
        browser.press("Tab");
        if browser.eval("document.activeElement.matches('svg a.step')") == true {
            return;
        }
    }
    panic!("the tree is out of the keyboard's reach");
}

#[test]
fn a_step_opens_by_keyboard_and_escape_goes_back_to_the_tree() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (_dir, path) = page(&realistic());
    browser.open(&path, "");
    assert_eq!(
        browser.eval("document.querySelectorAll('svg a.step').length"),
        11
    );
    assert_eq!(
        browser.eval("document.querySelectorAll('details.step[open]').length"),
        0
    );
    focus_tree(&mut browser);
    let at = "document.activeElement.getAttribute('href')";
    assert_eq!(browser.eval(at), "#s0");
    browser.press("ArrowRight");
    browser.press("ArrowRight");
    assert_eq!(browser.eval(at), "#s2");
    browser.press("ArrowDown");
    assert_eq!(browser.eval(at), "#s3", "the branch below");
    browser.press("ArrowUp");
    browser.press("Enter");
    assert_eq!(browser.eval("location.hash"), "#s2");
    assert_eq!(
        browser.eval("document.activeElement.closest('details').id"),
        "s2"
    );
    let shown = browser.eval("document.getElementById('s2').innerText");
    let shown = shown.as_str().unwrap();
    for part in [
        "Thought",
        "The day itself is left out.",
        "Action",
        "if entry.day <= day:",
        "Observation",
        "The text to replace was not found.",
        "Siblings, as the judge scored them",
        "Tool distribution",
        "Most uncertain",
    ] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    let coloured = "document.querySelectorAll('#s2 .tokens b[class^=h]').length > 3";
    assert_eq!(browser.eval(coloured), true);
    browser.press("Escape");
    assert_eq!(browser.eval(at), "#s2");
    // The same step once more: the hash does not change.
    browser.eval("document.getElementById('s2').open = false; 0");
    browser.press("Enter");
    assert_eq!(browser.eval("document.getElementById('s2').open"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_deep_link_opens_its_step_and_what_it_lies_in() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    // So many steps that other branches are closed at first.
    let (_dir, path) = page(&long(80));
    browser.open(&path, "");
    let closed = "document.querySelector('details.branch:not([open]) details.step').id";
    let id = browser.eval(closed);
    let id = id.as_str().unwrap();
    browser.open(&path, &format!("#{id}"));
    let step = format!("document.getElementById('{id}')");
    assert_eq!(browser.eval(&format!("{step}.open")), true);
    assert_eq!(
        browser.eval(&format!("{step}.closest('details.branch').open")),
        true
    );
    // Set once the browser has made its own jump to the fragment.
    browser.eval("new Promise(r => setTimeout(r, 50)).then(() => 0)");
    let focused = format!("{step}.contains(document.activeElement)");
    assert_eq!(browser.eval(&focused), true);
    let in_view =
        format!("(r => r.top >= 0 && r.top < innerHeight)({step}.getBoundingClientRect())");
    assert_eq!(browser.eval(&in_view), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// WCAG 2.2, success criterion 1.4.3, for text of ordinary size.
const CONTRAST_MIN: f64 = 4.5;

/// The lowest contrast of any text against the background behind it, and where.
const LOWEST_CONTRAST: &str = r#"(() => {
  const parse = (c) => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  for (const details of document.querySelectorAll("details")) details.open = true;
  let lowest = [99, ""];
  for (const at of document.querySelectorAll("body :not(svg, svg *, script)")) {
    if (![...at.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    let back = at, opacity = 1;
    for (let up = at; up; up = up.parentElement) opacity *= Number(getComputedStyle(up).opacity);
    while (back && parse(getComputedStyle(back).backgroundColor)[3] === 0) back = back.parentElement;
    const behind = parse(getComputedStyle(back ?? document.body).backgroundColor);
    const ink = parse(getComputedStyle(at).color).map((v, i) => v * opacity + behind[i] * (1 - opacity));
    const [a, b] = [light(ink.slice(0, 3)), light(behind.slice(0, 3))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < lowest[0]) lowest = [contrast, at.className + ": " + at.textContent.slice(0, 40)];
  }
  return lowest;
})()"#;

#[test]
fn both_schemes_can_be_read_and_differ() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    for record in [realistic(), beam()] {
        let (_dir, path) = page(&record);
        let mut pages = Vec::new();
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            browser.open(&path, "");
            pages.push(browser.eval("getComputedStyle(document.body).backgroundColor"));
            let lowest = browser.eval(LOWEST_CONTRAST);
            let contrast = lowest[0].as_f64().unwrap();
            assert!(contrast >= CONTRAST_MIN, "{scheme}: {lowest}");
        }
        assert_ne!(pages[0], pages[1]);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_narrow_page_scrolls_down_only() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (_dir, path) = page(&realistic());
    browser.resize(390, 800);
    browser.open(&path, "#s2");
    browser.eval("for (const d of document.querySelectorAll('details')) d.open = true; 0");
    let beyond = "(e => e.scrollWidth - e.clientWidth)(document.documentElement)";
    assert_eq!(browser.eval(beyond), 0);
}

#[test]
fn a_thousand_steps_are_drawn_and_open_one_by_one() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (_dir, path) = page(&long(1_000));
    browser.open(&path, "");
    assert_eq!(
        browser.eval("document.querySelectorAll('svg a.step').length"),
        1_000
    );
    assert_eq!(
        browser.eval("document.querySelectorAll('details.step').length"),
        1_000
    );
    focus_tree(&mut browser);
    browser.press("ArrowRight");
    browser.press("Enter");
    assert_eq!(browser.eval("document.getElementById('s1').open"), true);
    // What no one looks at is not laid out.
    let skipped = "getComputedStyle(document.querySelector('.branch')).contentVisibility";
    assert_eq!(browser.eval(skipped), "auto");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn branches_that_left_an_action_in_its_midst_are_marked_there() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (_dir, path) = page(&beam());
    browser.open(&path, "");
    // Two branches left step 1 at different tokens, later steps left their own.
    let at = "[...document.querySelectorAll('.canvas .seam')].map(s => Math.round(s.getBBox().x))";
    let places = browser.eval(at);
    let places: Vec<i64> = places
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|x| x.as_i64())
        .collect();
    assert!(places.len() >= 3, "{places:?}");
    let mut distinct = places.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() >= 3, "{places:?}");
    assert_eq!(
        browser.eval("document.querySelectorAll('.canvas .cut').length"),
        1
    );
    let text = browser.eval("document.getElementById('selection').innerText");
    assert!(text.as_str().unwrap().contains("sceptic, T = 1"));
}
