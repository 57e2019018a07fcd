"""README, CHANGELOG and docs/ name only files and commands that exist."""

import configparser
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from contactexport import create_app

PROJECT = Path(__file__).parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob(".github/**/*.md")])
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(?P<text>.+)$", re.MULTILINE)
CODE_BLOCK = re.compile(r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`(?P<code>[^`]+)`")
ENDS_COMMAND = {"|", "&&", ">", "flask"}
OF_FLASK_ITSELF = {"run", "shell", "routes"}
MAKE_TARGET = re.compile(r"^\s*make ([a-z]+)")
SOURCE_FOLDERS = ("contactexport", "tests", "benchmarks", "config", "docs", "examples", "ops")
SOURCE_PATH = re.compile(rf"(?:{'|'.join(SOURCE_FOLDERS)})/[\w./*-]*|[\w./*-]+\.(?:py|sql)")
PINNED = re.compile(r"\S+==\S+( +--hash=sha256:[0-9a-f]{64})+ *$")


def page_name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def prose(page: Path) -> str:
    return CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of the headings: lower case, no punctuation, hyphens for spaces."""
    headings = (match["text"] for match in HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_lines(page: Path) -> Iterator[str]:
    """The logical lines of shell blocks, and inline code."""
    for block in CODE_BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["language"] == "sh":
            yield from block["code"].replace("\\\n", " ").splitlines()
    yield from (" ".join(match["code"].split()) for match in INLINE_CODE.finditer(prose(page)))


def shell_words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quote that ends on a later line
        return line.split()


def mentioned_commands(page: Path) -> Iterator[list[str]]:
    """The words after each `flask`, up to the end of the command."""
    for line in code_lines(page):
        words = shell_words(re.sub(r'["$()]', " ", line))
        for position, word in enumerate(words):
            if word == "flask":
                yield list(itertools.takewhile(lambda one: one not in ENDS_COMMAND, words[position + 1 :]))


def mentioned_targets(page: Path) -> Iterator[str]:
    for line in code_lines(page):
        yield from MAKE_TARGET.findall(line)


def mentioned_paths(page: Path) -> Iterator[str]:
    """Inline code that is a path of the project, or the end of one, such as `db/connection.py`."""
    for match in INLINE_CODE.finditer(prose(page)):
        if path := SOURCE_PATH.fullmatch(match["code"]):
            yield path[0]


def is_in_project(path: str) -> bool:
    return any(any(PROJECT.glob(pattern)) for pattern in (path, *(f"{one}/**/{path}" for one in SOURCE_FOLDERS)))


def broken_links(page: Path) -> Iterator[str]:
    for match in LINK.finditer(prose(page)):
        path, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists():
            yield f"{page_name(page)}: {match['target']} does not exist"
        elif anchor and anchor not in anchors(linked):
            yield f"{page_name(page)}: {match['target']}: no such heading"


def wrong_words(words: list[str], commands: click.Group) -> Iterator[str]:
    """What is wrong with the words after `flask`: an unknown command or unknown options."""
    command, context = commands, click.Context(commands)
    while isinstance(command, click.Group) and words and re.fullmatch("[a-z]+", words[0]):
        name, *words = words
        if command is commands and name in OF_FLASK_ITSELF:
            return
        found = command.get_command(context, name)
        if found is None:
            yield f"no command {name!r} of {command.name!r}"
            return
        command = found
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    options = (word.partition("=")[0] for word in words if word.startswith("--"))
    yield from (f"{command.name}: no option {option}" for option in options if option not in known | {"--help"})


def test_every_relative_link_has_a_target():
    assert [broken for page in PAGES for broken in broken_links(page)] == []


def test_every_flask_command_exists_with_its_options():
    commands = create_app().cli
    wrong = [
        f"{page_name(page)}: {reason}"
        for page in PAGES
        for words in mentioned_commands(page)
        for reason in wrong_words(words, commands)
    ]
    assert wrong == []


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    mentioned = {(page_name(page), target) for page in PAGES for target in mentioned_targets(page)}
    assert sorted((page, target) for page, target in mentioned if target not in targets) == []


def test_every_source_path_exists():
    mentioned = {(page_name(page), path) for page in PAGES for path in mentioned_paths(page)}
    assert sorted((page, path) for page, path in mentioned if not is_in_project(path)) == []


def test_architecture_shows_every_package_of_the_layers():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    layers = set(re.findall(r"\w+", setup["importlinter:contract:layers"]["layers"]))
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = next(block["code"] for block in CODE_BLOCK.finditer(page) if "flowchart" in block["code"])
    shown = {name for line in picture.splitlines() if "-->" in line for name in re.findall(r"\w+", line)}
    assert shown == layers


def test_every_decision_is_in_the_index():
    folder = PROJECT / "docs" / "decisions"
    linked = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in folder.glob("*.md")} - {"README.md"} <= linked


def test_every_decision_has_at_most_forty_lines():
    decisions = PROJECT.glob("docs/decisions/[a-z]*.md")
    lines = {page_name(page): len(page.read_text(encoding="utf-8").splitlines()) for page in decisions}
    assert {page: count for page, count in lines.items() if count > 40} == {}


def test_every_direct_dependency_is_explained():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    listed = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    names = re.findall(r"^([A-Za-z][\w.-]*)", "\n".join(listed), re.MULTILINE)
    pages = (PROJECT / "docs" / "decisions").glob("dependencies*.md")
    page = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    explained = {name.strip() for row in re.findall(r"^\| ([^|*]+) \|", page, re.MULTILINE) for name in row.split(",")}
    assert sorted(names) == sorted(explained - {"package", "---"})


def test_every_requirement_has_a_version_and_hashes():
    for name in ("requirements.txt", "requirements-bench.txt"):
        text = (PROJECT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        requirements = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        assert len(requirements) > 50, name
        assert [line for line in requirements if not PINNED.match(line)] == [], name


def test_indexes_to_create_before_an_upgrade_are_those_of_the_migrations():
    made = re.compile(r"CREATE INDEX (?:CONCURRENTLY )?IF NOT EXISTS (export_\w+ ON [^;]+);")
    versions = PROJECT / "contactexport" / "db" / "migrations" / "versions"
    migrations = "\n".join(path.read_text(encoding="utf-8") for path in sorted(versions.glob("*.sql")))
    text = (PROJECT / "docs" / "growth.md").read_text(encoding="utf-8")
    wanted, told = ([" ".join(one.split()) for one in made.findall(found)] for found in (migrations, text))
    assert told == [one.replace("{schema}.", "") for one in wanted]
    assert len(told) == 5
