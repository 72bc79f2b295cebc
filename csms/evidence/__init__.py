"""Evidence: meter values that the meter itself has signed, judged under the law of measuring. Prices nothing."""
