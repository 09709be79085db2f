//! Audit: what was done, by whom, in a chain of hashes that shows every later change.
