-- Surcharges, discounts and incentives: rules beside tariffs, coupons, what bills used of them, and what others owe.

-- Who gets what from when on. A rule never changes; another one follows an ended one.
CREATE TABLE concession_rule (
    id                  text PRIMARY KEY CHECK (id <> ''),
    label               text NOT NULL CHECK (label <> ''),
    effect              text NOT NULL CHECK (effect IN ('surcharge', 'discount', 'incentive')),
    basis               text NOT NULL CHECK (basis IN ('percent', 'fixed', 'per_kwh', 'free_kwh')),
    value               numeric NOT NULL CHECK (value > 0),
    currency            char(3),
    component           text CHECK (component IN ('energy', 'time', 'parking', 'flat', 'reservation')),
    vat                 numeric CHECK (vat >= 0),
    party               text CHECK (party <> ''),
    turn                integer NOT NULL,
    scope               text NOT NULL CHECK (scope IN ('charge_point', 'site', 'location_group', 'default')),
    target              text,
    token_group         text CHECK (token_group <> ''),
    user_class          text
        CHECK (user_class IN ('ad_hoc', 'member', 'employee', 'resident', 'fleet', 'roaming')),
    product             text CHECK (product <> ''),
    token               text CHECK (token = upper(token) AND token <> ''),
    tariff              text CHECK (tariff <> ''),
    coupon              text CHECK (coupon = upper(coupon) AND coupon <> ''),
    redemptions_max     integer CHECK (redemptions_max >= 1),
    uses_max            integer CHECK (uses_max >= 1),
    uses_each_max       integer CHECK (uses_each_max >= 1),
    last_month_kwh_min  numeric CHECK (last_month_kwh_min > 0),
    bearer              text NOT NULL CHECK (bearer IN ('token', 'token_group')),
    valid_from          timestamptz NOT NULL,
    valid_to            timestamptz CHECK (valid_to > valid_from),
    entered_at          timestamptz NOT NULL,
    actor               text NOT NULL,
    CHECK ((scope = 'default') = (target IS NULL)),
    CHECK ((basis IN ('fixed', 'per_kwh')) = (currency IS NOT NULL)),
    CHECK ((effect = 'incentive') = (party IS NOT NULL)),
    CHECK (effect = 'discount' OR basis <> 'free_kwh'),
    CHECK (effect <> 'discount' OR basis <> 'percent' OR value <= 100),
    CHECK (redemptions_max IS NULL OR coupon IS NOT NULL)
);
CREATE UNIQUE INDEX concession_rule_coupon ON concession_rule (coupon);

-- A rule ends at the earliest of its ends that were entered in time.
CREATE TABLE concession_end (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule        text NOT NULL REFERENCES concession_rule,
    valid_to    timestamptz NOT NULL,
    entered_at  timestamptz NOT NULL,
    actor       text NOT NULL
);
CREATE INDEX concession_end_rule ON concession_end (rule);

-- A token gets what its coupon gives, from then on.
CREATE TABLE coupon_redemption (
    rule         text NOT NULL REFERENCES concession_rule,
    token        text NOT NULL CHECK (token = upper(token) AND token <> ''),
    redeemed_at  timestamptz NOT NULL,
    actor        text NOT NULL,
    PRIMARY KEY (rule, token)
);
CREATE INDEX coupon_redemption_token ON coupon_redemption (token);

-- What a final bill or a correction used of a rule. Of a bill that was corrected nothing counts any more.
-- month: the calendar month in which the session began, by its site's clock. amount: exact, with tax; what it added.
CREATE TABLE concession_use (
    session      integer NOT NULL,
    seq          integer NOT NULL,
    rule         text NOT NULL REFERENCES concession_rule,
    token        text,
    token_group  text,
    month        date NOT NULL,
    free_kwh     numeric NOT NULL CHECK (free_kwh >= 0),
    amount       numeric NOT NULL,
    currency     char(3) NOT NULL,
    PRIMARY KEY (session, seq, rule),
    FOREIGN KEY (session, seq) REFERENCES bill (session, seq)
);
CREATE INDEX concession_use_token ON concession_use (rule, token, month);
CREATE INDEX concession_use_token_group ON concession_use (rule, token_group, month);

-- What third parties pay of a bill; a bill never changes, and neither does this.
ALTER TABLE bill ADD COLUMN incentive_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE bill ADD CONSTRAINT bill_payable CHECK (incentive_minor BETWEEN 0 AND greatest(total_incl_minor, 0)) NOT VALID;

-- What a third party owes of a bill; of a correction the difference to the bills before.
CREATE TABLE claim (
    session       integer NOT NULL,
    seq           integer NOT NULL,
    party         text NOT NULL CHECK (party <> ''),
    currency      char(3) NOT NULL,
    amount_minor  bigint NOT NULL CHECK (amount_minor <> 0),
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (session, seq, party),
    FOREIGN KEY (session, seq) REFERENCES bill (session, seq)
);
CREATE INDEX claim_party ON claim (party, created_at);

SELECT csms_append_only('concession_rule');
SELECT csms_append_only('concession_end');
SELECT csms_append_only('coupon_redemption');
SELECT csms_append_only('concession_use');
SELECT csms_append_only('claim');
