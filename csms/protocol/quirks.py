"""The registry of deviations that translators repair or find odd: one stable name, one line of meaning.

A quirk is recorded on the fact it was found in, counted per charge point model, and never decides anything by itself.
"""

from __future__ import annotations

from enum import StrEnum


class Quirk(StrEnum):
    """Names of deviations; they stand in the database, so they never change."""

    # shape of the message
    NOT_JSON = "not_json"
    WRONG_VERSION_SHAPE = "wrong_version_shape"
    UNKNOWN_PROPERTY = "unknown_property"
    MISSING_FIELD = "missing_field"
    NULL_PROPERTY = "null_property"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_ENUM = "unknown_enum"
    WORD_CASE = "word_case"
    SINGLE_ITEM = "single_item"
    LIST_LENGTH = "list_length"
    VALUE_RANGE = "value_range"
    # texts and numbers
    TEXT_TOO_LONG = "text_too_long"
    TEXT_UNSTORABLE = "text_unstorable"
    NUMBER_AS_TEXT = "number_as_text"
    TEXT_AS_NUMBER = "text_as_number"
    DECIMAL_INTEGER = "decimal_integer"
    DECIMAL_REGISTER = "decimal_register"
    DECIMAL_COMMA = "decimal_comma"
    INTEGER_OUT_OF_RANGE = "integer_out_of_range"
    PADDED_VALUE = "padded_value"
    NULL_AS_TEXT = "null_as_text"
    # times
    TIME_MISSING = "time_missing"
    TIME_UNREADABLE = "time_unreadable"
    TIME_WITHOUT_ZONE = "time_without_zone"
    TIME_HOUR_OFFSET = "time_hour_offset"
    TIME_SEPARATOR = "time_separator"
    TIME_DIGITS = "time_digits"
    TIME_LOWERCASE = "time_lowercase"
    TIME_AS_EPOCH = "time_as_epoch"
    TIME_LEAP_SECOND = "time_leap_second"
    CLOCK_NOT_SET = "clock_not_set"
    # meter values
    EMPTY_SAMPLES = "empty_samples"
    SAMPLE_DROPPED = "sample_dropped"
    VALUE_UNREADABLE = "value_unreadable"
    VALUE_OUT_OF_RANGE = "value_out_of_range"
    MISSING_UNIT = "missing_unit"
    UNIT_HZ = "unit_hz"
    UNIT_ALIAS = "unit_alias"
    UNIT_UNKNOWN = "unit_unknown"
    UNIT_MISMATCH = "unit_mismatch"
    SIGNED_WITHOUT_FORMAT = "signed_without_format"
    CONNECTOR_ZERO = "connector_zero"
    # identity and the rest
    VENDOR_EMPTY = "vendor_empty"
    MODEL_EMPTY = "model_empty"
    ERROR_CODE_UNKNOWN = "error_code_unknown"
    TOKEN_EMPTY = "token_empty"  # noqa: S105  # an id token, no secret
    TOKEN_AS_TEXT = "token_as_text"  # noqa: S105  # an id token, no secret
    RESERVATION_ZERO = "reservation_zero"
    CONNECTOR_MISSING = "connector_missing"


MEANING: dict[Quirk, str] = {
    Quirk.NOT_JSON: "the frame was not JSON; what could be read was read",
    Quirk.WRONG_VERSION_SHAPE: "a message of the other OCPP version came on this socket",
    Quirk.UNKNOWN_PROPERTY: "a property that the schema does not know was ignored",
    Quirk.MISSING_FIELD: "a required field was absent",
    Quirk.NULL_PROPERTY: "a property was null instead of absent",
    Quirk.WRONG_TYPE: "a value had another JSON type than the schema says",
    Quirk.UNKNOWN_ENUM: "a word is not in the list of the schema; kept as text",
    Quirk.WORD_CASE: "a known word came in other case or padding",
    Quirk.SINGLE_ITEM: "a lone object stood where a list belongs",
    Quirk.LIST_LENGTH: "a list had fewer or more items than allowed",
    Quirk.VALUE_RANGE: "a number lies outside the range of the schema",
    Quirk.TEXT_TOO_LONG: "a text is longer than allowed; kept up to our own limit",
    Quirk.TEXT_UNSTORABLE: "a text held U+0000 or half a surrogate pair; replaced by U+FFFD",
    Quirk.NUMBER_AS_TEXT: "a number came as text",
    Quirk.TEXT_AS_NUMBER: "a text came as number",
    Quirk.DECIMAL_INTEGER: "a whole number came with a decimal point",
    Quirk.DECIMAL_REGISTER: "meterStart or meterStop had decimals; kept exactly",
    Quirk.DECIMAL_COMMA: "a number was written with a decimal comma",
    Quirk.INTEGER_OUT_OF_RANGE: "a number exceeds 32 bits and was ignored",
    Quirk.PADDED_VALUE: "a value had blanks or line breaks around it",
    Quirk.NULL_AS_TEXT: "the text 'null' stood for nothing",
    Quirk.TIME_MISSING: "no timestamp; time of arrival or of the surrounding event used",
    Quirk.TIME_UNREADABLE: "the timestamp means no instant; time of arrival or of the surrounding event used",
    Quirk.TIME_WITHOUT_ZONE: "the timestamp had no zone; read in the charge point's zone, else UTC",
    Quirk.TIME_HOUR_OFFSET: "the offset had hours only",
    Quirk.TIME_SEPARATOR: "date and time were not joined by T, or blanks stood around",
    Quirk.TIME_DIGITS: "the fraction of a second had more than six digits or a comma, or seconds were left out",
    Quirk.TIME_LOWERCASE: "t or z was written in lower case",
    Quirk.TIME_AS_EPOCH: "the timestamp was a count of (milli)seconds since 1970",
    Quirk.TIME_LEAP_SECOND: "the timestamp had second 60",
    Quirk.CLOCK_NOT_SET: "the timestamp lies before 2015: the clock was not set",
    Quirk.EMPTY_SAMPLES: "a meterValue element had no samples",
    Quirk.SAMPLE_DROPPED: "a sample without any value was dropped",
    Quirk.VALUE_UNREADABLE: "a sample's value is no number; kept without value",
    Quirk.VALUE_OUT_OF_RANGE: "a number is absurdly large; kept without value",
    Quirk.MISSING_UNIT: "a measurand other than energy came without unit; its base unit was assumed",
    Quirk.UNIT_HZ: "frequency came in Hz, which the schema calls Hertz",
    Quirk.UNIT_ALIAS: "a unit was written in another way than the schema's",
    Quirk.UNIT_UNKNOWN: "a unit is not known; the value of a measurand that decides money was set aside",
    Quirk.UNIT_MISMATCH: "a unit does not fit its measurand; the value was set aside",
    Quirk.SIGNED_WITHOUT_FORMAT: "signed meter data came without format SignedData",
    Quirk.CONNECTOR_ZERO: "a transaction or its meter values named connector 0",
    Quirk.VENDOR_EMPTY: "boot without vendor",
    Quirk.MODEL_EMPTY: "boot without model",
    Quirk.ERROR_CODE_UNKNOWN: "a status error code is not in the schema; kept as text",
    Quirk.TOKEN_EMPTY: "the token was empty",
    Quirk.TOKEN_AS_TEXT: "the idToken was a plain text instead of an object",
    Quirk.RESERVATION_ZERO: "reservation 0 stood for none",
    Quirk.CONNECTOR_MISSING: "an EVSE came without connector",
}
