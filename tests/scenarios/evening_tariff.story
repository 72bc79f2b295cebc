however late it arrives
tariff evening
    08:00-20:00  0.59 EUR/kWh
    20:00-08:00  0.39 EUR/kWh
2025-03-01 19:30  plug in        0.000 kWh
2025-03-01 20:00  sample        10.000 kWh
2025-03-01 21:00  unplug        18.000 kWh
session
    energy  18.000 kWh
    state   rated
    held    by nothing
bill
    10.000 kWh x 0.59   5.90
     8.000 kWh x 0.39   3.12
    total               9.02
