-- COLLATE "C": pages follow the order of bytes, as in the other stores.
CREATE TABLE tower_warden_api_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    tenant TEXT,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    tier TEXT,
    networks TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT,
    replaced_by TEXT,
    replaced_until BIGINT,
    metadata TEXT NOT NULL
);

CREATE INDEX tower_warden_api_keys_owner ON tower_warden_api_keys (owner, id);

CREATE INDEX tower_warden_api_keys_tenant ON tower_warden_api_keys (tenant, id);

-- Notifies every node of every change, including changes made by hand. The payload is the id of the changed key, empty for
-- added keys, and '*' for changes of all keys. Ids are truncated, because a long payload is an error; a truncated id is
-- longer than a valid one.
CREATE FUNCTION tower_warden_tell_of_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM pg_notify('tower_warden_keys', '');
    ELSIF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('tower_warden_keys', '*');
    ELSE
        PERFORM pg_notify('tower_warden_keys', left(OLD.id, 65));
        IF TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
            PERFORM pg_notify('tower_warden_keys', left(NEW.id, 65));
        END IF;
        IF TG_OP = 'UPDATE' AND (NEW.id <> OLD.id OR NEW.digest <> OLD.digest) THEN
            PERFORM pg_notify('tower_warden_keys', '');
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tower_warden_key_added AFTER INSERT ON tower_warden_api_keys
FOR EACH STATEMENT EXECUTE FUNCTION tower_warden_tell_of_key();

-- Not for last_used_at: it changes with every flush, and no cache depends on it.
CREATE TRIGGER tower_warden_key_changed AFTER UPDATE ON tower_warden_api_keys
FOR EACH ROW WHEN (
    (OLD.id, OLD.digest, OLD.owner, OLD.tenant, OLD.name, OLD.scopes, OLD.tier, OLD.networks, OLD.created_at,
     OLD.expires_at, OLD.revoked_at, OLD.replaced_by, OLD.replaced_until, OLD.metadata)
    IS DISTINCT FROM
    (NEW.id, NEW.digest, NEW.owner, NEW.tenant, NEW.name, NEW.scopes, NEW.tier, NEW.networks, NEW.created_at,
     NEW.expires_at, NEW.revoked_at, NEW.replaced_by, NEW.replaced_until, NEW.metadata)
) EXECUTE FUNCTION tower_warden_tell_of_key();

CREATE TRIGGER tower_warden_key_deleted AFTER DELETE ON tower_warden_api_keys
FOR EACH ROW EXECUTE FUNCTION tower_warden_tell_of_key();

CREATE TRIGGER tower_warden_keys_truncated AFTER TRUNCATE ON tower_warden_api_keys
FOR EACH STATEMENT EXECUTE FUNCTION tower_warden_tell_of_key();
