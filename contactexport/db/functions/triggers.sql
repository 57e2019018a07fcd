-- The triggers as Postgres shows them, and the functions that they call. A test compares them.
CREATE TRIGGER contact_deleted AFTER DELETE ON {schema}.contact REFERENCING OLD TABLE AS old_contact FOR EACH STATEMENT EXECUTE FUNCTION contact_log_delete();
CREATE TRIGGER contact_inserted AFTER INSERT ON {schema}.contact REFERENCING NEW TABLE AS new_contact FOR EACH STATEMENT EXECUTE FUNCTION contact_log_insert();
CREATE TRIGGER contact_truncated BEFORE TRUNCATE ON {schema}.contact FOR EACH STATEMENT EXECUTE FUNCTION contact_log_truncate();
CREATE TRIGGER contact_updated AFTER UPDATE ON {schema}.contact REFERENCING OLD TABLE AS old_contact NEW TABLE AS new_contact FOR EACH STATEMENT EXECUTE FUNCTION contact_log_update();
CREATE TRIGGER contact_field_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON {schema}.contact_field FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
CREATE TRIGGER contact_log_horizon_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON {schema}.contact_log_horizon FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
CREATE TRIGGER export_claimed BEFORE UPDATE OF claimed_at ON {schema}.export FOR EACH ROW EXECUTE FUNCTION export_claim_check();
CREATE TRIGGER export_deleted AFTER DELETE ON {schema}.export REFERENCING OLD TABLE AS old_export FOR EACH STATEMENT EXECUTE FUNCTION export_count_deleted();
CREATE TRIGGER export_delivery_counted AFTER UPDATE OF deliveries ON {schema}.export FOR EACH ROW WHEN ((old.deliveries <> new.deliveries)) EXECUTE FUNCTION export_count_attempt('delivery', '');
CREATE TRIGGER export_end_counted AFTER UPDATE OF status ON {schema}.export FOR EACH ROW WHEN (((old.finished_at IS NULL) <> (new.finished_at IS NULL))) EXECUTE FUNCTION export_count_end();
CREATE TRIGGER export_event_noted AFTER UPDATE OF status, attempt, claimed_at, due_at ON {schema}.export FOR EACH ROW EXECUTE FUNCTION export_event_note();
CREATE TRIGGER export_notification_counted AFTER UPDATE OF notify_error ON {schema}.export FOR EACH ROW WHEN (((new.notified_at IS NOT NULL) OR (new.notify_error IS NOT NULL))) EXECUTE FUNCTION export_count_attempt('notification', 'export');
CREATE TRIGGER feed_notification_counted AFTER UPDATE OF notify_error ON {schema}.feed_event FOR EACH ROW WHEN (((new.notified_at IS NOT NULL) OR (new.notify_error IS NOT NULL))) EXECUTE FUNCTION export_count_attempt('notification', 'feed');
CREATE TRIGGER origin_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON {schema}.origin FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
