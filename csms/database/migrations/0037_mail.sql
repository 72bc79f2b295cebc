-- Mail to customers: what is to be sent, to whom, how far each delivery is, what mail servers said of it, who is not written to.
-- allows added_constraint on policy.policy_kind_named: it takes all that the one before took, and the table has few rows

-- What may be chosen is what the code knows: a kind that is new needs no change of the schema any more.
ALTER TABLE policy DROP CONSTRAINT IF EXISTS policy_kind_check,
                   ADD CONSTRAINT policy_kind_named CHECK (kind ~ '^[a-z][a-z_]{0,31}$');

-- A message as it was queued. key names the fact that it tells of: the same fact never queues a second one. message_id is
-- what stands before the @ of its Message-ID; content_hash is of all that it says. sender_address and sender_name are NULL
-- until it is first tried where the operator's usual sender was meant.
CREATE TABLE mail_message (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key             text NOT NULL UNIQUE CHECK (key <> ''),
    kind            text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,31}$'),
    account         text REFERENCES account,
    brand           text REFERENCES brand,
    message_id      text NOT NULL UNIQUE CHECK (message_id ~ '^[0-9a-f]{32}$'),
    content_hash    bytea NOT NULL,
    sender_address  text,
    sender_name     text,
    queued_at       timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz
);
CREATE INDEX mail_message_account ON mail_message (account, id) WHERE account IS NOT NULL;

-- What it says and who is named in it, as long as we may keep that.
CREATE TABLE mail_content (
    message  bigint PRIMARY KEY REFERENCES mail_message,
    body     jsonb NOT NULL
);

-- A message on its way to one of its recipients. address is NULL once it need not be known any more.
-- claim: whose turn it is, or was last. next_at: queued and retry: when it is due, which lies ahead as well while somebody has
-- claimed it; sending: when it is taken for doubtful, unless whoever sends it is heard of before.
CREATE TABLE mail_delivery (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message         bigint NOT NULL REFERENCES mail_message,
    n               integer NOT NULL CHECK (n >= 1),
    address         text,
    envelope_id     text NOT NULL UNIQUE CHECK (envelope_id ~ '^[0-9a-f]{24}$'),
    state           text NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'sending', 'sent', 'retry', 'failed', 'doubtful', 'cancelled', 'bounced')),
    tries           integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    claim           uuid,
    next_at         timestamptz,
    first_tried_at  timestamptz,
    tried_at        timestamptz,
    ended_at        timestamptz,
    UNIQUE (message, n),
    CHECK ((next_at IS NOT NULL) = (state IN ('queued', 'retry', 'sending'))),
    CHECK ((ended_at IS NOT NULL) = (state IN ('sent', 'failed', 'cancelled', 'bounced'))),
    CHECK (state <> 'sending' OR claim IS NOT NULL)
);
CREATE INDEX mail_delivery_next ON mail_delivery (next_at, id) WHERE next_at IS NOT NULL;
CREATE INDEX mail_delivery_claim ON mail_delivery (claim) WHERE next_at IS NOT NULL;
CREATE INDEX mail_delivery_doubtful ON mail_delivery (id) WHERE state = 'doubtful';
CREATE INDEX mail_delivery_kept ON mail_delivery (ended_at) WHERE address IS NOT NULL AND ended_at IS NOT NULL;

-- Nobody, however wrong, makes a mail that a server has accepted one that is sent again.
CREATE FUNCTION csms_mail_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> ALL (CASE OLD.state
           WHEN 'queued' THEN ARRAY['sending', 'retry', 'failed', 'cancelled']
           WHEN 'retry' THEN ARRAY['sending', 'sent', 'failed', 'cancelled', 'bounced']
           WHEN 'sending' THEN ARRAY['sent', 'retry', 'failed', 'doubtful', 'bounced']
           WHEN 'doubtful' THEN ARRAY['sent', 'retry', 'failed', 'cancelled', 'bounced']
           WHEN 'sent' THEN ARRAY['bounced']
           WHEN 'failed' THEN ARRAY['retry']
           WHEN 'cancelled' THEN ARRAY['retry']
           WHEN 'bounced' THEN ARRAY['retry']
       END) THEN
        RAISE EXCEPTION 'a mail that is % does not become %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER mail_state BEFORE UPDATE OF state ON mail_delivery
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION csms_mail_state();

-- What became of a delivery, step by step. code and status: SMTP's reply and the enhanced status code (RFC 3463) in it.
-- took_effect false: it came when somebody else had decided already. actor and reason: whose decision it was, of an operator.
CREATE TABLE mail_event (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery     bigint NOT NULL REFERENCES mail_delivery,
    kind         text NOT NULL CHECK (kind <> ''),
    state        text NOT NULL,
    code         integer,
    status       text,
    took_effect  boolean NOT NULL DEFAULT true,
    actor        text CHECK (actor <> ''),
    reason       text CHECK (reason <> ''),
    at           timestamptz NOT NULL DEFAULT now(),
    CHECK ((actor IS NULL) = (reason IS NULL))
);
CREATE INDEX mail_event_delivery ON mail_event (delivery, id);
SELECT csms_append_only('mail_event');

-- The words of mail servers, which name people: they go with the content.
CREATE TABLE mail_words (
    event     bigint PRIMARY KEY REFERENCES mail_event,
    delivery  bigint NOT NULL REFERENCES mail_delivery,
    words     text NOT NULL
);
CREATE INDEX mail_words_delivery ON mail_words (delivery);

-- Reports of mail servers that have been read, by hash, so that each is read once.
CREATE TABLE mail_report (
    digest    bytea PRIMARY KEY,
    matched   integer NOT NULL CHECK (matched >= 1),
    actor     text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now()
);

-- Addresses that are not written to: there is nobody, a mail server has said. It holds until it is lifted.
CREATE TABLE mail_suppression (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address        text NOT NULL,
    delivery       bigint NOT NULL REFERENCES mail_delivery,
    status         text NOT NULL,
    since          timestamptz NOT NULL DEFAULT now(),
    lifted_at      timestamptz,
    lifted_by      text,
    lifted_reason  text CHECK (lifted_reason <> ''),
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (lifted_reason IS NULL))
);
CREATE UNIQUE INDEX mail_suppression_held ON mail_suppression (address) WHERE lifted_at IS NULL;

-- How many were claimed of late, where only so many may be sent in a minute.
CREATE TABLE mail_pace (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed    integer NOT NULL CHECK (claimed > 0)
);
CREATE INDEX mail_pace_at ON mail_pace (at);
