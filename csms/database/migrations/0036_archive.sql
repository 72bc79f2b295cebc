-- The archive: what was stored, deleted and held, chained by hashes. Contents are files, named after their SHA-256.

-- id has no gap; hash is of the row and of hash_prev, the row before. stored: a content of a subject (the number of a document)
-- and, where it has one, of an account. deleted and hold_lifted are about the entry that they end; hold_set is about one
-- entry, or about all of a subject or an account, those to come as well.
CREATE TABLE archive_entry (
    id               bigint PRIMARY KEY CHECK (id >= 1),
    at               timestamptz NOT NULL,
    action           text NOT NULL CHECK (action IN ('stored', 'deleted', 'hold_set', 'hold_lifted')),
    actor            text NOT NULL CHECK (actor <> ''),
    reason           text CHECK (reason <> ''),
    about            bigint REFERENCES archive_entry CHECK (about < id),
    subject          text CHECK (subject <> ''),
    account          text CHECK (account <> ''),
    sha256           bytea CHECK (length(sha256) = 32),
    size_bytes       bigint CHECK (size_bytes >= 0),
    media_type       text CHECK (media_type <> ''),
    kind             text CHECK (kind <> ''),
    retention_class  text CHECK (retention_class <> ''),
    retain_until     date,
    hash_prev        bytea NOT NULL UNIQUE CHECK (length(hash_prev) = 32),
    hash             bytea NOT NULL CHECK (length(hash) = 32),
    CHECK (CASE action
               WHEN 'stored' THEN about IS NULL AND num_nulls(subject, sha256, size_bytes, media_type, kind,
                                                              retention_class, retain_until) = 0
               WHEN 'hold_set' THEN reason IS NOT NULL AND num_nonnulls(about, subject, account) = 1
               ELSE reason IS NOT NULL AND about IS NOT NULL AND subject IS NULL AND account IS NULL
           END),
    CHECK (action = 'stored' OR num_nonnulls(sha256, size_bytes, media_type, kind, retention_class, retain_until) = 0)
);
CREATE INDEX archive_entry_sha256 ON archive_entry (sha256) WHERE action = 'stored';
CREATE INDEX archive_entry_subject ON archive_entry (subject, id) WHERE action = 'stored';
CREATE INDEX archive_entry_account ON archive_entry (account, id) WHERE action = 'stored';
CREATE INDEX archive_entry_retain_until ON archive_entry (retain_until, id) WHERE action = 'stored';
CREATE UNIQUE INDEX archive_entry_deleted ON archive_entry (about) WHERE action = 'deleted';
CREATE UNIQUE INDEX archive_entry_lifted ON archive_entry (about) WHERE action = 'hold_lifted';
CREATE INDEX archive_entry_hold ON archive_entry (id) WHERE action = 'hold_set';
SELECT csms_append_only('archive_entry');

-- For how many years the operator keeps a class of documents, in place of the defaults; country NULL: everywhere. The newest counts.
CREATE TABLE archive_retention (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    retention_class  text NOT NULL CHECK (retention_class <> ''),
    country          text CHECK (country ~ '^[A-Z]{2}$'),
    years            integer NOT NULL CHECK (years BETWEEN 1 AND 100),
    reason           text NOT NULL CHECK (reason <> ''),
    actor            text NOT NULL CHECK (actor <> ''),
    at               timestamptz NOT NULL DEFAULT now()
);
SELECT csms_append_only('archive_retention');
