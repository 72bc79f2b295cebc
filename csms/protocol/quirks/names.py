"""What translators find and repair, by name; the catalogue says what each means."""

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


class Seen(StrEnum):
    """What the gateway sees beside the messages: handshakes, sockets and frames."""

    SUBPROTOCOL_MISSING = "subprotocol_missing"
    SUBPROTOCOL_ORDER = "subprotocol_order"
    PATH_REPAIRED = "path_repaired"
    IDENTITY_ENCODED = "identity_encoded"
    IDENTITY_CASE = "identity_case"
    IDENTITY_FROM_CREDENTIALS = "identity_from_credentials"
    ORIGIN_SENT = "origin_sent"
    UPGRADE_HEADER_MISSING = "upgrade_header_missing"
    SECOND_SOCKET = "second_socket"
    WEBSOCKET_BROKEN = "websocket_broken"
    TLS_REFUSED = "tls_refused"
    PINGS_UNANSWERED = "pings_unanswered"
    MESSAGE_MENDED = "message_mended"
    ANSWER_MENDED = "answer_mended"


class Accommodation(StrEnum):
    """What we do otherwise for charge points that need it: by profile, or because an operator said so."""

    PROTOCOL_FORCED = "protocol_forced"
    CALLS_WAIT_FOR_BOOT = "calls_wait_for_boot"
    ONE_SETTING_PER_CALL = "one_setting_per_call"
    SETTINGS_WITHOUT_LIST = "settings_without_list"
    ENERGY_REGISTER_ONLY = "energy_register_only"
    STACK_LEVEL_FROM_ONE = "stack_level_from_one"
    TRANSACTION_IDS_REMEMBERED = "transaction_ids_remembered"
