"""README, CHANGELOG and docs/ speak of files and commands that exist."""

import configparser
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from contactexport import create_app

PROJECT = Path(__file__).parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(?P<text>.+)$", re.MULTILINE)
CODE_BLOCK = re.compile(r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`(?P<code>[^`]+)`")
ENDS_COMMAND = {"|", "&&", ">", "flask"}
OF_FLASK_ITSELF = {"run", "shell", "routes"}


@pytest.fixture(scope="module")
def commands() -> click.Group:
    return create_app().cli


def page_id(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def prose(page: Path) -> str:
    return CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What a heading is linked by: lower case, no punctuation, hyphens for spaces."""
    headings = (match["text"] for match in HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_lines(page: Path) -> Iterator[str]:
    """Shell blocks by logical lines, and inline code."""
    for block in CODE_BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["language"] == "sh":
            yield from block["code"].replace("\\\n", " ").splitlines()
    yield from (" ".join(match["code"].split()) for match in INLINE_CODE.finditer(prose(page)))


def shell_words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quote that is closed on a later line
        return line.split()


def mentioned_commands(page: Path) -> Iterator[list[str]]:
    """The words behind each `flask`, up to the end of its command."""
    for line in code_lines(page):
        words = shell_words(re.sub(r'["$()]', " ", line))
        for position, word in enumerate(words):
            if word == "flask":
                yield list(itertools.takewhile(lambda one: one not in ENDS_COMMAND, words[position + 1 :]))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_relative_link_leads_somewhere(page: Path):
    targets = [match["target"] for match in LINK.finditer(prose(page))]
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(linked), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_flask_command_exists_with_its_options(page: Path, commands: click.Group):
    for words in mentioned_commands(page):
        command, context = commands, click.Context(commands)
        while isinstance(command, click.Group) and words and re.fullmatch("[a-z]+", words[0]):
            name = words.pop(0)
            if command is commands and name in OF_FLASK_ITSELF:
                break
            found = command.get_command(context, name)
            assert found is not None, f"no command {name!r} of {command.name!r}"
            command = found
        known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in known | {"--help"}, f"{command.name}: no option {word}"


def test_every_decision_is_in_the_index():
    folder = PROJECT / "docs" / "decisions"
    linked = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in folder.glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize("page", sorted(PROJECT.glob("docs/decisions/[a-z]*.md")), ids=page_id)
def test_a_decision_is_a_page_of_at_most_forty_lines(page: Path):
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 40


def test_every_direct_dependency_is_explained():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    listed = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    names = re.findall(r"^([A-Za-z][\w.-]*)", "\n".join(listed), re.MULTILINE)
    page = (PROJECT / "docs" / "decisions" / "dependencies.md").read_text(encoding="utf-8")
    explained = {name.strip() for row in re.findall(r"^\| ([^|*]+) \|", page, re.MULTILINE) for name in row.split(",")}
    assert sorted(names) == sorted(explained - {"package", "---"})


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-bench.txt"])
def test_every_requirement_has_a_version_and_hashes(name: str):
    text = (PROJECT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(requirements) > 50
    assert [line for line in requirements if not re.match(r"\S+==\S+( +--hash=sha256:[0-9a-f]{64})+ *$", line)] == []
