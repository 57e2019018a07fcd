"""SQLAlchemy: mapped classes, a query of objects read 1,000 at a time, into csv.writer."""

import csv
from datetime import UTC, date, datetime

import psycopg2
from sqlalchemy import JSON, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, load_only, mapped_column

from tools.job import FIELDS, FORM, HEADER, Job, run


class Base(DeclarativeBase):
    """The base of the mapped classes."""


class Contact(Base):
    """A contact with the columns that are exported."""

    __tablename__ = "contact"
    id: Mapped[int] = mapped_column(primary_key=True)
    origin_kind: Mapped[str]
    origin_id: Mapped[int]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    email: Mapped[str | None]
    date_of_birth: Mapped[date | None]
    gender: Mapped[int | None]
    address: Mapped[str | None]
    city: Mapped[str | None]
    zip_code: Mapped[str | None]
    country: Mapped[int | None]
    loyalty_number: Mapped[str | None]


class ContactChange(Base):
    """A row of the log of changes."""

    __tablename__ = "contact_change"
    contact_id: Mapped[int] = mapped_column(primary_key=True)
    origin_kind: Mapped[str]
    origin_id: Mapped[int]
    changed_at: Mapped[datetime] = mapped_column(primary_key=True)


class Choice(Base):
    """A choice of a contact field."""

    __tablename__ = "contact_field_choice"
    field_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    labels: Mapped[dict] = mapped_column(JSON)


def export(job: Job) -> None:
    """Looks labels up in a dictionary, because a relationship took longer."""
    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(job.url))
    with Session(engine) as session, job.file.open("w", encoding="utf-8", newline="") as file:
        labels = {(choice.field_id, choice.id): choice.labels["en"] for choice in session.scalars(select(Choice))}
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for contact, changed_at in session.execute(_changed(job), execution_options={"yield_per": 1000}):
            writer.writerow(_values(contact, changed_at, labels))


def _changed(job: Job):
    changed = (
        select(ContactChange.contact_id, func.max(ContactChange.changed_at).label("changed_at"))
        .where(ContactChange.origin_kind == "form", ContactChange.origin_id == FORM)
        .where(ContactChange.changed_at >= job.start, ContactChange.changed_at < job.end)
        .group_by(ContactChange.contact_id)
        .subquery()
    )
    return (
        select(Contact, changed.c.changed_at)
        .options(load_only(*(getattr(Contact, column) for column in FIELDS.values())))
        .join(changed, Contact.id == changed.c.contact_id)
        .where(Contact.origin_kind == "form", Contact.origin_id == FORM)
        .order_by(Contact.id)
    )


def _values(contact: Contact, changed_at: datetime, labels: dict[tuple[int, int], str]) -> tuple:
    return (
        contact.id,
        contact.first_name,
        contact.last_name,
        contact.email,
        contact.date_of_birth,
        labels.get((5, contact.gender)),
        contact.address,
        contact.city,
        contact.zip_code,
        labels.get((14, contact.country)),
        contact.loyalty_number,
        f"{changed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
    )


if __name__ == "__main__":
    run(export)
