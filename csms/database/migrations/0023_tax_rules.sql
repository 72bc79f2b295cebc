-- Taxes by rule: which rate holds in a country from which day, for which customers and supplies; and what customers are to
-- the tax office. All of it only grows.

-- Days are those of the sites' own calendars, valid_to included. NULL in customer, vat_id and supply: it does not ask.
CREATE TABLE tax_rule (
    id          text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9._-]{1,64}$'),
    country     text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    customer    text CHECK (customer IN ('private', 'business')),
    vat_id      text CHECK (vat_id IN ('no', 'yes', 'domestic', 'foreign')),
    supply      text CHECK (supply <> ''),
    rate        numeric NOT NULL CHECK (rate BETWEEN 0 AND 100),
    category    text NOT NULL CHECK (category IN ('S', 'Z', 'E', 'AE', 'K', 'G', 'O', 'L', 'M')),
    note        text CHECK (note <> ''),
    valid_from  date NOT NULL,
    valid_to    date,
    actor       text NOT NULL,
    entered_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (valid_to >= valid_from),
    CHECK (rate = 0 OR category IN ('S', 'L', 'M'))
);
CREATE INDEX tax_rule_country ON tax_rule (country);
SELECT csms_append_only('tax_rule');

-- The newest row of a rule says when it ends in truth. valid_to NULL: it is withdrawn, and never held.
CREATE TABLE tax_rule_end (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule      text NOT NULL REFERENCES tax_rule,
    valid_to  date,
    actor     text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tax_rule_end_rule ON tax_rule_end (rule, id DESC);
SELECT csms_append_only('tax_rule_end');

-- What the holder of a token, or of every token of a group, is from valid_from on; a token's own row goes before its group's.
CREATE TABLE tax_customer (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token        text CHECK (token = upper(token) AND token <> ''),
    token_group  text CHECK (token_group <> ''),
    kind         text NOT NULL CHECK (kind IN ('private', 'business')),
    vat_id       text CHECK (vat_id <> ''),
    valid_from   timestamptz NOT NULL,
    actor        text NOT NULL,
    entered_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((token IS NULL) <> (token_group IS NULL)),
    CHECK (vat_id IS NULL OR kind = 'business')
);
CREATE INDEX tax_customer_token ON tax_customer (token, valid_from DESC, id DESC) WHERE token IS NOT NULL;
CREATE INDEX tax_customer_group ON tax_customer (token_group, valid_from DESC, id DESC) WHERE token_group IS NOT NULL;
SELECT csms_append_only('tax_customer');
