"""The API with 100,000 prefixes in 5,000 accounts: ``scripts/bench addressing``, on both stores.

Times are ratios to floors measured in the same run: a bare HTTP server that answers with the same bytes, and
a bare commit of as many rows on the same store.
"""
