# On 2025-03-30 the clocks in Berlin went from 02:00 on to 03:00: from 01:30 to 03:30 one hour passed.
however late it arrives
tariff nightly
    02:00-03:00  3.00 EUR/h
    1.20 EUR/h
    0.50 EUR/kWh
2025-03-30 01:30  plug in   0.000 kWh
2025-03-30 03:30  unplug    6.000 kWh
session
    energy  6.000 kWh
    state   rated
bill
    6.000 kWh x 0.50  3.00
    1:00:00 h x 1.20  1.20
    total             4.20
