-- Who sells and who buys: sellers, their brands, customers and their tokens, and a log of every change of them, chained by hashes.

-- A legal entity that sells: what its documents show of it, its bank account, its creditor id.
CREATE TABLE seller (
    id          text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9._-]{1,64}$'),
    details     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Under which name and in which looks a seller writes to its customers.
CREATE TABLE brand (
    id          text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9._-]{1,64}$'),
    seller      text NOT NULL REFERENCES seller,
    details     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Who sells at a site to those who have no contract; the newest valid_from up to the session's start counts.
CREATE TABLE site_seller (
    site        text NOT NULL REFERENCES site,
    seller      text NOT NULL REFERENCES seller,
    brand       text REFERENCES brand,
    valid_from  timestamptz NOT NULL,
    actor       text NOT NULL,
    entered_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site, valid_from)
);
SELECT csms_append_only('site_seller');

-- A customer's file. details: how documents name and reach the customer. payer: who receives its documents in its place.
-- grouped_by: how their lines are arranged. e_invoice: the profile in which it wants them. self_billing: what was agreed on documents in the name of a partner.
CREATE TABLE account (
    id            text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9._-]{1,64}$'),
    seller        text NOT NULL REFERENCES seller,
    brand         text REFERENCES brand,
    kind          text NOT NULL CHECK (kind IN ('private', 'business', 'fleet', 'employer', 'partner')),
    payer         text REFERENCES account CHECK (payer <> id),
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'pseudonymised')),
    language      text NOT NULL CHECK (language ~ '^[a-z]{2}$'),
    time_zone     text NOT NULL,
    rhythm        text NOT NULL CHECK (rhythm IN ('session', 'on_demand', 'week', 'month', 'quarter', 'half_year', 'year')),
    payment_days  integer NOT NULL CHECK (payment_days BETWEEN 0 AND 365),
    groups        text[] NOT NULL DEFAULT '{}',
    grouped_by    text[] NOT NULL DEFAULT '{}',
    e_invoice     text CHECK (e_invoice ~ '^[a-z-]{1,40}$'),
    self_billing  jsonb,
    details       jsonb NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX account_payer ON account (payer) WHERE payer IS NOT NULL;
CREATE INDEX account_seller ON account (seller, rhythm);

-- Whose a token is from valid_from on, until the next row of it; account NULL: nobody's. labels: driver, vehicle, cost centre.
CREATE TABLE account_token (
    token       text NOT NULL CHECK (token = upper(token) AND token <> ''),
    valid_from  timestamptz NOT NULL,
    account     text REFERENCES account,
    labels      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (token, valid_from)
);
CREATE INDEX account_token_account ON account_token (account) WHERE account IS NOT NULL;

-- Every change that money or its explanation hangs on. id has no gap; hash is of the row and of hash_prev, the row before.
-- In before and after, personal data stand as a commitment only: the values are in audit_personal.
CREATE TABLE audit_entry (
    id         bigint PRIMARY KEY CHECK (id >= 1),
    at         timestamptz NOT NULL,
    actor      text NOT NULL CHECK (actor <> ''),
    reason     text NOT NULL CHECK (reason <> ''),
    noun       text NOT NULL,
    subject    text NOT NULL,
    action     text NOT NULL,
    before     jsonb,
    after      jsonb,
    hash_prev  bytea NOT NULL,
    hash       bytea NOT NULL
);
CREATE INDEX audit_entry_subject ON audit_entry (noun, subject, id);
SELECT csms_append_only('audit_entry');

-- Personal data of a change, as long as we may keep them; without them the chain still verifies.
CREATE TABLE audit_personal (
    entry    bigint NOT NULL REFERENCES audit_entry,
    side     text NOT NULL CHECK (side IN ('before', 'after')),
    account  text NOT NULL,
    salt     bytea NOT NULL,
    body     jsonb NOT NULL,
    PRIMARY KEY (entry, side)
);
CREATE INDEX audit_personal_account ON audit_personal (account);
