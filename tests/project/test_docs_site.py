"""The documentation: it builds, its links and anchors exist, its code and commands are valid, its tables are complete."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import typer
import yaml

from autocard import AutoCardCallback
from autocard.cli import app
from autocard.settings import Settings
from autocard.settings.values import READERS
from support import ROOT

toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "RELEASING.md",
    ROOT / "SECURITY.md",
    ROOT / "examples" / "README.md",
    ROOT / "examples" / "slurm" / "README.md",
    *sorted([*DOCS.glob("*.md"), *DOCS.glob("dev/*.md")]),
]
FOR_USERS = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^( *)```([\w-]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
OURS = re.compile(
    r"https://(?:github\.com/autocard-project/autocard/(?:blob|tree)|"
    r"raw\.githubusercontent\.com/autocard-project/autocard)/main/([^#]+)(?:#(.+))?"
)

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documents are not beside the tests")


def ids(pages):
    return [page.relative_to(ROOT).as_posix() for page in pages]


def blocks(page, *languages):
    text = page.read_text(encoding="utf-8")
    return [code for _, language, code in BLOCK.findall(text) if language in languages]


def anchors(page):
    """Return the anchors of the headings of *page*, as GitHub and mkdocs make them."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+?)(?: \{#[\w-]+\})?$", text, flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s", "-", heading) for heading in plain} | {
        re.sub(r"[\s-]+", "-", heading) for heading in plain
    }


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_each_link_of_a_page_leads_to_a_file_and_a_heading_that_exist(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]+`", "", text)

    broken = []
    for first, second in LINK.findall(text):
        target = first or second
        ours = OURS.fullmatch(target)
        if target.startswith(("http", "mailto")) and not ours:
            continue
        name, _, anchor = target.partition("#")
        there = ROOT / ours[1] if ours else (page.parent / name if name else page)
        anchor = (ours[2] or "") if ours else anchor
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)

    assert broken == []


@pytest.mark.parametrize("page", FOR_USERS, ids=ids(FOR_USERS))
def test_python_on_the_users_pages_is_valid_and_uses_names_and_settings_that_exist(page):
    settings = inspect.signature(AutoCardCallback).parameters

    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autocard"):
                module = importlib.import_module(node.module)
                assert [one.name for one in node.names if not hasattr(module, one.name)] == []
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("AutoCardCallback", "autocard.attach")
            ):
                given = {word.arg for word in node.keywords if word.arg}
                assert given <= settings.keys(), code


@pytest.mark.parametrize("page", FOR_USERS, ids=ids(FOR_USERS))
def test_data_on_the_users_pages_is_valid(page):
    for code in blocks(page, "toml"):
        settings = toml.loads(code).get("tool", {}).get("autocard", {})
        assert settings.keys() <= {field.name for field in dataclasses.fields(Settings)}
    for code in blocks(page, "yaml"):
        assert list(yaml.safe_load_all(code))
    for code in blocks(page, "json"):
        assert json.loads(code)


def command_lines(page):
    """Return the command lines of autocard in the blocks of *page*, split into words."""
    found = []
    for code in blocks(page, "", "bash", "console"):
        for line in code.splitlines():
            words = line.removeprefix("$ ")
            if re.match(r"autocard [a-z]+( |$)", words):
                found.append(shlex.split(re.split(r"  +|#", words)[0])[1:])
    inline = re.findall(r"`autocard ([a-z]+[^`\n]*)`", page.read_text(encoding="utf-8"))
    return found + [shlex.split(words) for words in inline]


@pytest.mark.parametrize("page", FOR_USERS, ids=ids(FOR_USERS))
def test_commands_on_the_users_pages_exist_and_take_the_options_that_are_shown(page):
    group = typer.main.get_command(app)

    for words in command_lines(page):
        command = group.get_command(None, words[0])
        assert command is not None, words
        known = {name for option in command.params for name in option.opts}
        shown = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert shown <= known | {"--help"}, words


def test_the_page_of_settings_has_each_setting_once_with_its_default():
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (not set|`[^|]+`) \|", text, flags=re.MULTILINE)
    settings = {one.name: one for one in dataclasses.fields(Settings) if one.name in READERS}

    told = dict(rows)

    assert len(told) == len(rows)
    assert sorted(told) == sorted(settings)
    for name, words in told.items():
        default = settings[name].default
        empty = default in (None, (), dataclasses.MISSING)
        assert words == "not set" if empty else ast.literal_eval(words.strip("`")) == default, name


def test_the_page_of_settings_has_each_fact():
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    labels = yaml.safe_load((ROOT / "templates" / "labels.yaml").read_text(encoding="utf-8"))

    rows = re.findall(r"^\| `(\w+)` \|", text[text.index("## Facts") :], flags=re.MULTILINE)

    assert rows == list(labels["facts"])


def test_the_page_of_commands_has_each_command_and_option():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    group = typer.main.get_command(app)

    for name in group.list_commands(None):
        options = {option for one in group.get_command(None, name).params for option in one.opts}
        part = re.search(rf"(?ms)^## autocard {name}$(.*?)(?=^## |\Z)", text)
        assert part is not None, name
        assert [one for one in options if one.startswith("-") and f"`{one}" not in part[1]] == []


def test_the_generated_parts_are_what_the_code_makes_of_them_today():
    command = [sys.executable, str(DOCS / "make_pages.py"), "--check"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"run: python docs/make_pages.py\n{done.stdout}{done.stderr}"


RIDDLES = re.compile(
    r"\b(somebody|nobody|whoever|whose else|anew|silent|heard|tells of|is told|of ours|our card|modelled|licence|centre|behaviour)\b"
)


WRITTEN = [page for page in FOR_USERS if page.name != "settings_errors.md"]  # it quotes mistakes


@pytest.mark.parametrize("page", WRITTEN, ids=ids(WRITTEN))
def test_the_users_pages_are_in_plain_american_english(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(r"(?s)<!-- made: .*?<!-- end -->|`[^`\n]+`", "", text)

    assert RIDDLES.findall(text) == []


def test_security_and_questions_name_the_same_uses_of_the_network():
    named = []
    for page in (ROOT / "SECURITY.md", DOCS / "faq.md"):
        text = page.read_text(encoding="utf-8")
        listed = re.search(
            r"(?s)network.*?\n\n((?:- .*?\n(?:  .*\n)*)+)", text[text.index("network") :]
        )
        named.append(
            [re.split(r"[:,.]", line)[0] for line in re.findall(r"(?m)^- (.*)$", listed[1])]
        )

    assert named[0] == named[1]


# -- the site ----------------------------------------------------------------------------------


class Fetched(HTMLParser):
    """Collects what a browser fetches by itself when it shows a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses += [attrs.get("src") or "", attrs.get("srcset") or ""]
        if tag == "link" and "stylesheet" in (attrs.get("rel") or ""):
            self.addresses.append(attrs.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material", reason="mkdocs-material is not installed (extra docs)")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_builds_without_a_warning_and_has_each_page(site):
    for page in (*DOCS.glob("*.md"), *DOCS.glob("dev/*.md")):
        name = page.relative_to(DOCS).with_suffix("").as_posix()
        assert (site / (name if name != "index" else "") / "index.html").is_file(), name
    assert list(site.rglob("*.py")) == []


def test_a_page_of_the_site_fetches_nothing_from_another_host(site):
    for page in site.rglob("*.html"):
        fetched = Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        assert [one for one in fetched.addresses if one.startswith(("http", "//"))] == [], page


@pytest.mark.parametrize("page", FOR_USERS, ids=ids(FOR_USERS))
def test_no_heading_of_a_page_skips_a_level(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]

    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
