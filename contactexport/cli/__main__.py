"""`contactexport …`: the commands of `flask …`, from any folder."""

import click
from flask.cli import FlaskGroup

from contactexport import create_app
from contactexport.cli import verify

main = FlaskGroup(
    create_app=create_app,
    add_default_commands=False,
    add_version_option=False,
    name="contactexport",
    help="Export the contacts that changed in a time range. Settings are read from CONTACTEXPORT_… variables.",
)
main.params = [option for option in main.params if option.name != "app"]  # there is only this one
main.add_command(verify.verify)
click.version_option(package_name="contactexport", prog_name="contactexport")(main)

if __name__ == "__main__":
    main()
