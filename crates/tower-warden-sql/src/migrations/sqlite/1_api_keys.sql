CREATE TABLE tower_warden_api_keys (
    id TEXT NOT NULL PRIMARY KEY,
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
