-- The ledger: accounts by party and kind, entries that sum to zero per currency, the months that are closed, and what was exported.

-- owner: whose or of what it is, such as a customer's account, or a tax as DE:S:19; '' where the seller has one.
CREATE TABLE ledger_account (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seller    text NOT NULL REFERENCES seller,
    kind      text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    owner     text NOT NULL DEFAULT '' CHECK (length(owner) <= 200),
    currency  char(3) NOT NULL,
    UNIQUE (seller, kind, owner, currency),
    UNIQUE (id, seller, currency)
);
SELECT csms_append_only('ledger_account');

-- booked_on lies in a month that is open; fact_on is the day of the fact itself. key: the same fact is entered once, and
-- body_hash tells whether it is the same. postings: how many it has; 0 where nothing was to be paid. document: its number,
-- if the fact is one.
CREATE TABLE ledger_entry (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seller     text NOT NULL REFERENCES seller,
    booked_on  date NOT NULL,
    fact_on    date NOT NULL,
    fact       text NOT NULL CHECK (fact ~ '^[a-z_]{1,40}$'),
    key        text NOT NULL CHECK (key <> ''),
    body_hash  bytea NOT NULL CHECK (length(body_hash) = 32),
    postings   smallint NOT NULL CHECK (postings = 0 OR postings >= 2),
    document   text CHECK (document <> ''),
    text       text NOT NULL DEFAULT '',
    reverses   bigint UNIQUE REFERENCES ledger_entry,
    actor      text NOT NULL CHECK (actor <> ''),
    at         timestamptz NOT NULL,
    UNIQUE (seller, key),
    UNIQUE (id, seller, postings)
);
CREATE INDEX ledger_entry_booked ON ledger_entry (seller, booked_on, id);
CREATE INDEX ledger_entry_document ON ledger_entry (seller, document) WHERE document IS NOT NULL;
SELECT csms_append_only('ledger_entry');

-- amount_minor: debit above zero, credit below. document: the open item that it makes larger or smaller, due on due_on.
-- An entry says how many postings it has and their numbers go up to that: once it is whole, none can be added any more.
CREATE TABLE ledger_posting (
    entry         bigint NOT NULL,
    n             smallint NOT NULL,
    seller        text NOT NULL,
    postings      smallint NOT NULL,
    account       bigint NOT NULL,
    currency      char(3) NOT NULL,
    amount_minor  bigint NOT NULL CHECK (amount_minor <> 0),
    document      text CHECK (document <> ''),
    due_on        date,
    PRIMARY KEY (entry, n),
    CHECK (n BETWEEN 1 AND postings),
    FOREIGN KEY (entry, seller, postings) REFERENCES ledger_entry (id, seller, postings),
    FOREIGN KEY (account, seller, currency) REFERENCES ledger_account (id, seller, currency)
);
CREATE INDEX ledger_posting_account ON ledger_posting (account, entry);
SELECT csms_append_only('ledger_posting');

-- Months that take no posting any more, nor does any month before one of them. accepted: what was open and let pass.
CREATE TABLE ledger_lock (
    seller     text NOT NULL REFERENCES seller,
    month      date NOT NULL CHECK (month = date_trunc('month', month)),
    accepted   text[] NOT NULL DEFAULT '{}',
    reason     text NOT NULL CHECK (reason <> ''),
    actor      text NOT NULL CHECK (actor <> ''),
    locked_at  timestamptz NOT NULL,
    PRIMARY KEY (seller, month)
);
SELECT csms_append_only('ledger_lock');

-- What an account turned over in a month that is locked; a projection of its postings.
CREATE TABLE ledger_balance (
    account       bigint NOT NULL REFERENCES ledger_account,
    month         date NOT NULL,
    debit_minor   bigint NOT NULL CHECK (debit_minor >= 0),
    credit_minor  bigint NOT NULL CHECK (credit_minor >= 0),
    PRIMARY KEY (account, month)
);
SELECT csms_append_only('ledger_balance');

-- By which number the general ledger knows accounts; the newest row of a kind and pattern counts. number NULL: none any
-- more. pattern: an owner, * for any run of characters. tax_key: DATEV's BU-Schluessel that its lines bear.
CREATE TABLE ledger_map (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seller   text NOT NULL REFERENCES seller,
    kind     text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    pattern  text NOT NULL,
    number   text CHECK (number ~ '^[0-9]{1,9}$'),
    tax_key  text CHECK (tax_key ~ '^[0-9]{1,4}$'),
    reason   text NOT NULL CHECK (reason <> ''),
    actor    text NOT NULL CHECK (actor <> ''),
    at       timestamptz NOT NULL,
    CHECK (number IS NOT NULL OR tax_key IS NULL)
);
CREATE INDEX ledger_map_seller ON ledger_map (seller, id);
SELECT csms_append_only('ledger_map');

-- What DATEV asks for of a seller: the numbers of its tax adviser and of itself there; the newest row counts.
CREATE TABLE ledger_datev (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seller          text NOT NULL REFERENCES seller,
    consultant      integer NOT NULL CHECK (consultant BETWEEN 1001 AND 9999999),
    client          integer NOT NULL CHECK (client BETWEEN 1 AND 99999),
    account_digits  smallint NOT NULL CHECK (account_digits BETWEEN 4 AND 8),
    year_begins     smallint NOT NULL CHECK (year_begins BETWEEN 1 AND 12),
    reason          text NOT NULL CHECK (reason <> ''),
    actor           text NOT NULL CHECK (actor <> ''),
    at              timestamptz NOT NULL
);
CREATE INDEX ledger_datev_seller ON ledger_datev (seller, id);
SELECT csms_append_only('ledger_datev');

-- A file for the general ledger: the entries of a month with an id above after_entry and up to up_to_entry. Runs of a month
-- follow each other, so that no entry is in two. map_as_of, datev_as_of: the newest rows it was written by.
CREATE TABLE ledger_export (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seller       text NOT NULL REFERENCES seller,
    format       text NOT NULL CHECK (format IN ('csv', 'datev', 'beancount')),
    currency     char(3),
    month        date NOT NULL CHECK (month = date_trunc('month', month)),
    after_entry  bigint NOT NULL CHECK (after_entry >= 0),
    up_to_entry  bigint NOT NULL,
    map_as_of    bigint NOT NULL,
    datev_as_of  bigint REFERENCES ledger_datev,
    entries      bigint NOT NULL CHECK (entries >= 0),
    bytes        bigint NOT NULL,
    sha256       bytea NOT NULL CHECK (length(sha256) = 32),
    actor        text NOT NULL CHECK (actor <> ''),
    at           timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (seller, format, currency, month, after_entry),
    CHECK (up_to_entry > after_entry),
    CHECK ((format = 'datev') = (currency IS NOT NULL)),
    CHECK ((format = 'datev') = (datev_as_of IS NOT NULL))
);
SELECT csms_append_only('ledger_export');

-- Between those who post for a seller and those who lock its months; 0x6c656467 is "ledg" in ASCII.
CREATE FUNCTION csms_ledger_lock_shared(of_seller text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared(1818584167, hashtext(of_seller))
$$;
CREATE FUNCTION csms_ledger_lock_alone(of_seller text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(1818584167, hashtext(of_seller))
$$;

-- No entry goes into a month that is locked. Each statement below looks anew, after the wait for the lock; in a transaction
-- that sees the world as it was at its begin, the look would be of no worth.
CREATE FUNCTION csms_entries_in_open_months() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    refused record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the ledger is written by transactions that are read committed' USING ERRCODE = 'feature_not_supported';
    END IF;
    PERFORM csms_ledger_lock_shared(s.seller) FROM (SELECT DISTINCT seller FROM made ORDER BY seller) s;
    SELECT m.key, m.booked_on INTO refused
      FROM made m
     WHERE m.booked_on < (SELECT max(l.month) + interval '1 month' FROM ledger_lock l WHERE l.seller = m.seller)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % is of %, which is locked', refused.key, to_char(refused.booked_on, 'YYYY-MM')
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER in_open_months AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION csms_entries_in_open_months();

-- Who locks a month waits for those who are posting; whoever comes then sees the lock.
CREATE FUNCTION csms_month_is_locked_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM csms_ledger_lock_alone(NEW.seller);
    RETURN NULL;
END
$$;
CREATE TRIGGER locked_alone AFTER INSERT ON ledger_lock FOR EACH ROW EXECUTE FUNCTION csms_month_is_locked_alone();

-- At commit every entry has all of its postings, sums to zero in each currency, and is the exact negative of what it reverses.
CREATE FUNCTION csms_entry_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found_postings bigint;
    balanced boolean;
BEGIN
    SELECT coalesce(sum(s.n), 0), coalesce(bool_and(s.amount = 0), true) INTO found_postings, balanced
      FROM (SELECT count(*) AS n, sum(amount_minor) AS amount FROM ledger_posting WHERE entry = NEW.id GROUP BY currency) s;
    IF found_postings <> NEW.postings THEN
        RAISE EXCEPTION 'entry % has % postings of %', NEW.key, found_postings, NEW.postings USING ERRCODE = 'check_violation';
    END IF;
    IF NOT balanced THEN
        RAISE EXCEPTION 'entry % does not sum to zero', NEW.key USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.reverses IS NOT NULL AND EXISTS (
        SELECT FROM (SELECT * FROM ledger_posting WHERE entry = NEW.id) r
          FULL JOIN (SELECT * FROM ledger_posting WHERE entry = NEW.reverses) o ON o.n = r.n
         WHERE (r.account, r.amount_minor, r.document) IS DISTINCT FROM (o.account, -o.amount_minor, o.document))
    THEN
        RAISE EXCEPTION 'entry % is not the exact negative of entry %', NEW.key, NEW.reverses
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER is_whole AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION csms_entry_is_whole();
