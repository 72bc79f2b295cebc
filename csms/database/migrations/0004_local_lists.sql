-- Local authorization lists: what each charge point was sent, and acknowledged.

-- A list by its content: a fleet holds few different ones.
CREATE TABLE token_list (
    hash     bytea PRIMARY KEY CHECK (length(hash) = 32),
    entries  jsonb NOT NULL,
    used_at  timestamptz NOT NULL DEFAULT now()
);

-- One row per charge point that was ever sent a list. version: the newest that it was sent, so that the next is newer.
-- hash NULL: what it holds is not known (an answer was lost, or a whole list failed); it gets the whole list next.
CREATE TABLE local_list (
    charge_point     text PRIMARY KEY REFERENCES charge_point,
    protocol         text NOT NULL,
    version          integer NOT NULL CHECK (version >= 0),
    hash             bytea REFERENCES token_list,
    acknowledged_at  timestamptz,
    outcome          text NOT NULL,
    detail           text,
    attempted_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((hash IS NULL) = (acknowledged_at IS NULL))
);
CREATE INDEX local_list_hash ON local_list (hash);
