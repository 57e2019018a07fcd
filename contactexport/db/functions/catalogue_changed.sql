-- Raises the version of the catalogue, so that whoever keeps a copy sees that it is stale.
CREATE OR REPLACE FUNCTION {schema}.catalogue_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE {schema}.catalogue_version AS v SET version = v.version + 1;
    RETURN NULL;
END $$;
