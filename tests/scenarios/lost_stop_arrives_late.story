# Nobody heard of the first stop: the next session ends the first at its last reading, held. When the stop comes after
# all it replaces that end, and the hold is gone.
however late it arrives
tariff plain
    0.50 EUR/kWh
2025-03-01 10:00  plug in                 0.000 kWh
2025-03-01 10:30  sample                  5.000 kWh
2025-03-01 11:00  stop is lost            9.000 kWh
2025-03-01 11:05  unplug
session
    state   open
2025-03-01 12:00  plug in with CARD-0002  9.000 kWh
session 1
    energy  5.000 kWh
    ended   2025-03-01 10:30
    state   held
    held    no_stop
no bill 1
2025-03-01 12:10  the earlier stop arrives
session 1
    energy  9.000 kWh
    ended   2025-03-01 11:00
    state   rated
    held    by nothing
bill 1
    9.000 kWh x 0.50  4.50
    total             4.50
2025-03-01 13:00  unplug                 15.000 kWh
session 2
    energy  6.000 kWh
    token   CARD-0002
    state   rated
bill 2
    6.000 kWh x 0.50  3.00
    total             3.00
