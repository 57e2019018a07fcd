-- A template: {schema} is where our tables stand.

-- The whole URL, encrypted, where it holds credentials or a query. `settings` then has it with *** in their place.
ALTER TABLE {schema}.export ADD COLUMN notify_secret bytea;

-- What was stored before: here only where nothing is to be sent any more. A URL that is still needed is encrypted by
-- `flask db upgrade` right after this, since the database has no key (services/encrypt_urls.py). As in hidden_url.py.
UPDATE {schema}.export AS e
SET settings = jsonb_set(e.settings, '{{notification_url}}', to_jsonb(regexp_replace(
    regexp_replace(
        regexp_replace(e.settings ->> 'notification_url', '^([A-Za-z][A-Za-z0-9+.-]*://)?[^?#]*@', '\1***@'),
        '^([A-Za-z][A-Za-z0-9+.-]*://)?[^?#@]*([?#].*@)', '\1***\2'
    ),
    '[?#].*$', '?***'
)))
WHERE e.settings ->> 'notification_url' ~ '[@?#]' AND e.finished_at IS NOT NULL AND e.notify_due_at IS NULL;
