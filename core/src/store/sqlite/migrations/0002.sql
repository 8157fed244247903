-- Keys of the organisation's own backends for the HTTP API. `hash` is SHA-256 of the key, which stands nowhere else.

CREATE TABLE api_keys (
    org         TEXT NOT NULL,
    environment INTEGER NOT NULL,
    id          TEXT NOT NULL,
    hash        TEXT NOT NULL,
    name        TEXT NOT NULL,
    ending      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER,
    PRIMARY KEY (org, environment, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (org, environment, hash);
