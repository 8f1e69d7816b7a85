-- To which certificate or key a key is bound: the JSON of a `cnf`.
ALTER TABLE tower_warden_api_keys ADD COLUMN confirmation TEXT;
