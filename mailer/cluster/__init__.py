"""Many workers on one ledger on PostgreSQL: the same campaign code, the same promises, on several computers."""
