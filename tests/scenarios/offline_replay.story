# The network is away from before the card was shown until after the car has left; everything is told afterwards.
however late it arrives
power 22 kW
tariff evening
    08:00-20:00  0.59 EUR/kWh step 1000
    20:00-08:00  0.39 EUR/kWh step 1000
    VAT 19 % included
2025-03-01 18:00  offline
2025-03-01 19:30  plug in        0.000 kWh
2025-03-01 20:00  sample         8.250 kWh
2025-03-01 21:00  sample        17.100 kWh
2025-03-01 21:10  stop          17.500 kWh
2025-03-01 21:30  unplug
2025-03-01 22:00  online
session
    energy  17.500 kWh
    ended   2025-03-01 21:10
    state   rated
bill
    8.250 kWh x 0.59   4.8675
    9.750 kWh x 0.39   3.8025  # 17.5 kWh are 18 steps of 1 kWh, and half a step more is asked for at the last price
    total              8.67
