"""E-invoices after EN 16931: XRechnung, Peppol BIS Billing 3.0 and ZUGFeRD / Factur-X, all from the frozen `Document`.

Which checks are whose:

- `rules` and what it is made of (`core_rules`, `xrechnung_rules`, `peppol_rules`) are our own reading of the published rules,
  under their ids. They run before anything is written, and refuse what a receiver would turn down. They cover what a document
  of ours can get wrong, and are no official validator.
- Official, but only in the tests, since they need Saxon: the schematron of CEN for EN 16931 in UBL and CII, that of
  Factur-X, and the schemas of UBL 2.1 and Factur-X. That of KoSIT for XRechnung runs where its package is installed.
- PDF/A-3 is judged by its structure alone (metadata, output intent, attachment): no PDF/A validator is at hand.
"""
