-- A reservation that nobody used may cost something: a session without a transaction, of which no message tells.

ALTER TABLE session ALTER COLUMN transaction DROP NOT NULL;
ALTER TABLE session ADD COLUMN reservation integer UNIQUE REFERENCES reservation;
ALTER TABLE session ADD CONSTRAINT session_has_one_cause CHECK ((transaction IS NULL) = (reservation IS NOT NULL));
