"""Test what the page shows at the first visit, and before the lab can rank anything."""

from browser import KEY, fill


def forget_visits(browser):
    browser.evaluate("localStorage.clear()")


def test_the_first_visit_explains_the_page_and_later_visits_do_not(browser, service, files):
    browser.open(service.url)
    forget_visits(browser)
    browser.open(service.url)
    assert browser.evaluate("document.getElementById('welcome').open")
    words = browser.text("#welcome")
    assert "A niche is a topic" in words
    browser.wait("document.getElementById('libraries').textContent !== ''")
    assert browser.text("#libraries") == "This lab has a library of: Tech."
    fill(browser, service, *files[:2])
    browser.open(service.url)
    assert not browser.evaluate("document.getElementById('welcome').open")
    browser.click("#welcome summary")
    assert browser.evaluate("document.getElementById('welcome').open"), "the introduction must be available again"


def test_the_niches_without_a_library_are_named_in_the_menu(browser, service):
    browser.open(service.url)
    browser.wait("document.querySelector('#niche option:nth-child(2)').textContent.includes('library')")
    options = browser.texts("#niche option")
    assert options[0] == "Tech"
    assert options[1:] == [
        f"{name} (no library yet)" for name in ("Gaming", "Education", "Entertainment", "People", "Beauty", "News")
    ]


def test_the_page_begins_with_a_niche_that_has_a_library(browser, new_lab, run):
    lab = new_lab()
    lab.promote(lab.index("gaming"))
    lab.promote(lab.model(niches=("gaming",)))
    with run(lab.settings) as service:
        browser.open(service.url)
        browser.wait("document.getElementById('niche').value === 'gaming'")


def test_an_empty_lab_names_the_missing_parts_and_the_shortest_way_and_notices_new_ones(browser, new_lab, run, files):
    lab = new_lab()
    with run(lab.settings, wait=False) as service:
        browser.open(f"{service.url}/#key={KEY}")
        browser.wait("!document.getElementById('setup').hidden")
        browser.wait("document.querySelectorAll('#setup-steps .done').length === 1")
        missing = browser.texts("#setup-steps .open")
        assert len(missing) == 2
        assert "library of at least one niche" in missing[0]
        assert "ranking model" in missing[1]
        way = browser.text("#setup-way")
        for command in ("make up ARGS=--demo", "thumblab import FOLDER --serve", "THUMBLAB_YOUTUBE_API_KEY"):
            assert command in way
        browser.choose(*files[:2])
        assert browser.count("#stage .yours img") == 1, "the pictures must be shown before they can be ranked"
        browser.evaluate("document.getElementById('title').value = 't'; document.getElementById('go').click()")
        browser.wait("!document.getElementById('problem').hidden")
        assert browser.text("#problem") == "No ranking model is served yet."
        lab.promote(lab.index("tech"))
        lab.promote(lab.model())
        browser.wait("document.getElementById('setup').hidden", seconds=60)
        browser.click("#go")
        browser.wait("!document.getElementById('result').hidden")


def test_the_lab_shows_what_is_served_since_when_and_what_is_missing(browser, service, lab):
    browser.open(f"{service.url}/#lab")
    browser.wait("document.querySelectorAll('#lab-releases tr').length === 8")
    assert browser.evaluate("document.getElementById('view-compare').hidden")
    rows = browser.evaluate("""[...document.querySelectorAll('#lab-releases tr')]
        .map(row => [...row.cells].map(cell => cell.textContent))""")
    served = {name: (state, release) for name, state, _, release in rows}
    health = service.health()
    assert served["Ranking model"] == ("Served.", health["model"]["release"])
    assert served["Library of Tech"] == ("Served.", health["indices"]["tech"]["release"])
    assert served["Library of Beauty"] == ("None yet.", "–")
    assert str(browser.evaluate("new Date().getFullYear()")) in rows[0][2]
    assert "thumblab models pull" in browser.text("#lab-facts")
    browser.size(320)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 320
    browser.size(1280)
