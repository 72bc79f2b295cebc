"""All rules of the doctor, by the names of their functions, which are the names in the catalogue."""

from __future__ import annotations

from collections.abc import Callable

from csms.doctor import clocks, connections, messages, meters, statuses, transactions
from csms.doctor.chart import Chart, Found

Rule = Callable[[Chart], Found | None]

RULES: tuple[Rule, ...] = (
    connections.protocol_changes,
    connections.redial_late,
    connections.reconnect_loop,
    connections.boot_missing,
    connections.boot_on_reconnect,
    connections.boot_loop,
    connections.boot_retried,
    connections.calls_before_boot,
    connections.heartbeat_missing,
    connections.vendor_unknown,
    connections.template_rejected,
    messages.json_whitespace,
    messages.message_id_repeated,
    messages.queue_stalled,
    messages.refused_messages,
    messages.empty_texts,
    messages.vendor_data,
    messages.configuration_not_text,
    messages.configuration_key_padded,
    messages.secret_in_settings,
    clocks.time_zone_mixed,
    clocks.clock_offset,
    clocks.clock_drift,
    meters.unit_hertz,
    meters.signed_data_at_stop_only,
    meters.signed_data_missing,
    meters.register_not_sampled,
    meters.samples_far_apart,
    meters.register_per_session,
    meters.register_beyond_32_bits,
    meters.values_of_connector_zero,
    meters.context_mixed,
    meters.context_missing,
    meters.clock_samples_only,
    meters.phases_beside_total,
    meters.attempts_few,
    meters.stop_data_dropped,
    statuses.status_flood,
    statuses.error_code_without_fault,
    transactions.transaction_id_missing,
    transactions.start_repeated,
    transactions.message_retried,
    transactions.start_doubled,
    transactions.transaction_id_invalid,
    transactions.stop_unknown,
    transactions.stop_without_token,
    transactions.pseudo_token,
    transactions.start_without_authorize,
    transactions.stop_after_boot,
    transactions.available_before_stop,
    transactions.preparing_timed_out,
    transactions.queue_flushed,
)
