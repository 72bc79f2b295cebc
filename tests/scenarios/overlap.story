# The clock was put back between two drivers: the second session begins before the first one ended.
however late it arrives
tariff plain
    0.50 EUR/kWh
2025-03-01 10:00  plug in                 0.000 kWh
2025-03-01 10:30  sample                  5.000 kWh
2025-03-01 11:00  stop is lost            9.000 kWh
2025-03-01 11:01  unplug
2025-03-01 11:05  clock 20 minutes behind
2025-03-01 11:05  plug in with CARD-0002  9.000 kWh
2025-03-01 11:15  clock right
2025-03-01 11:15  the earlier stop arrives
2025-03-01 12:00  unplug                 12.000 kWh
session 1
    energy  9.000 kWh
    ended   2025-03-01 11:00
    state   held
    held    overlap
no bill 1
session 2
    energy  3.000 kWh
    state   rated
    held    by nothing
