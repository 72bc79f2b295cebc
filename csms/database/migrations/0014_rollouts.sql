-- Files that charge points fetch from us and send to us, and roll-outs: the same asked of many, in waves.

-- Where charge points reach this node's file endpoint; NULL: it has none.
ALTER TABLE node ADD COLUMN files_url text;

-- Files are whole once they have a sum. The content of one that was deleted is gone, that it was there is not.
CREATE TABLE file (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('image', 'log', 'other')),
    name          text NOT NULL CHECK (name ~ '^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$'),
    charge_point  text REFERENCES charge_point,
    size_bytes    bigint CHECK (size_bytes >= 0),
    sha256        bytea CHECK (length(sha256) = 32),
    actor         text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    completed_at  timestamptz,
    deleted_at    timestamptz,
    deleted_by    text,
    CHECK ((completed_at IS NULL) = (sha256 IS NULL) AND (completed_at IS NULL) = (size_bytes IS NULL))
);
CREATE INDEX file_charge_point ON file (charge_point, created_at DESC);

-- The content, so that every node can hand it out and a backup has it.
CREATE TABLE file_part (
    file     bigint NOT NULL REFERENCES file,
    at_byte  bigint NOT NULL CHECK (at_byte >= 0),
    content  bytea NOT NULL CHECK (length(content) BETWEEN 1 AND 4194304),
    PRIMARY KEY (file, at_byte)
);
ALTER TABLE file_part ALTER COLUMN content SET STORAGE EXTERNAL;

-- An address that one charge point may use, for a while: to fetch a file, or (once) to send one. Of the secret in the
-- address only the hash is kept. run: which attempt to send is the present one; older ones may write no more.
CREATE TABLE file_grant (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash    bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    direction     text NOT NULL CHECK (direction IN ('download', 'upload')),
    charge_point  text NOT NULL REFERENCES charge_point,
    file          bigint REFERENCES file,
    request       integer REFERENCES transfer_request,
    bytes_max     bigint CHECK (bytes_max > 0),
    run           integer NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz,
    CHECK (direction = 'upload' OR (file IS NOT NULL AND used_at IS NULL)),
    CHECK ((direction = 'upload') = (bytes_max IS NOT NULL))
);
CREATE INDEX file_grant_request ON file_grant (request);
CREATE INDEX file_grant_file ON file_grant (file);

-- What went over the wire.
CREATE TABLE file_transfer (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "grant"     bigint NOT NULL REFERENCES file_grant,
    first_byte  bigint NOT NULL CHECK (first_byte >= 0),
    bytes       bigint NOT NULL CHECK (bytes >= 0),
    whole       boolean NOT NULL,
    outcome     text NOT NULL,
    remote      text,
    began_at    timestamptz NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX file_transfer_grant ON file_transfer ("grant");

-- Firmware to hand out. vendor and model NULL: for all.
CREATE TABLE firmware_image (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file          bigint NOT NULL REFERENCES file,
    version       text NOT NULL CHECK (version <> ''),
    vendor        text,
    model         text,
    signature     text,
    certificate   text,
    actor         text,
    added_at      timestamptz NOT NULL DEFAULT now(),
    withdrawn_at  timestamptz,
    CHECK ((signature IS NULL) = (certificate IS NULL))
);
CREATE UNIQUE INDEX firmware_image_version
    ON firmware_image (lower(version), lower(coalesce(vendor, '')), lower(coalesce(model, ''))) WHERE withdrawn_at IS NULL;

CREATE TABLE rollout (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('firmware', 'log')),
    image       integer REFERENCES firmware_image,
    plan        jsonb NOT NULL,
    actor       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- the projection of its events
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'stopped', 'aborted', 'done')),
    reason      text,
    wave        integer NOT NULL DEFAULT 1 CHECK (wave > 0),
    changed_at  timestamptz NOT NULL DEFAULT now(),
    wave_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'firmware') = (image IS NOT NULL))
);

-- Where each charge point stands: the projection of its events. asked: how often; failures: how many of these came to
-- nothing; forgiven: a failure that the operator has looked at and gone on.
CREATE TABLE rollout_member (
    rollout       integer NOT NULL REFERENCES rollout,
    charge_point  text NOT NULL REFERENCES charge_point,
    wave          integer NOT NULL CHECK (wave > 0),
    exclusive     boolean NOT NULL,
    state         text NOT NULL DEFAULT 'waiting'
                  CHECK (state IN ('waiting', 'asked', 'running', 'done', 'failed', 'skipped', 'withdrawn')),
    reason        text,
    asked         integer NOT NULL DEFAULT 0 CHECK (asked >= 0),
    failures      integer NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND asked),
    request       integer REFERENCES transfer_request,
    not_before    timestamptz,
    forgiven      boolean NOT NULL DEFAULT false,
    changed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (rollout, charge_point)
);
-- No charge point is given two firmwares at once.
CREATE UNIQUE INDEX rollout_member_exclusive ON rollout_member (charge_point)
    WHERE exclusive AND state IN ('waiting', 'asked', 'running');
CREATE INDEX rollout_member_open ON rollout_member (rollout) WHERE state IN ('waiting', 'asked', 'running');

-- Every step of a roll-out (charge_point NULL) and of each charge point in it.
CREATE TABLE rollout_event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rollout       integer NOT NULL REFERENCES rollout,
    charge_point  text,
    kind          text NOT NULL,
    reason        text,
    attempt       integer,
    request       integer,
    actor         text,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX rollout_event_rollout ON rollout_event (rollout, charge_point, id);
-- Whatever node decides it: the n-th attempt is made once.
CREATE UNIQUE INDEX rollout_event_asked ON rollout_event (rollout, charge_point, attempt) WHERE kind = 'asked';

SELECT csms_append_only('file_transfer');
SELECT csms_append_only('rollout_event');
