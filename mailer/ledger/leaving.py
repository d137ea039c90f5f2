"""The statements by which people leave the queues: who is to be suppressed, who is, and who left the list."""

from __future__ import annotations

# nothing is added for somebody who was erased, whichever ledger it was that hashed the address
ADD = """
INSERT INTO suppressions (hash, scope, secret_id, entry, reason, note, source, created_at)
SELECT fingerprint(own.secret, :entry), :scope, own.id, :entry, :reason, :note, :source, :at
FROM suppression_secrets own WHERE own.id = 1 AND NOT EXISTS (SELECT 1 FROM suppression_secrets k CROSS JOIN suppressions s
    WHERE s.hash = fingerprint(k.secret, :entry) AND s.scope = :scope)
"""

_SCOPE = "s.scope IN ('', (SELECT c.list FROM campaigns c WHERE c.id = deliveries.campaign_id))"

# '@' to 'A' are whole domains: few, so that comparing each of them with each delivery costs little
_OF_DOMAIN = "s.entry >= '@' AND s.entry < 'A' AND substr(deliveries.key, length(deliveries.key) - length(s.entry) + 1) = s.entry"

# Erased addresses are found by their hashes. While there are none, nothing is hashed.
_SECRETS = "SELECT id FROM suppression_secrets WHERE id IN (SELECT secret_id FROM suppressions WHERE entry IS NULL)"
_OF_ERASED = f"k.id IN ({_SECRETS}) AND s.hash = fingerprint(k.secret, deliveries.key)"

_PLACES = (
    f"suppressions s WHERE s.entry = deliveries.key AND {_SCOPE}",
    f"suppressions s WHERE {_OF_DOMAIN} AND {_SCOPE}",
    f"suppression_secrets k CROSS JOIN suppressions s WHERE {_OF_ERASED} AND {_SCOPE}",
)
"""Where it stands that a delivery's address is not to be mailed: by itself, by its domain, or erased."""

IS_SUPPRESSED = f"({' OR '.join(f'EXISTS (SELECT 1 FROM {place})' for place in _PLACES)})"

_WORDS = "SELECT CASE s.note WHEN '' THEN s.reason ELSE s.note END AS words FROM"
_WHY = f"SELECT words FROM ({' UNION ALL '.join(f'{_WORDS} {place}' for place in _PLACES)}) AS known LIMIT 1"

# all open deliveries, by the index (campaign_id, status): most of a million may have been sent
OPEN_ONES = "campaign_id IN (SELECT id FROM campaigns) AND status IN ('queued', 'deferred')"

_LEAVE = f"UPDATE deliveries SET status = 'suppressed', updated_at = ?, reason = ({_WHY}) WHERE"

LEAVE = f"{_LEAVE} {OPEN_ONES} AND EXISTS (SELECT 1 FROM suppressions) AND {IS_SUPPRESSED}"

# One address, in every campaign, by the index (campaign_id, key).
_BY_KEY = (
    f"{_LEAVE} +status IN ('queued', 'deferred') AND {IS_SUPPRESSED} AND campaign_id IN (SELECT id FROM campaigns)"
)

LEAVE_KEY = f"{_BY_KEY} AND key = ?"

# One delivery's address: a list may have thousands of dead ones.
LEAVE_ADDRESS = f"{_BY_KEY} AND key = (SELECT key FROM deliveries WHERE id = ?)"

# Who left the list with --update is not mailed, however the delivery comes back into a queue.
IS_UNLISTED = "listed_in < (SELECT revision FROM campaigns c WHERE c.id = deliveries.campaign_id)"

# Who was erased and is still in the list has a nameless row already: new rows of such people, after the one before, go again. Which nameless
# row was whose nobody knows, so as many go as there are such rows.
COUNTED_ALREADY = (
    "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE campaign_id = ?1 AND id > ?2 AND status = 'suppressed'"
    f" AND key IS NOT NULL AND EXISTS (SELECT 1 FROM {_PLACES[-1]}) ORDER BY id LIMIT"
    " (SELECT count(*) FROM deliveries WHERE campaign_id = ?1 AND key IS NULL AND address IS NULL))"
)

_UNLIST = "UPDATE deliveries SET status = 'skipped', reason = 'no longer in the list', updated_at = ? WHERE"

UNLIST = f"{_UNLIST} {OPEN_ONES} AND {IS_UNLISTED}"

UNLIST_ONE = f"{_UNLIST} status IN ('queued', 'deferred') AND {IS_UNLISTED} AND id = ?"
