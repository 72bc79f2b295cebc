-- Work that one node does for all of them: who did it last, and when. Nothing depends on the row but that the others leave
-- the work alone for a while; whoever finds its time over takes the next turn.
CREATE TABLE turn (
    work      text PRIMARY KEY,
    node      uuid NOT NULL,
    taken_at  timestamptz NOT NULL
);
