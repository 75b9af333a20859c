"""SMTP: what a reply says (`reply`), how a transaction goes (`protocol`), and the wire (`session`)."""
