"""Test what the part "My channel" shows if the niche of a channel is not known, and if no encoder can be loaded."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from accessibility import LOOKS, focused, scheme, violations
from browser import KEY

from thumblab_core.channel_imports.report import FittedChannel, ImportedVideos, ImportReport, ImportStep, ProposedNiche
from thumblab_core.keys.named_keys import OWN_KEY
from thumblab_serving.channels.export_store import ExportStore

NAME = "Content 2015-01-01_2026-11-01 My channel.csv"
READ = [ImportStep(name="reading exports", done=1, total=1)]
WHY = "Of the 5 channels of the lab with the most similar titles, 4 are in gaming."
UNKNOWN = "no niche of the lab has a video of 'My channel' yet; say with `niche` which niche the channel is in."
PROPOSED = ProposedNiche(niche="gaming", reason=WHY, searches=["minecraft", "speedrun"])
EMPTY = "The lab cannot propose a niche, because it has no titles that its title encoder has read."
NOTHING = ProposedNiche(niche=None, reason=EMPTY, searches=["limestone", "dry stone"])
NO_ENCODER = (
    "the image encoder ViT-L-14/openai could not be loaded (the hub https://huggingface.co cannot be reached: "
    "ConnectError); give a local checkpoint (THUMBLAB_IMAGE_ENCODER=open_clip:MODEL//path/to/file) or set "
    "THUMBLAB_IMAGE_ENCODER=builtin"
)


def failed(**more):
    return ImportReport(state="failed", updated_at=datetime.now(UTC), steps=READ, **more)


def without_niche(proposal):
    return failed(reason=f"{UNKNOWN} {proposal.reason}", needs="niche", proposal=proposal)


FITTED = FittedChannel(adapted=False, videos=3, left_out={}, compared=0, release="r", model="m", skill=None)
IMPORTED = ImportedVideos(
    channel_id="UCmy",
    title="My channel",
    niche="gaming",
    videos=3,
    new=3,
    left_out={},
    pictures=3,
    downloaded=3,
    without_picture=0,
    missing=[],
    with_ctr=3,
    library_needs=0,
    usual_ctr=None,
    refused=[],
    remarks=[],
    tables=[],
)


@pytest.fixture(scope="module")
def service(lab_at, run, migrated_database, tmp_path_factory):
    """A running service with a database and without a model."""
    lab = lab_at(tmp_path_factory.mktemp("lab"), database_url=migrated_database())
    with run(lab.settings, wait=False) as service:
        yield service


@pytest.fixture
def show(browser, service):
    """A function that opens the page while an import runs, and then lets the import end with a report."""
    store = ExportStore(service.app.state.settings)
    imports = []

    def end(report, reload=True):
        stored, _ = store.add([(NAME, b"")], OWN_KEY)
        imports.append(stored)
        stored.folder.write_report(ImportReport(state="running", updated_at=datetime.now(UTC), steps=READ))
        if not reload:
            browser.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            browser.wait("document.getElementById('learning').dataset.state === 'running'")
            stored.folder.write_report(report)
            browser.wait(f"document.getElementById('learning').dataset.state === '{report.state}'")
            return browser
        browser.open(f"{service.url}/#key={KEY}")
        browser.evaluate(f"sessionStorage.setItem('thumblab-channel-import', '{stored.folder.import_id}')")
        browser.click("nav a[href='#channel']")
        browser.wait("document.getElementById('learning').dataset.state === 'running'")
        stored.folder.write_report(report)
        browser.wait("document.getElementById('learning').dataset.state === 'failed'")
        return browser

    yield end
    browser.evaluate("sessionStorage.removeItem('thumblab-channel-import')")
    for stored in imports:
        store.remove(stored)


def hidden(page, name):
    return page.evaluate(f"document.getElementById('{name}').checkVisibility() === false")


def write(page, field, value):
    page.evaluate(
        f"(f => {{ f.value = {json.dumps(value)}; f.dispatchEvent(new Event('input', {{ bubbles: true }})); }})"
        f"(document.getElementById('niche-{field}'))"
    )


def test_the_proposed_niche_is_chosen_with_its_reason_and_a_person_can_choose_another(show):
    page = show(without_niche(PROPOSED))
    assert page.text("#learning-title") == "Which niche is your channel in?"
    assert page.text("#learning-now") == (
        f"{WHY} So Gaming is chosen above. If that is right, press the button again. If not, choose another niche first."
    )
    assert page.evaluate("document.getElementById('channel-niche').value") == "gaming"
    assert page.text("#channel-niche-why") == f"Proposed: {WHY}"
    assert focused(page) == "channel-niche"
    assert not page.evaluate("document.getElementById('learn').disabled")
    assert hidden(page, "niche-from-export"), "a niche that fits needs no new one"
    page.evaluate(
        "(menu => { menu.value = 'tech'; menu.dispatchEvent(new Event('change', { bubbles: true })); })"
        "(document.getElementById('channel-niche'))"
    )
    assert hidden(page, "channel-niche-why"), "the reason is not the reason of another niche"


def reload(page, service, first=""):
    """Load the page again after an import has ended. `first` is a script that runs before the service has answered."""
    begin = f"document.addEventListener('DOMContentLoaded', () => {{ {first} }})"
    script = page.call("Page.addScriptToEvaluateOnNewDocument", source=begin)["identifier"]
    page.open(f"{service.url}/#key={KEY}")
    page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    page.click("nav a[href='#channel']")
    page.wait("document.getElementById('learning').dataset.state === 'failed'")


def test_after_a_reload_the_proposed_niche_is_chosen_again_and_the_focus_stays(show, service):
    page = show(without_niche(PROPOSED))
    reload(page, service)
    assert page.text("#learning-now").startswith(f"{WHY} So Gaming is chosen above.")
    assert niche_in_form(page) == "gaming"
    assert page.text("#channel-niche-why") == f"Proposed: {WHY}"
    assert focused(page) != "channel-niche", "the focus must not move by itself"


def test_after_a_reload_a_niche_that_a_person_has_chosen_is_kept(show, service):
    page = show(without_niche(PROPOSED))
    reload(page, service, "document.getElementById('channel-niche').value = 'tech'")
    assert niche_in_form(page) == "tech"
    assert hidden(page, "channel-niche-why")
    assert page.text("#learning-now") == (
        f"{WHY} So the lab proposes Gaming. Choose it or another niche above, then press the button again."
    )


def niche_in_form(page):
    return page.evaluate("document.getElementById('channel-niche').value")


def test_a_proposed_niche_stays_for_its_export_but_not_for_another(show, tmp_path):
    own, other = tmp_path / NAME, tmp_path / "Content 2015-01-01_2026-11-01 Other.csv"
    for file in (own, other):
        file.write_text("Content,Video title\n")
    page = show(without_niche(PROPOSED))
    page.choose(own, field="#exports")
    page.wait("document.querySelectorAll('#exports-chosen li').length === 1")
    assert niche_in_form(page) == "gaming"
    page.click("#exports-chosen button")
    page.choose(other, field="#exports")
    page.wait("document.querySelectorAll('#exports-chosen li').length === 1")
    assert niche_in_form(page) == "", "another channel would be stored in this niche, or moved to it"
    assert hidden(page, "channel-niche-why")


def test_a_proposed_niche_is_not_kept_for_the_next_channel_after_an_import(show):
    page = show(without_niche(PROPOSED))
    assert niche_in_form(page) == "gaming"
    done = ImportReport(state="done", updated_at=datetime.now(UTC), steps=READ, imported=IMPORTED, fitted=FITTED)
    show(done, reload=False)
    page.wait("document.getElementById('channel-niche').value === ''")
    assert hidden(page, "channel-niche-why")


def test_a_reason_that_names_a_command_is_shown_without_it_and_as_a_sentence(show):
    reason = "Titles cannot be compared: the encoder could not be loaded; set THUMBLAB_TITLE_ENCODER=builtin."
    page = show(without_niche(ProposedNiche(niche=None, reason=reason, searches=[])))
    assert page.text("#learning-now") == (
        "Titles cannot be compared: the encoder could not be loaded. Choose the niche yourself, or make a new one."
    )


def test_a_lab_that_cannot_propose_says_so_and_a_new_niche_begins_with_words_of_the_titles(show, service):
    page = show(without_niche(NOTHING))
    assert page.text("#learning-now") == f"{EMPTY} Choose the niche yourself, or make a new one."
    assert page.evaluate("document.getElementById('channel-niche').value") == ""
    assert page.text("#channel-niche-why") == "No niche is proposed. Choose one, or make a new one below."
    page.click("#niche-from-export")
    assert page.evaluate("document.getElementById('niche-searches').value") == "limestone\ndry stone"
    write(page, "name", "stonework")
    for words in ("Add Stonework", None):
        page.click("#niche-send")
        if words:
            page.wait(f"document.getElementById('niche-send').textContent === '{words}'")
    page.wait("!document.getElementById('niche-dialog').open")
    assert page.evaluate("document.getElementById('channel-niche').value") == "stonework"
    assert page.text("#channel-niche-why") == "Stonework is added, and chosen for your channel."
    assert focused(page) == "channel-niche"
    stored = httpx.get(f"{service.url}/api/v1/niches", headers={"X-API-Key": KEY}, trust_env=False).json()["niches"]
    assert stored[-1]["searches"] == ["limestone", "dry stone"]


def test_without_a_library_the_form_says_that_nothing_can_be_proposed_and_asks_for_the_niche(
    browser, service, tmp_path
):
    export = tmp_path / NAME
    export.write_text("Content,Video title\n")
    browser.open(f"{service.url}/#key={KEY}")
    browser.click("nav a[href='#channel']")
    browser.wait("document.getElementById('channel-niche').options[0].textContent === 'Choose one'")
    assert browser.text("#channel-niche-none") == "The lab cannot propose a niche, because it has no library yet."
    browser.choose(export, field="#exports")
    browser.click("#learn")
    assert browser.text("#channel-problem").startswith("Choose the niche of your channel: the lab has no library yet")
    assert focused(browser) == "channel-niche"


def test_without_an_encoder_the_page_says_whom_to_ask_and_offers_no_comparison(show):
    page = show(failed(reason=NO_ENCODER, needs="encoder"))
    assert page.text("#learning-title") == "The lab could not learn your channel"
    assert page.text("#learning-now").startswith("Your videos are stored, but the lab cannot look at thumbnails yet")
    assert "THUMBLAB_IMAGE_ENCODER" not in page.text("#learning-now")
    assert "THUMBLAB_IMAGE_ENCODER=builtin" in page.text("#learning-operator")
    assert hidden(page, "compare-for-channel")
    assert hidden(page, "niche-from-export")
    assert not page.evaluate("document.getElementById('learn').disabled")


def test_if_a_first_model_fails_its_checks_the_page_says_what_helps_and_hides_the_figures(show):
    reason = (
        "the videos are imported, but the lab has no model that can be adapted to them: 66 held-out pairs; at least 100"
    )
    page = show(failed(reason=reason, needs="model"))
    assert page.text("#learning-now").startswith(
        "Your videos are stored, but the lab has no model yet, and what it learnt"
    )
    assert "66 held-out pairs" in page.text("#learning-operator")
    assert hidden(page, "compare-for-channel")


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_nothing_in_a_proposal_and_nothing_scrolls_sideways(show, width, dark):
    reports = {"proposed": without_niche(PROPOSED), "nothing": without_niche(NOTHING)}
    for what, report in (reports | {"encoder": failed(reason=NO_ENCODER, needs="encoder")}).items():
        page = show(report)
        scheme(page, dark)
        page.size(width)
        assert violations(page) == [], what
        assert page.evaluate("document.documentElement.scrollWidth") <= width, what
    page.call("Emulation.setEmulatedMedia", features=[])
    page.size(1280)
