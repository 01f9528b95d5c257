"""Run uv with the package index that pip is configured to use: `python .ci/uv.py pip install ...`.

uv reads neither pip's configuration files nor the variables PIP_*. Without these settings, uv would not find the
packages of a company's index or of a folder of wheels. A variable UV_* that is set already keeps its value.
"""

import ast
import os
import subprocess
import sys

_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
    "no-index": "UV_NO_INDEX",
}
"""For each option of pip, the environment variable of uv that has the same meaning. If an option has several values,
spaces separate them in the variable.
"""


def pip_options(listing: str) -> dict[str, str]:
    """Return the value of each option in the output of `pip config list`, by the name of the option.

    A line of the output looks like `global.index-url='https://...'`. The part before the dot is the section. If several
    lines set the same option, the order of their sections decides, as in pip: `install` overrides `global`, and an
    environment variable overrides both.
    """
    order = {"global": 0, "install": 1, ":env:": 2}
    found: list[tuple[int, str, str]] = []
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in order and value:
            found.append((order[section], option, str(ast.literal_eval(value))))
    return {option: " ".join(value.split()) for _, option, value in sorted(found, key=lambda item: item[0])}


def environment(listing: str, present: dict[str, str]) -> dict[str, str]:
    """Return the environment variables for uv.

    They are the variables in `present`, and the variables that follow from `listing`, the output of `pip config list`.
    """
    options = pip_options(listing)
    added = {variable: options[name] for name, variable in _VARIABLES.items() if options.get(name)}
    # pip compares the versions of a package in all indexes. By default, uv would use only the first index that has the
    # package.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_HTTP_TIMEOUT": "180"} | added | present


def main() -> int:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listing = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    uv = [sys.executable, "-m", "uv", *sys.argv[1:]]
    return subprocess.run(uv, env=environment(listing, dict(os.environ)), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
