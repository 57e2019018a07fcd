"""What holds for every command."""

import click
import pytest


def commands(app) -> dict[str, click.Command]:
    """The commands of the program by full name. `run`, `shell` and `routes` are those of Flask."""
    found = {}
    pending = [
        ((name,), command) for name, command in app.cli.commands.items() if name not in {"run", "shell", "routes"}
    ]
    while pending:
        path, command = pending.pop()
        if isinstance(command, click.Group):
            pending += [((*path, name), one) for name, one in command.commands.items()]
        else:
            found[" ".join(path)] = command
    return found


def test_tree_has_commands_that_users_rely_on(app):
    assert {
        "db upgrade",
        "db url",
        "db stop",
        "users add",
        "contacts sample",
        "contacts import",
        "export changes",
        "export list",
        "export show",
        "export retry",
        "export cancel",
        "hosts list",
        "hosts forget",
        "secrets rotate",
        "serve",
    } <= set(commands(app))


def test_help_of_every_command_shows_example(app, runner):
    for name in commands(app):
        shown = runner.invoke(args=[*name.split(), "--help"])
        assert shown.exit_code == 0, name
        assert "Example" in shown.output, name
        assert f"flask {name}" in shown.output, name


def test_every_option_has_help(app):
    silent = [
        f"{name} {option.opts[0]}"
        for name, command in commands(app).items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_every_listing_offers_json(app):
    lacking = [
        name
        for name, command in commands(app).items()
        if name.endswith(("list", "show")) and not any("--json" in option.opts for option in command.params)
    ]
    assert lacking == []


@pytest.mark.parametrize("arguments", [["export", "nothing"], ["export", "show"], ["export", "list", "--limit", "x"]])
def test_bad_usage_exits_with_2_and_names_help(runner, arguments):
    ended = runner.invoke(args=arguments)
    assert ended.exit_code == 2
    assert "--help" in ended.stderr
    assert "Traceback" not in ended.stderr
