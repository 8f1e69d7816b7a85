-- The certificate or public key that a key is bound to, as the JSON of a `cnf` claim.
ALTER TABLE tower_warden_api_keys ADD COLUMN confirmation TEXT;

DROP TRIGGER tower_warden_key_changed ON tower_warden_api_keys;

CREATE TRIGGER tower_warden_key_changed AFTER UPDATE ON tower_warden_api_keys
FOR EACH ROW WHEN (
    (OLD.id, OLD.digest, OLD.owner, OLD.tenant, OLD.name, OLD.scopes, OLD.tier, OLD.networks, OLD.created_at,
     OLD.expires_at, OLD.revoked_at, OLD.replaced_by, OLD.replaced_until, OLD.metadata, OLD.confirmation)
    IS DISTINCT FROM
    (NEW.id, NEW.digest, NEW.owner, NEW.tenant, NEW.name, NEW.scopes, NEW.tier, NEW.networks, NEW.created_at,
     NEW.expires_at, NEW.revoked_at, NEW.replaced_by, NEW.replaced_until, NEW.metadata, NEW.confirmation)
) EXECUTE FUNCTION tower_warden_tell_of_key();
