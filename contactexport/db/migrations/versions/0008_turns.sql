-- A template: {schema} is where our tables stand.

-- When an export was claimed last, and by the index a user served.
ALTER TABLE {schema}.export ADD COLUMN claimed_at timestamptz;
CREATE INDEX export_of_user_claimed ON {schema}.export (created_by, claimed_at);
