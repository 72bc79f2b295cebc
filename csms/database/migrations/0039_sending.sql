-- What leaves the house: files of brands and of documents, which document was sent to whom, and what waits to be invoiced and sent.

-- A logo or a template of a brand, by its SHA-256. Brands name what they use; what one used before stays.
CREATE TABLE brand_file (
    sha256      bytea PRIMARY KEY,
    content     bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    CHECK (sha256 = sha256(content))
);
SELECT csms_append_only('brand_file');

-- The files of a document in the archive, made once. form: pdf, or the profile of an e-invoice.
CREATE TABLE document_file (
    invoice  bigint NOT NULL REFERENCES invoice,
    form     text NOT NULL CHECK (form ~ '^[a-z-]{1,40}$'),
    entry    bigint NOT NULL REFERENCES archive_entry,
    PRIMARY KEY (invoice, form)
);
SELECT csms_append_only('document_file');

-- Which document went out with which mail, because of which account, with which entries of the archive. n 1: the first time;
-- whatever follows is a deliberate repeat, and says why.
CREATE TABLE document_sending (
    invoice  bigint NOT NULL REFERENCES invoice,
    n        integer NOT NULL CHECK (n >= 1),
    message  bigint NOT NULL UNIQUE REFERENCES mail_message,
    account  text NOT NULL REFERENCES account,
    entries  bigint[] NOT NULL,
    actor    text NOT NULL CHECK (actor <> ''),
    reason   text CHECK (reason <> ''),
    at       timestamptz NOT NULL,
    PRIMARY KEY (invoice, n),
    CHECK (n = 1 OR reason IS NOT NULL)
);
SELECT csms_append_only('document_sending');

-- Sessions with a final bill whose customer gets an invoice with each: until they are on one. account: whose invoice it will be.
CREATE TABLE invoice_due (
    session  integer PRIMARY KEY,
    account  text NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    next_at  timestamptz NOT NULL DEFAULT now(),
    problem  text
);
CREATE INDEX invoice_due_next ON invoice_due (next_at, session);

-- Documents that the server sends by itself: until they are sent, or there is nobody to send them to.
CREATE TABLE document_due (
    invoice  bigint PRIMARY KEY REFERENCES invoice,
    since    timestamptz NOT NULL DEFAULT now(),
    next_at  timestamptz NOT NULL DEFAULT now(),
    problem  text
);
CREATE INDEX document_due_next ON document_due (next_at, invoice);
