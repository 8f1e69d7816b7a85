-- The certificate or public key that a key is bound to, as the JSON of a `cnf` claim.
ALTER TABLE tower_warden_api_keys ADD COLUMN confirmation TEXT;
