SELECT seq, at, principal_kind, principal, action, subject, outcome, detail, changes, prev_hash, hash FROM audit
ORDER BY seq
