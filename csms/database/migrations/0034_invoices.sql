-- Invoices and credit notes as they were issued, never changed since; their numbers, their lines, and what each line is paid for.

-- The shape of a seller's numbers: {n} counts, {n:6} with leading zeros, {year} begins anew each year.
CREATE TABLE number_pattern (
    seller      text NOT NULL REFERENCES seller,
    kind        text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    form        text NOT NULL CHECK (form IN ('full', 'simplified', 'self_billed')),
    pattern     text NOT NULL CHECK (position('{n' IN pattern) > 0),
    PRIMARY KEY (seller, kind, form)
);

-- How far a series has come. Its row is locked as the last act of the transaction that issues: so there is no gap, and nobody
-- waits for long. year 0: a series that never ends. chain: the end of the chain of hashes of its documents.
CREATE TABLE number_series (
    seller     text NOT NULL REFERENCES seller,
    kind       text NOT NULL,
    form       text NOT NULL,
    year       integer NOT NULL CHECK (year >= 0),
    pattern    text NOT NULL,
    last       integer NOT NULL DEFAULT 0 CHECK (last >= 0),
    issued_on  date,
    chain      bytea NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000',
    PRIMARY KEY (seller, kind, form, year)
);

CREATE SEQUENCE invoice_id AS bigint;

-- body: the document but for its lines; hash: of the whole document; chain: of that and the chain before it in its series.
CREATE TABLE invoice (
    id           bigint PRIMARY KEY,
    seller       text NOT NULL REFERENCES seller,
    kind         text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    form         text NOT NULL CHECK (form IN ('full', 'simplified', 'self_billed')),
    year         integer NOT NULL,
    n            integer NOT NULL CHECK (n >= 1),
    number       text NOT NULL,
    account      text REFERENCES account,
    currency     char(3) NOT NULL,
    issued_on    date NOT NULL,
    issued_at    timestamptz NOT NULL,
    due_on       date,
    net_minor    bigint NOT NULL CHECK (net_minor >= 0),
    tax_minor    bigint NOT NULL CHECK (tax_minor >= 0),
    gross_minor  bigint NOT NULL,
    borne_minor  bigint NOT NULL,
    paid_minor   bigint NOT NULL,
    corrects     bigint REFERENCES invoice,
    body         jsonb NOT NULL,
    hash         bytea NOT NULL,
    chain        bytea NOT NULL,
    actor        text NOT NULL CHECK (actor <> ''),
    reason       text NOT NULL CHECK (reason <> ''),
    UNIQUE (seller, number),
    UNIQUE (seller, kind, form, year, n),
    CHECK (net_minor + tax_minor = gross_minor),
    CHECK ((kind = 'credit_note') = (corrects IS NOT NULL)),
    CHECK (account IS NOT NULL OR form = 'simplified')
);
CREATE INDEX invoice_account ON invoice (account, id) WHERE account IS NOT NULL;
CREATE INDEX invoice_issued ON invoice (seller, issued_on, id);
CREATE INDEX invoice_corrects ON invoice (corrects) WHERE corrects IS NOT NULL;
SELECT csms_append_only('invoice');

-- Lines are written before the number is taken: so the reference is looked at when the transaction ends.
CREATE TABLE invoice_line (
    invoice       bigint NOT NULL REFERENCES invoice DEFERRABLE INITIALLY DEFERRED,
    position      integer NOT NULL CHECK (position >= 1),
    kind          text NOT NULL,
    net_minor     bigint NOT NULL,
    tax_minor     bigint NOT NULL,
    gross_minor   bigint NOT NULL,
    tax_category  text NOT NULL,
    tax_rate      numeric NOT NULL,
    day           date,
    session       integer REFERENCES session,
    body          jsonb NOT NULL,
    PRIMARY KEY (invoice, position),
    CHECK (net_minor + tax_minor = gross_minor)
);
CREATE INDEX invoice_line_session ON invoice_line (session) WHERE session IS NOT NULL;
SELECT csms_append_only('invoice_line');

CREATE TABLE invoice_tax (
    invoice       bigint NOT NULL REFERENCES invoice DEFERRABLE INITIALLY DEFERRED,
    tax_category  text NOT NULL,
    tax_rate      numeric NOT NULL,
    note          text NOT NULL DEFAULT '',
    net_minor     bigint NOT NULL,
    tax_minor     bigint NOT NULL,
    PRIMARY KEY (invoice, tax_category, tax_rate, note)
);
SELECT csms_append_only('invoice_tax');

-- What was invoiced: each source is on one document that is no credit note, for ever (RULES.md 22).
CREATE TABLE invoice_source (
    source   text PRIMARY KEY,
    invoice  bigint NOT NULL REFERENCES invoice DEFERRABLE INITIALLY DEFERRED,
    session  integer REFERENCES session
);
CREATE INDEX invoice_source_session ON invoice_source (session) WHERE session IS NOT NULL;
CREATE INDEX invoice_source_invoice ON invoice_source (invoice);
SELECT csms_append_only('invoice_source');

-- What a credit note takes back of a line; base_minor in the terms of the invoice's tax mode.
CREATE TABLE credit_allocation (
    credit_note  bigint NOT NULL REFERENCES invoice DEFERRABLE INITIALLY DEFERRED,
    invoice      bigint NOT NULL REFERENCES invoice,
    position     integer NOT NULL,
    base_minor   bigint NOT NULL CHECK (base_minor <> 0),
    PRIMARY KEY (credit_note, position),
    FOREIGN KEY (invoice, position) REFERENCES invoice_line (invoice, position)
);
CREATE INDEX credit_allocation_invoice ON credit_allocation (invoice);
SELECT csms_append_only('credit_allocation');

-- Documents that somebody wants to look at first. While one is open, no run invoices its account.
CREATE TABLE invoice_draft (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account     text NOT NULL REFERENCES account,
    currency    char(3) NOT NULL,
    sources     text[] NOT NULL,
    until       date NOT NULL,
    hash        bytea NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'issued', 'void')),
    invoice     bigint REFERENCES invoice,
    actor       text NOT NULL,
    created_at  timestamptz NOT NULL,
    CHECK ((state = 'issued') = (invoice IS NOT NULL))
);
CREATE UNIQUE INDEX invoice_draft_open ON invoice_draft (account, currency) WHERE state = 'open';
