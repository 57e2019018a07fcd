-- The triggers as Postgres shows them, and the functions that they call. A test compares them.
CREATE TRIGGER contact_deleted AFTER DELETE ON {schema}.contact REFERENCING OLD TABLE AS old_contact FOR EACH STATEMENT EXECUTE FUNCTION contact_log_delete();
CREATE TRIGGER contact_inserted AFTER INSERT ON {schema}.contact REFERENCING NEW TABLE AS new_contact FOR EACH STATEMENT EXECUTE FUNCTION contact_log_insert();
CREATE TRIGGER contact_truncated BEFORE TRUNCATE ON {schema}.contact FOR EACH STATEMENT EXECUTE FUNCTION contact_log_truncate();
CREATE TRIGGER contact_updated AFTER UPDATE ON {schema}.contact REFERENCING OLD TABLE AS old_contact NEW TABLE AS new_contact FOR EACH STATEMENT EXECUTE FUNCTION contact_log_update();
CREATE TRIGGER contact_field_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON {schema}.contact_field FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
CREATE TRIGGER contact_log_horizon_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON {schema}.contact_log_horizon FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
CREATE TRIGGER export_event_noted AFTER UPDATE OF status, attempt, claimed_at, due_at ON {schema}.export FOR EACH ROW EXECUTE FUNCTION export_event_note();
CREATE TRIGGER origin_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON {schema}.origin FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
