# On 2025-10-26 the clocks in Berlin went from 03:00 back to 02:00: from 01:30 to 03:30 three hours passed.
however late it arrives
tariff nightly
    02:00-03:00  3.00 EUR/h
    1.20 EUR/h
    0.50 EUR/kWh
2025-10-26 01:30  plug in    0.000 kWh
2025-10-26 03:30  unplug    12.000 kWh
session
    energy  12.000 kWh
    state   rated
bill
    0:30:00 h x 1.20    0.60
    12.000 kWh x 0.50   6.00
    2:00:00 h x 3.00    6.00
    0:30:00 h x 1.20    0.60
    total              13.20
