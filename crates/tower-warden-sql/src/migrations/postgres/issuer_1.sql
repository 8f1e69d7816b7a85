-- The clients of an issuer. The record is JSON, with digests of secrets. A client that is suspended is refused, and its id
-- stays taken.
-- COLLATE "C": pages follow the order of bytes, as in SQLite.
CREATE TABLE tower_warden_clients (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    record TEXT NOT NULL,
    suspended_at BIGINT
);

-- Families of refresh tokens. The record is JSON, with the digest of the current token. `revoked` is 0, or 1 for good.
CREATE TABLE tower_warden_refresh_families (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    generation BIGINT NOT NULL,
    idle_until BIGINT NOT NULL,
    revoked BIGINT NOT NULL,
    record TEXT NOT NULL
);

CREATE INDEX tower_warden_refresh_families_idle ON tower_warden_refresh_families (idle_until);

CREATE INDEX tower_warden_refresh_families_client ON tower_warden_refresh_families (client_id);

CREATE INDEX tower_warden_refresh_families_subject ON tower_warden_refresh_families (subject, client_id);

-- The signing keys of an issuer, all in one encrypted document. The version is a part of what is authenticated.
CREATE TABLE tower_warden_signing_keys (
    issuer TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    document TEXT NOT NULL
);
