"""The answers about catalogue, account and contacts, as marshmallow schemas for the OpenAPI document."""

from marshmallow import Schema, fields

from contactexport.api.response_schemas import Envelope


class ContactField(Schema):
    """A field of the catalogue."""

    id = fields.Integer(required=True, metadata={"example": 1})
    name = fields.String(required=True, metadata={"example": "First Name"})
    application_type = fields.String(required=True, metadata={"example": "shorttext"})
    string_id = fields.String(
        required=True,
        metadata={"description": "the name of a system field in the original, else empty", "example": "first_name"},
    )


class ContactFieldsReply(Envelope):
    """The answer of field."""

    data = fields.List(fields.Nested(ContactField), required=True)


class Choice(Schema):
    """A choice of a field."""

    id = fields.String(required=True, metadata={"example": "1"})
    choice = fields.String(required=True, metadata={"description": "its label", "example": "Male"})


class ChoicesReply(Envelope):
    """The answer of field/{field_id}/choice."""

    data = fields.List(fields.Nested(Choice), required=True)


class ChoicesOfFieldsReply(Envelope):
    """The answer of field/choices."""

    data = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.Nested(Choice)),
        required=True,
        metadata={"example": {"5": [{"id": "1", "choice": "Male"}, {"id": "2", "choice": "Female"}]}},
    )


class Origin(Schema):
    """A form or an API source."""

    id = fields.String(required=True, metadata={"example": "123"})
    name = fields.String(required=True, metadata={"example": "Newsletter registration"})


class OriginsReply(Envelope):
    """The answer of source."""

    data = fields.List(fields.Nested(Origin), required=True)


class Form(Origin):
    """A form."""

    type = fields.String(
        required=True,
        metadata={"description": "always 1, the general registration form of the original", "example": "1"},
    )


class FormsReply(Envelope):
    """The answer of form."""

    data = fields.List(fields.Nested(Form), required=True)


class LanguageName(Schema):
    """A language of exports."""

    id = fields.String(required=True, metadata={"description": "its code", "example": "en"})
    language = fields.String(required=True, metadata={"description": "its name", "example": "English"})


class LanguagesReply(Envelope):
    """The answer of language."""

    data = fields.List(fields.Nested(LanguageName), required=True)


class Settings(Schema):
    """The account."""

    id = fields.Integer(required=True, metadata={"description": "made from the name", "example": 2892647586})
    environment = fields.String(
        required=True, metadata={"description": "the host that was called", "example": "www.example.com"}
    )
    timezone = fields.String(
        required=True, metadata={"description": "of dates without an offset", "example": "Europe/Vienna"}
    )
    name = fields.String(required=True, metadata={"description": "the caller's team", "example": "default"})
    country = fields.String(required=True, metadata={"description": "always empty", "example": ""})
    totalContacts = fields.String(  # noqa: N815 - its name
        required=True,
        metadata={"description": "a number, estimated if there are more than a million", "example": "1319053"},
    )
    password_history_queue_size = fields.Integer(required=True, metadata={"description": "always 0", "example": 0})


class SettingsReply(Envelope):
    """The answer of settings."""

    data = fields.Nested(Settings, required=True)


class ContactError(Schema):
    """A requested contact that does not exist."""

    key = fields.String(required=True, metadata={"example": "999"})
    errorCode = fields.Integer(required=True, metadata={"example": 2008})  # noqa: N815 - its name
    errorMsg = fields.String(  # noqa: N815 - its name
        required=True, metadata={"example": "No contact found with the external id: id"}
    )


class ContactPage(Schema):
    """Contacts by the ids of their fields."""

    errors = fields.List(fields.Nested(ContactError), required=True)
    result = fields.List(
        fields.Dict(keys=fields.String(), values=fields.String(allow_none=True)),
        required=True,
        metadata={"example": [{"id": "1", "3": "anna@example.com"}]},
    )


class ContactPageReply(Envelope):
    """The answer of contact/query and contact/getdata."""

    data = fields.Nested(ContactPage, required=True)
