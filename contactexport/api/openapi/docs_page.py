"""The content of the page /docs, from the OpenAPI document: one record per operation, one row per value."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from contactexport.api.openapi.schema_nodes import Node, Row, example_of, json_text, rows
from contactexport.api.request_form import FORM

ENVELOPE = {"replyCode", "replyText"}
FILE = """\
user_id,First Name,E-Mail,last update
17,Anna,anna@example.com,2012-02-09 08:15:02
23,Ben,ben@example.com,2012-03-28 19:40:11
"""
# Operations that share at least so many rows list them once.
WORTH_A_REFERENCE = 5


@dataclass(frozen=True)
class Rows:
    """The rows that only this operation has. `like` is the operation that lists the rest, less those in `without`."""

    own: Sequence[Row]
    is_list: bool = False
    like: "Operation | None" = None
    without: Sequence[str] = ()


@dataclass
class Operation:
    """One operation. Examples are texts. `to_try` is the body to begin with, without a host to upload to.

    `errors` are pairs of status and component name. `others` are further ways to the same answer.
    """

    id: str
    tag: str
    method: str
    path: str
    summary: str
    description: str
    takes_token: bool
    media_type: str
    request: Rows
    request_example: str
    to_try: str
    answer: Rows
    answer_example: str
    errors: list[tuple[str, str]]
    others: "list[Operation]" = field(default_factory=list)

    @property
    def inputs(self) -> list[Row]:
        """The parameters in paths and queries, those of the other ways included."""
        found = [row for one in (self, *self.others) for row in one.request.own if row.where != "body"]
        return list({row.name: row for row in found}.values())


def operations(document: Node) -> list[Operation]:
    """Returns the operations in the order of the document. Each path and each row is in one of them."""
    listed: list[Operation] = []
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            operation = _operation(document, path, method, described)
            base = next((one for one in listed if _is_way_to(one, operation)), None)
            (base.others if base else listed).append(operation)
    complete = [(one, one.request.own, one.answer) for one in listed]
    described = [(one, answer.own) for one, _, answer in complete if one.method == "GET" and not answer.is_list]
    for number, operation in enumerate(listed):
        earlier = [(one, request) for one, request, _ in complete[:number]]
        operation.request = _listed_once(operation.request, earlier)
        # A reader looks for the values of an export where its status is, not in the list of exports.
        position = next((place for place, (one, _) in enumerate(described) if one is operation), None)
        operation.answer = _listed_once(operation.answer, described[:position])
    return listed


def _operation(document: Node, path: str, method: str, described: Node) -> Operation:
    media_type, body = next(iter(described.get("requestBody", {"content": {"": {}}})["content"].items()))
    replies = described["responses"]
    answered, answer = next(iter(replies["200"]["content"].items()))
    parameters = [
        Row(one["name"], one["schema"]["type"], one["required"], one["description"], one["example"], one["in"])
        for one in described.get("parameters", [])
    ]
    values = [row for row in rows(document, answer["schema"]) if row.name not in ENVELOPE]
    example = body.get("example")
    local = example and {name: value for name, value in example.items() if name != "ftp_settings"}
    if local and "ftp_settings" in example:
        local["distribution_method"] = "local"
    return Operation(
        id=described["operationId"],
        tag=described["tags"][0],
        method=method.upper(),
        path=path,
        summary=described["summary"],
        description=described["description"],
        takes_token="security" not in described,
        media_type=media_type,
        request=Rows([*parameters, *rows(document, body.get("schema", {}))]),
        request_example=_body(example, media_type),
        to_try=_body(local, media_type),
        answer=Rows(
            [
                replace(row, name=row.name.removeprefix("data").removeprefix("[]").removeprefix("."))
                for row in values
                if row.name != "data" or not row.type.endswith(("object", "any"))
            ],
            is_list=any(row.name.startswith("data[].") for row in values),
        ),
        answer_example=json_text(answer.get("example") or example_of(document, answer["schema"]))
        if "json" in answered
        else FILE,
        errors=sorted((status, one["$ref"].rpartition("/")[2]) for status, one in replies.items() if "$ref" in one),
    )


def _is_way_to(base: Operation, other: Operation) -> bool:
    """True for a path below that of `base` with the same answer, such as fields in a language."""
    below = other.method == base.method == "GET" and other.path.startswith(f"{base.path}/")
    return below and (other.answer, other.answer_example) == (base.answer, base.answer_example)


def _listed_once(found: Rows, candidates: Sequence[tuple[Operation, Sequence[Row]]]) -> Rows:
    """Returns the rows with a reference to the first candidate that lists most of them."""
    for operation, listed in candidates:
        own = [row for row in found.own if row not in listed]
        without = [row.name for row in listed if row not in found.own and row.where == "body"]
        if len(found.own) - len(own) >= WORTH_A_REFERENCE and len(without) < len(found.own):
            return Rows(own, found.is_list, operation, without)
    return found


def _body(example: Any, media_type: str) -> str:
    if not example:
        return ""
    return urlencode(example) if media_type == FORM else json_text(example)
