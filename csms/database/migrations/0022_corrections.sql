-- Correction bills: each names the bill that it stands in place of, and who made it why.

-- A bill is corrected once; what corrects it may be corrected in its turn.
CREATE UNIQUE INDEX bill_corrects ON bill (session, corrects);

-- Acts of an operator by which a session was rated anew. seq: the bill that came of it.
CREATE TABLE rerating (
    session  integer NOT NULL,
    seq      integer NOT NULL,
    reason   text NOT NULL CHECK (reason <> ''),
    actor    text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session, seq),
    FOREIGN KEY (session, seq) REFERENCES bill (session, seq)
);
SELECT csms_append_only('rerating');

-- Periods are looked at by the end of their sessions.
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;
