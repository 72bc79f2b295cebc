tariff plain
    0.50 EUR/kWh
8 days ago 10:00  plug in   0.000 kWh
8 days ago 11:00  unplug    6.000 kWh
session
    state    rated
    held     by nothing
    flagged  late
bill
    6.000 kWh x 0.50  3.00
    total             3.00
