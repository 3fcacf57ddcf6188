INSERT INTO audit (seq, at, principal_kind, principal, action, subject, outcome, detail, changes, prev_hash, hash)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
