-- Reservations: what charge points were asked to keep for whom, what they answered, and what they told of it.
-- The state of a reservation is folded from these rows and from the transactions that name it; nothing here changes.

-- One row per reservation that an operator asked for, before it was sent. The id is the one on the wire: never given twice.
-- evse NULL: whichever will be free.
CREATE TABLE reservation (
    id            integer GENERATED ALWAYS AS IDENTITY (MINVALUE 1 NO CYCLE) PRIMARY KEY,
    charge_point  text NOT NULL REFERENCES charge_point,
    evse          integer CHECK (evse > 0),
    token         text NOT NULL CHECK (token = upper(token) AND token <> ''),
    group_id      text CHECK (group_id <> ''),
    until         timestamptz NOT NULL,
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reservation_charge_point ON reservation (charge_point, id);

-- What became of a question. accepted NULL: nobody knows, the answer was lost.
CREATE TABLE reservation_answer (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reservation  integer NOT NULL REFERENCES reservation,
    question     text NOT NULL CHECK (question IN ('reserve', 'cancel')),
    accepted     boolean,
    status       text NOT NULL CHECK (status <> ''),
    detail       text,
    actor        text NOT NULL,
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reservation_answer_reservation ON reservation_answer (reservation, id);
-- A reservation is asked for once.
CREATE UNIQUE INDEX reservation_answer_once ON reservation_answer (reservation) WHERE question = 'reserve';

-- What charging stations told of their own accord, once each: the message has no more content than this. reservation: as told.
CREATE TABLE reservation_report (
    charge_point  text NOT NULL REFERENCES charge_point,
    reservation   integer NOT NULL,
    status        text NOT NULL CHECK (status IN ('Expired', 'Removed')),
    quirks        text NOT NULL DEFAULT '',
    received_at   timestamptz NOT NULL,
    PRIMARY KEY (charge_point, reservation, status)
);

-- Few events name a reservation; these are found without reading the others.
CREATE INDEX charging_event_reservation ON charging_event (charge_point, reservation) WHERE reservation IS NOT NULL;

SELECT csms_append_only('reservation');
SELECT csms_append_only('reservation_answer');
SELECT csms_append_only('reservation_report');
