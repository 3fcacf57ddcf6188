-- Which entry of the audit log added an edge: its edges are held against the digest in it. Edges of older releases get
-- the number of the entry that seals them, added right after this step.
ALTER TABLE edges ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
