"""The commands of `flask`, one module for each group."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Adds the commands to an application.

    They are imported here, because `contactexport verify` needs none of them and should begin at once.
    """
    from contactexport.cli import contacts, db, exports, feeds, fields, hosts, origins, serve, storage, users
    from contactexport.cli import doctor as doctor_command
    from contactexport.cli import secrets as secret_commands

    for commands in (
        exports,
        feeds,
        contacts,
        origins,
        fields,
        users,
        hosts,
        secret_commands,
        storage,
        db,
    ):
        app.cli.add_command(commands.group)
    app.cli.add_command(doctor_command.doctor)
    app.cli.add_command(serve.serve)
