"""Tables of a shop as contacts: adopted, as the program notes it, and by hand, as the guide does it."""

from contactexport.context import Context
from tests.support.exporting import execute
from tests.support.sql_texts import own_table

# Form 1 has the customers who are active; their names come from another table.
SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.customer (no bigint PRIMARY KEY, form integer NOT NULL, mail text, active boolean NOT NULL,
    visits integer);
CREATE TABLE shop.profile (customer_no bigint PRIMARY KEY REFERENCES shop.customer ON DELETE CASCADE, name text);
INSERT INTO origin VALUES ('form', 1, 'Newsletter') ON CONFLICT DO NOTHING;
DROP TABLE contact;
CREATE VIEW shop.named AS SELECT c.no, c.form, c.mail, p.name FROM shop.customer AS c
    LEFT JOIN shop.profile AS p ON p.customer_no = c.no WHERE c.active;
CREATE VIEW contact AS
SELECT n.no AS id, 'form' AS origin_kind, n.form AS origin_id, n.mail AS email, n.name AS first_name
    FROM shop.named AS n;
DELETE FROM contact_field WHERE id NOT IN (1, 3);
CREATE TABLE IF NOT EXISTS adopted_table (schema_name text, table_name text, columns text[], triggers text[]);
"""
WATCHED = {"customer": ("no", ["no", "form", "mail", "active"]), "profile": ("customer_no", ["customer_no", "name"])}
EVENTS = {"INSERT": "new_rows", "UPDATE": "new_rows", "DELETE": "old_rows"}
FUNCTION = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.contact_change (contact_id, origin_kind, origin_id, changed_at, kind)
    SELECT {rows}.{key}, 'form', 1, (SELECT public.contact_change_time()), 'u' FROM {rows};
    RETURN NULL;
END $$;
"""


def watch(table: str, key: str) -> str:
    """Triggers for everything that changes a table of the shop, which log every row."""
    made = []
    for event, rows in EVENTS.items():
        name = f"{table}_{event.lower()}"
        new_or_old = "OLD" if rows == "old_rows" else "NEW"
        made.append(
            FUNCTION.format(name=f"log_{name}", rows=rows, key=key)
            + f"CREATE TRIGGER {name} AFTER {event} ON shop.{table} REFERENCING {new_or_old} TABLE AS {rows}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION log_{name}();"
        )
    made.append(
        FUNCTION.format(name=f"log_{table}_truncate", rows=f"shop.{table}", key=key).replace(
            f"shop.{table}.{key}", f"customer.{key}" if table == "customer" else f"{table}.{key}"
        )
        + f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON shop.{table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION log_{table}_truncate();"
    )
    return "".join(made)


def adopt(context: Context) -> None:
    """The shop as `flask contacts adopt` would leave it, and noted so."""
    execute(context, SHOP)
    for table, (key, columns) in WATCHED.items():
        execute(context, watch(table, key))
        triggers = [f"{table}_{event}" for event in ("insert", "update", "delete", "truncate")]
        execute(context, "INSERT INTO adopted_table VALUES ('shop', %s, %s, %s)", (table, columns, triggers))
    execute(context, "INSERT INTO shop.customer VALUES (7, 1, 'jo@example.com', true, 0)")
    execute(context, "INSERT INTO shop.profile VALUES (7, 'Jo')")


def adopt_by_hand(context: Context) -> None:
    """The customer table of the guide, as it says."""
    execute(context, "DELETE FROM contact_field; DELETE FROM origin")
    for block in own_table():
        execute(context, block)
    execute(context, "INSERT INTO customer (signup_form, given_name, mail) VALUES (1, 'Jo', 'jo@example.com')")
