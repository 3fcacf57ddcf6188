-- What was written since a reader last looked.
CREATE INDEX documents_by_version ON documents (kind, version, id);
