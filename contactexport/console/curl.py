"""The request of a form as commands for a shell. They ask for secrets, and no secret is in them."""

import json
import secrets
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def command(url: str, body: Mapping[str, Any], asked_for: Mapping[str, Sequence[str]]) -> str:
    """Lines for bash or zsh that send the body to the URL. `asked_for`: the paths of secrets in the body, by variable.

    The lines are one command, so that a shell has read all of them before it asks. A secret goes through a pipe and
    never into the arguments of a program, which other users of the machine can see.
    """
    mark = secrets.token_hex(16)
    filled = json.loads(json.dumps(body))
    for variable, path in asked_for.items():
        place = filled
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = f"{mark}{variable}{mark}"
    text = json.dumps(filled)  # ASCII only, for terminals of any kind
    parts = text.split(mark)
    words = [f'"${part}"' if number % 2 else shlex.quote(part) for number, part in enumerate(parts)]
    lines = []
    for variable in asked_for:
        if variable.endswith("PRIVATE_KEY"):  # it has several lines
            lines += [
                f"printf 'file with the {variable}: ' && IFS= read -r {variable} &&",
                f'{variable}=$(awk \'{{printf "%s\\\\n", $0}}\' "${variable}") &&',
            ]
            continue
        lines += [
            f"printf '{variable}: ' && IFS= read -rs {variable} && echo &&",
            f'{variable}=$(printf %s "${variable}" | sed \'s/[\\\\"]/\\\\&/g\') &&',
        ]
    sent = [f"printf %s {' '.join(words)} |"] if asked_for else []
    data = "--data-binary @-" if asked_for else f"--data-binary {shlex.quote(text)}"
    lines += [
        *sent,
        '  curl -sS -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\',
        f"    {data} {shlex.quote(url)}",
    ]
    return "\n".join(lines)
