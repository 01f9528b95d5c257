"""A fixture that the tests of answers share."""

import pytest


@pytest.fixture(scope="module")
def changing(lab_at, run, tmp_path_factory):
    """A running service with a lab of its own. A test may promote other releases in this lab."""
    lab = lab_at(tmp_path_factory.mktemp("changing"))
    lab.promote(lab.index("tech"))
    lab.promote(lab.model())
    with run(lab.settings) as service:
        service.lab = lab
        yield service
